"""The service is installed once, installed again without a change, and removed without a loss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from sensord.errors import SensordError
from sensord.service.installation import (
    CONFIG,
    OF_THE_PACKAGE,
    SOCKET,
    UNIT,
    USERS,
    Installation,
    hidden_from_the_service,
)
from tests.kit.daemon import sensord

PROGRAM = Path("/usr/local/bin/sensord")


class System:
    """Notes which programs of the system are run."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def run(self, command: Sequence[str]) -> None:
        self.commands.append(" ".join(command[:2]))


def test_it_writes_what_the_service_needs(tmp_path: Path) -> None:
    """Unit, user and a configuration that nobody else reads; then it is started."""
    system = System()
    changes = [*Installation(PROGRAM, system.run, tmp_path).install()]
    assert len(changes) == 4
    assert f"ExecStart={PROGRAM} run /{CONFIG}\n" in (tmp_path / UNIT).read_text()
    assert (tmp_path / CONFIG).stat().st_mode & 0o777 == 0o640
    assert system.commands[-2:] == ["systemctl enable", "systemctl restart"]


def test_the_first_configuration_is_sound_and_names_no_device(tmp_path: Path) -> None:
    """It holds no port that belongs to another program."""
    [*Installation(PROGRAM, System().run, tmp_path).install()]
    done = sensord("check", str(tmp_path / CONFIG))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (tmp_path / CONFIG).read_text().splitlines()
    assert not [line for line in lines if line.startswith("[devices")]


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    """The operator's configuration stays as it is, and the service is not restarted."""
    [*Installation(PROGRAM, System().run, tmp_path).install()]
    (tmp_path / CONFIG).write_text("# mine\n")
    system = System()
    assert [*Installation(PROGRAM, system.run, tmp_path).install()] == []
    assert (tmp_path / CONFIG).read_text() == "# mine\n"
    assert system.commands[-1] == "systemctl start"
    assert "systemctl restart" not in system.commands


def test_undo_keeps_configuration_and_may_be_repeated(tmp_path: Path) -> None:
    """Units and user file go, in the order that systemd needs."""
    [*Installation(PROGRAM, System().run, tmp_path).install()]
    system = System()
    installation = Installation(PROGRAM, system.run, tmp_path)
    assert len([*installation.remove()]) == 3
    assert not [one for one in (UNIT, SOCKET, USERS) if (tmp_path / one).exists()]
    assert (tmp_path / CONFIG).exists()
    assert system.commands == ["systemctl disable", "systemctl daemon-reload"]
    assert [*installation.remove()] == []


def test_beside_the_package_it_changes_nothing(tmp_path: Path) -> None:
    """Two units of one name would differ after the next upgrade."""
    file = tmp_path / OF_THE_PACKAGE[0]
    file.parent.mkdir(parents=True)
    file.touch()
    with pytest.raises(SensordError, match="package has installed"):
        [*Installation(PROGRAM, System().run, tmp_path).install()]
    assert not (tmp_path / UNIT).exists()


def test_a_program_in_a_home_is_recognised() -> None:
    """The unit hides homes, so the service would not start."""
    program = Path("/home/anna/.local/bin/sensord")
    assert hidden_from_the_service(program) == program
