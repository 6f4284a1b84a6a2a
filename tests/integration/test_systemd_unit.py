"""The unit and the user that an operator installs, judged by systemd's own tools."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sensord.config.tree import Server

SYSTEMD = Path(__file__).parents[2] / "sensord" / "service"
UNIT = SYSTEMD / "sensord.service"
SOCKET = SYSTEMD / "sensord.socket"
SYSUSERS = SYSTEMD / "sensord.sysusers.conf"
INSTALLED = "/opt/sensord/.venv/bin/sensord"


def tool(name: str) -> str:
    """Find one of systemd's tools; a machine without them must not pass by skipping."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed; run: sudo apt-get install -y systemd")
    return found


def verify(unit: str, folder: Path) -> str:
    """Return all that `systemd-analyze verify` says about a unit's text.

    Its exit status tells nothing: it is 0 for an unknown key.
    """
    file = folder / UNIT.name
    file.write_text(unit)
    command = [tool("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout + done.stderr


def unit_on_this_machine() -> str:
    """Return the unit with a program that exists here: the installed one need not."""
    text = UNIT.read_text()
    assert f"ExecStart={INSTALLED} run /etc/sensord/config.toml\n" in text
    return text.replace(INSTALLED, sys.executable)


def settings() -> configparser.ConfigParser:
    """Read the unit, keys as they are written; of a list that goes on, the last line."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way
    parser.read_string(UNIT.read_text())
    return parser


def test_systemd_finds_nothing_to_say_about_the_unit(tmp_path: Path) -> None:
    """Every key and value of the unit is understood."""
    assert verify(unit_on_this_machine(), tmp_path) == ""


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("WatchdogSec=30", "WatchdogSecs=30"),
        ("Type=notify", "Type=notfy"),
        (sys.executable, "/nowhere/sensord"),
    ],
)
def test_the_check_notices_a_fault(good: str, bad: str, tmp_path: Path) -> None:
    """The check above bites: an unknown key, a wrong value and a missing program are reported."""
    text = unit_on_this_machine()
    assert good in text
    assert verify(text.replace(good, bad), tmp_path) != ""


def test_systemd_finds_nothing_to_say_about_the_socket(tmp_path: Path) -> None:
    """It is understood, and the check bites; it names the address of the first configuration."""
    (tmp_path / UNIT.name).write_text(unit_on_this_machine())
    file = tmp_path / SOCKET.name
    command = [tool("systemd-analyze"), "verify", "--man=no", str(file)]
    for text in (SOCKET.read_text(), SOCKET.read_text().replace("ListenStream=127", "Listen=127")):
        file.write_text(text)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        said = done.stdout + done.stderr
        assert (said == "") is (text == SOCKET.read_text()), said
    listed = re.findall(r"^ListenStream=(.*)$", SOCKET.read_text(), re.MULTILINE)
    assert listed == [*Server().listen]


def test_the_unit_never_gives_up() -> None:
    """A gateway that is left alone for a year is started again after every fault."""
    unit = settings()
    assert unit.getint("Unit", "StartLimitIntervalSec") == 0  # no limit
    assert unit["Service"]["Restart"] == "on-failure"
    assert unit.getint("Service", "WatchdogSec") > 0


def exposure(file: Path) -> float:
    """Return the score of `systemd-analyze security`: 0 is none, 10 is all."""
    command = [tool("systemd-analyze"), "security", "--offline=true", "--no-pager", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    return float(found[1])


def test_the_unit_exposes_little(tmp_path: Path) -> None:
    """What is left is the network, the serial ports and the group that may open them."""
    assert exposure(UNIT) <= 1.2
    bare = tmp_path / UNIT.name
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    assert exposure(bare) > 9, "the measure bites"


def test_the_unit_waits_for_ready_from_the_daemon_itself() -> None:
    """Only the main process speaks to systemd, and the start is over when it says so."""
    service = settings()["Service"]
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")


def test_systemd_accepts_the_user(tmp_path: Path) -> None:
    """The user that the unit runs as is the one that sysusers makes, in the group for ports."""
    command = [tool("systemd-sysusers"), "--dry-run", f"--root={tmp_path}", str(SYSUSERS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    service = settings()["Service"]
    assert f"Creating user '{service['User']}' " in said
    assert f"Creating group '{service['Group']}' " in said
    assert f"m     {service['User']} dialout\n" in SYSUSERS.read_text()


def test_a_fault_in_the_user_file_is_noticed(tmp_path: Path) -> None:
    """The check above bites: a line of an unknown type is refused."""
    faulty = tmp_path / "faulty.conf"
    faulty.write_text(SYSUSERS.read_text().replace("u     sensord", "q     sensord"))
    command = [tool("systemd-sysusers"), "--dry-run", f"--root={tmp_path}", str(faulty)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0
