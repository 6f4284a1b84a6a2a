"""What every command has in common: its arguments, its exit status, a full disk."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sensord.__main__ import run
from sensord.cli import COMMANDS, main
from sensord.cli.options import check_filters
from tests.kit.daemon import REPOSITORY, SENSORD


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Give a command what it does not take; return its last line."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("count", ["0", "-1", "1.5", "many", "1_0", "²"])
def test_a_count_that_can_never_be_reached_is_refused(
    count: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked for no readings, `tail` would end without having looked at the daemon."""
    said = refused(["tail", f"--count={count}"], capsys)
    assert (
        said
        == f"sensord tail: error: argument --limit/--count: {count}: expected a number, 1 or more"
    )


def test_options_may_stand_between_topics(capsys: pytest.CaptureFixture[str]) -> None:
    """`tail a --json b//c`: the second topic is read, and refused for what it is."""
    assert main(["tail", "a", "--json", "b//c", "--url", "ws://127.0.0.1:1"]) == 2
    assert '"message": "b//c: ' in capsys.readouterr().err


def test_a_star_as_in_a_shell_is_told_what_it_means(capsys: pytest.CaptureFixture[str]) -> None:
    check_filters(["plant/**", "plant/#"])

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("-- plant/**: * is an ordinary character; + matches one level")


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_a_help_of_its_own(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its own name in the first line."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: sensord {command} ")


def test_an_unknown_command_is_told_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Also one that is missing."""
    assert "did you mean run?" in refused(["rum"], capsys)
    assert "$SENSORD_URL" in refused([], capsys)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:x", "[::1", "..:1"]
)
def test_what_is_no_address_is_said_in_one_line(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port beyond the last one, half a bracket, a name that no resolver takes."""
    assert main(["tail", "--url", f"ws://{address}"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"cannot connect to ws://{address}: not an address of a monitor; say ws://host:port"
    ]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_is_full_is_said_in_one_line(unbuffered: str) -> None:
    """Whether it is noticed at the first line or at the end."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*SENSORD, "check", "config.toml"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=30,
            cwd=REPOSITORY,
            env={"PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 1
    assert done.stderr == "cannot write the output: No space left on device\n"


@pytest.mark.parametrize("where", ["sensord.cli._parsed", "sensord.cli.main"])
def test_ctrl_c_is_no_fault_however_early_it_comes(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a command is imported, for it takes a quarter of a second."""

    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(where, interrupted)
    monkeypatch.setattr("sys.argv", ["sensord", "tail"])
    assert run() == 130
