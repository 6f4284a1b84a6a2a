"""The rules that every command keeps: walked over all of them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess

import pytest

from sensord.cli import _joined, main
from sensord.cli.catalog import COMMANDS, GROUPS, MEANT, overview, parser_of
from sensord.cli.completion import manual, script
from sensord.cli.options import url_of
from sensord.cli.statuses import status_of
from sensord.client import ClientError, CommandError, LostError
from sensord.errors import ProtocolError, SensordError, UsageError

NOWHERE = "127.0.0.1:1"

ASKING = [
    *["status", "get", "tail", "history", "topics", "devices", "alarms", "clients", "uplinks"],
    *["controls", "set a 1", "call a/b", "ack a", "shelve a --for 1h", "unshelve a"],
    *[
        "lease list",
        "send hello --to x",
        "receive",
        "publish a 1",
        "put state/a 1",
        "delete state/a",
    ],
    *["forget a", "sniff a", "reload"],
]
"""Commands that need a daemon."""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_json_an_example_and_the_exit_statuses(name: str) -> None:
    """In its help, and its example is a command line of its own that it accepts."""
    parser, _ = parser_of(name)
    text = parser.format_help()
    assert "--json" in text
    assert "exit status: 0 done, 1 failed, 2 wrong usage, 3 not found" in text
    (example,) = re.findall(r"example:\n  (.*)\n", text)
    words = shlex.split(example.removeprefix('eval "$(').removesuffix(')"'))
    assert words[:2] == ["sensord", name]
    parser.parse_intermixed_args(_joined(words[2:]))


@pytest.mark.parametrize("name", COMMANDS)
def test_options_that_commands_share_have_the_same_name(name: str) -> None:
    """A number is --limit, a length of time --for, a beginning --from."""
    parser, _ = parser_of(name)
    options = {one for action in parser._actions for one in action.option_strings}
    assert not options & {"--max", "--since", "--until", "--seconds", "--duration", "--host"}
    assert "--limit" in options or "--count" not in options


@pytest.mark.parametrize("line", ASKING)
def test_without_a_daemon_a_command_ends_with_5(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """For programs as one JSON object."""
    given = [*shlex.split(line), "--url", NOWHERE]
    assert main(given) == 5
    assert "is the daemon running?" in "".join(capsys.readouterr())
    assert main([*given, "--json"]) == 5
    out, err = capsys.readouterr()
    (told,) = [json.loads(text) for text in (out + err).splitlines()]
    assert "is the daemon running?" in json.dumps(told)


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_usage_ends_with_2(name: str) -> None:
    """An option that does not exist."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--no-such-option"])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("x"), 2),
        (ProtocolError("not_found", "x"), 3),
        (ProtocolError("forbidden", "x"), 4),
        (CommandError("rejected", "x", may_have_acted=False), 4),
        (CommandError("unconfirmed", "x", may_have_acted=True), 1),
        (ClientError("x", 4203), 4),
        (LostError("x"), 5),
        (ClientError("x"), 1),
        (SensordError("x"), 1),
    ],
)
def test_an_error_leads_to_its_exit_status(error: SensordError, status: int) -> None:
    """The same in every command."""
    assert status_of(error) == status


def test_the_help_is_grouped_by_what_one_wants(capsys: pytest.CaptureFixture[str]) -> None:
    """And shown without a command, on stderr then."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert [text.index(f"\n{title}:") for title in GROUPS] == sorted(
        text.index(f"\n{title}:") for title in GROUPS
    )
    assert list(GROUPS) == ["Look", "Act", "Share", "Record", "Set up"]
    assert all(len(line) <= 100 for line in overview().splitlines())


@pytest.mark.parametrize(
    ("typed", "meant"), [("topcs", "topics"), ("histroy", "history"), ("quit", "ack")]
)
def test_a_misspelt_command_is_met_with_the_one_that_was_meant(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the exit status of wrong usage."""
    with pytest.raises(SystemExit) as ended:
        main([typed])
    assert ended.value.code == 2
    assert f"{typed} is not a command; did you mean {meant}?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("gateway", "ws://gateway:8765"),
        ("gateway:9000", "ws://gateway:9000"),
        ("192.168.1.7", "ws://192.168.1.7:8765"),
        ("::1", "ws://[::1]:8765"),
        ("[::1]:9000", "ws://[::1]:9000"),
        ("http://gateway:8765/", "ws://gateway:8765"),
        ("https://gateway", "wss://gateway"),
        ("/run/sensord/sensord.sock", "unix:/run/sensord/sensord.sock"),
        ("unix:/tmp/s", "unix:/tmp/s"),
        ("wss://gateway:1", "wss://gateway:1"),
    ],
)
def test_a_daemon_is_named_as_people_do(given: str, url: str) -> None:
    """A host, a host with its port, an address of a browser or a socket."""
    assert url_of(given) == url


def test_other_words_lead_to_commands_that_exist() -> None:
    """And are none themselves."""
    assert set(MEANT.values()) <= set(COMMANDS)
    assert not set(MEANT) & set(COMMANDS)


def test_the_environment_names_the_daemon_likewise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SENSORD_URL may be a host and a port."""
    monkeypatch.setenv("SENSORD_URL", NOWHERE)
    assert main(["get"]) == 5
    assert f"ws://{NOWHERE}" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_the_completion_is_understood_by_its_shell(shell: str) -> None:
    """With every command and its options."""
    text = script(shell)
    assert all(name in text for name in COMMANDS)
    assert "interval" in text
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=text, text=True, check=True)


def test_bash_completes_commands_and_options() -> None:
    """As a person who presses Tab sees it."""
    line = (
        f"{script('bash')}\n"
        'COMP_WORDS=(sensord hist); COMP_CWORD=1; _sensord; echo "${COMPREPLY[@]}"\n'
        'COMP_WORDS=(sensord tail --lim); COMP_CWORD=2; _sensord; echo "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash"], input=line, text=True, capture_output=True, check=True)
    assert done.stdout.split() == ["history", "--limit"]


def test_the_manual_page_has_every_command_and_option() -> None:
    """Made from the parsers, and free of roff's mistakes."""
    text = manual()
    assert all(f".SS sensord {name}" in text for name in COMMANDS)
    assert "\\-\\-interval" in text
    if shutil.which("groff"):
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww"],
            input=text,
            text=True,
            capture_output=True,
            check=True,
        )
        assert not done.stderr
