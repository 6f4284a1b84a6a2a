"""The commands with which people and scripts work together through a daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.daemon import REPOSITORY, SENSORD, Daemon, sensord

CONFIG = """
[journal]
folder = "{folder}/journal"

[devices.tank]
reader = "simulated"
interval = "50ms"
signals = {{ setpoint = {{ shape = "constant", low = 20 }} }}
channels.setpoint = {{ unit = "Cel", decimals = 1, range = [5, 80] }}
[devices.tank.writable.setpoint]
[devices.tank.actions.off]
description = "heat no more"
arguments.minutes = {{ type = "int", default = 5 }}

[clients.topics."lab/+"]
range = [-40, 120]
[clients.topics."total/+"]
retain = true
"""


class Shell:
    """Runs commands against a daemon."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self.daemon = daemon
        self.me = ("--identity", str(folder / "me"))

    def run(self, *arguments: str, given: str = "") -> tuple[int, str, str]:
        """Run one to its end; return its status and what it said."""
        done = subprocess.run(
            self._command(arguments),
            capture_output=True,
            text=True,
            input=given,
            check=False,
            timeout=120,
            cwd=REPOSITORY,
        )
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    def says(self, *arguments: str, given: str = "") -> str:
        """Run one that succeeds; return what it said."""
        status, text, error = self.run(*arguments, given=given)
        assert status == 0, error
        return text

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin one that goes on."""
        return subprocess.Popen(
            self._command(arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        # What stands behind -- is not sensord's.
        name, *rest = arguments
        return [*SENSORD, name, "--url", self.daemon.url, *rest]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with Daemon(tmp_path, CONFIG.format(folder=tmp_path)) as daemon:
        daemon.wait_for_log("device is up")
        yield Shell(daemon, tmp_path)


def told(process: subprocess.Popen[str]) -> str:
    """Wait for a line on the standard error."""
    assert process.stderr is not None
    return process.stderr.readline().strip()


def ended(process: subprocess.Popen[str], how: int | None = None) -> tuple[int, str]:
    """Wait for the end, or bring it about; return the status and what was said."""
    if how is not None:
        process.send_signal(how)
    text, _ = process.communicate(timeout=60)
    return process.returncode, text.strip()


def test_what_can_be_set_and_called_is_listed(shell: Shell) -> None:
    """And what a program serves, as soon as it does."""
    lines = shell.says("controls").splitlines()
    assert [line.split() for line in lines if "call reload" not in line] == [
        ["set", "tank/setpoint", "float", "5", "to", "80", "Cel"],
        ["call", "tank/off", "minutes:", "int,", "else", "5", "heat", "no", "more"],
    ]
    objects = [json.loads(line) for line in shell.says("controls", "--json").splitlines()]
    assert objects[1]["args"] == {"minutes": {"type": "int", "default": 5}}
    assert shell.says("get", "tank/setpoint").split()[1:] == ["tank/setpoint", "20.0", "Cel"]
    assert shell.run("get", "nothing/#") == (
        3,
        "",
        "-- nothing/#: no such topic\nno value under nothing/#",
    )


@pytest.mark.slow  # starts a dozen processes
def test_a_program_in_any_language_serves(shell: Shell) -> None:
    """Its answer, its parts, its failures and its end are those of the calls."""
    serving = shell.start("serve", "wc", "--", "sh", "-c", 'cat; echo; test "$1" = x', "sh", "x")
    assert "wc can be called" in told(serving)
    assert shell.says("call", "wc", "words=[1, 2]") == '{"words": [1, 2]}'
    assert "a service of sensord serve" in shell.says("controls").splitlines()[-1]
    assert ended(serving, signal.SIGTERM)[0] == 143
    assert shell.run("call", "wc")[0] == 3

    serving = shell.start("serve", "parts", "--parts", "--", "sh", "-c", "seq 1 3; echo two words")
    told(serving)
    assert shell.says("call", "parts").splitlines() == ["1", "2", "3", '"two words"']
    assert ended(serving, signal.SIGINT)[0] == 130

    serving = shell.start("serve", "bad", "--", "sh", "-c", "echo no >&2; echo paper >&2; exit 3")
    told(serving)
    assert shell.run("call", "bad") == (1, "", "failed: paper")
    ended(serving, signal.SIGTERM)


def test_a_program_that_takes_too_long_is_ended(shell: Shell, tmp_path: Path) -> None:
    """With what it has started."""
    script = f"sleep 600 & echo $! > {tmp_path}/child; wait"
    serving = shell.start("serve", "slow", "--timeout", "500ms", "--", "sh", "-c", script)
    told(serving)
    assert "unconfirmed" in shell.run("call", "slow")[2]
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 60
    while Path(f"/proc/{child}").exists() and not is_zombie(child):
        assert time.monotonic() < deadline
        os.sched_yield()
    ended(serving, signal.SIGTERM)


@pytest.mark.parametrize(
    "script",
    [
        "sleep 600 & echo $! > {child}; echo hi",
        "(trap '' TERM; exec sleep 600) & echo $! > {child}; wait",
    ],
    ids=["program has ended", "child does not want to"],
)
def test_what_a_program_has_started_ends_with_its_call(
    shell: Shell, tmp_path: Path, script: str
) -> None:
    """Whether the program itself has ended or not."""
    child = tmp_path / "child"
    command = ("sh", "-c", script.format(child=child))
    serving = shell.start("serve", "slow", "--timeout", "500ms", "--", *command)
    told(serving)
    assert "unconfirmed" in shell.run("call", "slow")[2]
    pid = int(child.read_text())
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and not is_zombie(pid):
        assert time.monotonic() < deadline
        os.sched_yield()
    ended(serving, signal.SIGTERM)


def is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_others_see_who_asks_by_the_name_that_was_given(shell: Shell) -> None:
    """Whatever it asks."""
    for arguments in (
        ("set", "tank/setpoint", "21"),
        ("call", "tank/off"),
        ("put", "state/a", "1"),
    ):
        shell.says(*arguments, "--name", "Anna")
        (line,) = shell.says(
            "get", f"$audit/{'state' if arguments[0] == 'put' else arguments[0]}"
        ).splitlines()
        assert line.split(maxsplit=2)[2].startswith("Anna: "), line
    shell.says("call", "tank/off")
    assert "sensord call" in shell.says("get", "$audit/call")


def test_messages_are_received_on_the_command_line(shell: Shell) -> None:
    """Of a group, each once; one that was not shown waits for the same client."""
    receiving = shell.start("receive", "--group", "night", "--count", "1", *shell.me)
    told(receiving)
    assert "delivered" in shell.says("send", "pump 2 is off", "--group", "night", "--name", "Anna")
    status, text = ended(receiving)
    assert (status, text.split(maxsplit=1)[1].partition(" (")[0]) == (0, "Anna")
    assert text.endswith(": pump 2 is off")
    assert "kept" in shell.says("send", '{"n": 2}', "--group", "night", "--wait", "100ms")
    gone = shell.start("receive", "--group", "day")
    told(gone)
    ended(gone, signal.SIGTERM)
    assert shell.run("send", "x", "--group", "day")[2] == "no client to receive it"
    receiving = shell.start("receive", "--count", "1", "--json", *shell.me)
    assert json.loads(ended(receiving)[1])["body"] == {"n": 2}
    status, _, error = shell.run("send", "hi", "--to", "nobody")
    assert (status, error) == (4, "nobody refused: no such client; `sensord clients` lists them")


def test_commands_that_have_ended_are_not_there_any_more(shell: Shell) -> None:
    """Unless they hold something, or are to be the same client again."""
    shell.says("put", "state/a", "1")
    shell.says("put", "state/a", "2", *shell.me)
    rows = [json.loads(line) for line in shell.says("clients", "--json").splitlines()]
    states = {row["name"].partition(",")[0]: row["state"] for row in rows if row["state"] != "gone"}
    assert states == {"sensord put": "away", "sensord clients": "here"}


def test_readings_are_published_from_a_pipe(shell: Shell) -> None:
    """One after the other; what does not fit is told and left out."""
    given = "1.5\n\nx\n200\n2.5"
    status, text, error = shell.run("publish", "lab/a", "-", given=given)
    assert (status, text) == (1, "")
    assert [line.partition(";")[0] for line in error.splitlines()] == [
        "-- line 3 not published: value: wrong_type",
        "-- line 4 not published: value: out_of_range",
        "2 of 5 lines were not published",
    ]
    # It is gone, so another one may go on; and its topic says so.
    assert '"bad"' in shell.says("get", "lab/a", "--json")
    assert shell.run("publish", "lab/a", "-", given="3.5\n") == (0, "", "")
    rows = [json.loads(line) for line in shell.says("history", "lab/a", "--json").splitlines()]
    assert [row["value"] for row in rows if "restated_us" not in row] == [1.5, 2.5, 3.5]
    for value in ("5", "6"):
        assert int(shell.says("publish", "total/a", value)) > 0
    last = json.loads(shell.says("get", "total/a", "--json"))
    assert (last["value"], last["quality"]) == (6, "good")


@pytest.mark.parametrize(("how", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_pipe_may_be_ended_while_it_waits(shell: Shell, how: int, status: int) -> None:
    """As any command; and a standard input that is closed is an empty one."""
    with subprocess.Popen(
        [*SENSORD, "publish", "--url", shell.daemon.url, "lab/a", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    ) as piping:
        assert piping.stdin is not None
        piping.stdin.write("1\n")
        piping.stdin.flush()
        while shell.run("get", "lab/a")[0]:
            pass
        piping.send_signal(how)
        _, error = piping.communicate(timeout=60)
    assert (piping.returncode, error) == (status, "")
    for closed in ("<&-", ">&-"):
        line = f"{' '.join(SENSORD)} publish --url {shell.daemon.url} lab/a - {closed} </dev/null"
        done = subprocess.run(
            ["sh", "-c", line if closed == ">&-" else line.removesuffix(" </dev/null")],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=REPOSITORY,
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_commands_that_begin_together_with_one_identity_are_one_client(shell: Shell) -> None:
    """The first of them makes it, the others wait for that."""
    putting = [shell.start("put", f"state/{n}", "1", *shell.me) for n in range(4)]
    assert [ended(one)[0] for one in putting] == [0] * 4
    rows = [json.loads(line) for line in shell.says("get", "state/#", "--json").splitlines()]
    assert len({row["value"]["by"]["id"] for row in rows}) == 1
    assert Path(shell.me[1]).stat().st_mode & 0o777 == 0o600


def test_a_lease_that_is_held_may_be_left_without_the_daemon(shell: Shell) -> None:
    """It cannot be given back; it ends by itself."""
    holding = shell.start("lease", "hold", "tank")
    assert "until you press" in told(holding)
    shell.daemon.kill()
    try:
        assert ended(holding, signal.SIGTERM)[0] == 143
    finally:
        shell.daemon.start()


def test_a_lease_that_is_held_is_given_back_at_the_end(shell: Shell) -> None:
    """However the command is ended; what it may write is its own meanwhile."""
    for how, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        holding = shell.start("lease", "hold", "state/plan", "--name", "Anna")
        assert "until you press" in told(holding)
        assert "held: state/plan is held by Anna" in shell.run("put", "state/plan", "1")[2]
        assert "Anna" in shell.says("lease", "list")
        assert ended(holding, how)[0] == status
        assert int(shell.says("put", "state/plan", "1"))
    taken = shell.says("lease", "take", "tank", "--for", "2h", *shell.me)
    assert taken.endswith("the longest that the daemon allows")
    assert shell.says("set", "tank/setpoint", "21", *shell.me) == "21.0"
    assert shell.run("set", "tank/setpoint", "22")[0] == 4


def test_what_would_be_misunderstood_is_refused(shell: Shell, tmp_path: Path) -> None:
    """Before anything is asked."""
    notes = tmp_path / "notes"
    notes.write_text("buy milk\n")
    status, _, error = shell.run("put", "state/a", "1", "--identity", str(notes))
    assert (status, "not a client's identity" in error) == (1, True)
    assert notes.read_text() == "buy milk\n"
    for arguments, text in (
        (("set", "tank/setpoint", "21", "--key", "k"), "give --identity"),
        (("call", "tank/off", "--key", "k"), "give --identity"),
        (("send", "x", "--group", "g", "--key", "k"), "give --identity"),
        (("lease", "list", "tank"), "leave out the subject"),
        (("put", "state/a", '{"x":'), "not JSON"),
        (("put", "state/a", "[" * 5000), "not JSON"),
        (("put", "state/a", b"caf\xe9".decode(errors="surrogateescape")), "UTF-8"),
        (("put", "state/a", "1", "--name", "x" * 81), "1 to 80 characters"),
        (("history", "--from", "9999-12-31T23:59:59-12:00"), "expected"),
        (("tail", "--from", "0001-01-01T00:00:00+14:00"), "expected"),
        (("serve", "x", "--", ""), "no program"),
        (("serve", "x", "--", "/no/such/program"), "no program"),
    ):
        status, _, error = shell.run(*arguments)
        assert (status, text in error) == (2, True), (arguments[0], error)
        assert "Traceback" not in error
    for arguments in (
        ("put", "state/a", str(10**30)),
        ("publish", "lab/a", str(10**30)),
        ("set", "tank/setpoint", str(10**30)),
        ("call", "tank/off", f"minutes={10**30}"),
        ("send", str(10**30), "--group", "g"),
        ("put", "state/a", json.dumps("x" * 70_000)),
    ):
        status, _, error = shell.run(*arguments)
        assert (status in {1, 2, 4}, "Traceback" in error) == (True, False), error
        assert "sent" in error or "send" in error


@pytest.mark.parametrize("command", ["get", "controls", "clients", "receive", "publish lab/a 1"])
def test_a_daemon_that_is_not_there_is_said_in_one_line(command: str) -> None:
    """With what to look at."""
    name, *arguments = command.split()
    done = sensord(name, "--url", "ws://127.0.0.1:1", *arguments)
    assert (done.returncode, done.stdout) == (5, "")
    wanted = "cannot connect to ws://127.0.0.1:1: nothing listens there; is the daemon running?\n"
    assert done.stderr == wanted


def test_a_lease_is_held_for_as_long_as_was_asked(shell: Shell) -> None:
    """`hold --for 2s` ran on until it was interrupted."""
    began = time.monotonic()
    shell.says("lease", "hold", "tank", "--for", "500ms")
    assert time.monotonic() - began < 30
    assert shell.says("lease", "list") == ""


def test_an_alarm_that_does_not_exist_is_not_acknowledged(shell: Shell) -> None:
    """A misspelt one was kept, and the alarm went on."""
    status, _, error = shell.run("ack", "setpiont", "seen")
    assert status == 3
    assert "alarms" in error
    assert shell.run("get", "state/#")[0] == 3


@pytest.mark.parametrize("arguments", [(), ("--from", "now"), ("tank/#",)])
def test_tail_notes_a_topic_that_is_not_there(shell: Shell, arguments: tuple[str, ...]) -> None:
    """It waited for ever, also beside one that is there."""
    tailing = shell.start("tail", "tank/setpiont", *arguments)
    assert told(tailing) == "-- tank/setpiont: no such topic; did you mean tank/setpoint?"
    ended(tailing, signal.SIGTERM)


def test_history_notes_a_topic_that_is_not_there(shell: Shell) -> None:
    """And tells it from one that had no readings then."""
    status, text, error = shell.run("history", "tnak/#")
    assert (status, text) == (0, "")
    assert error == "-- tnak/#: no such topic; did you mean tank/#?"
    _, _, error = shell.run("history", "tank/#", "--from", "2001-01-01", "--to", "2001-01-02")
    assert error == "-- no readings in that time"


def test_tail_says_when_the_daemon_is_away_and_back(shell: Shell) -> None:
    """It was silent, as if nothing changed."""
    tailing = shell.start("tail", "tank/nothing")
    assert "no such topic" in told(tailing)
    assert "nothing under these topics yet" in told(tailing)
    shell.daemon.kill()
    assert told(tailing).startswith("-- the daemon is away (")
    shell.daemon.start()
    assert told(tailing).startswith("-- the daemon is back after ")
    ended(tailing, signal.SIGTERM)
