"""The `sensord` command: one module a command, imported when it is used."""

from __future__ import annotations

import argparse
import errno
import importlib
import keyword
import os
import re
import sys
from collections.abc import Sequence
from typing import Protocol, cast

import sensord
from sensord.errors import SensordError, UsageError

__all__ = ["main"]

COMMANDS = {
    "run": "run the daemon on a configuration file",
    "check": "check a configuration file; touches no device and no network",
    "demo": "run the whole chain without hardware or broker",
    "tail": "follow readings of a running daemon",
    "history": "show what was: readings, or what each interval comes to",
    "get": "show the last values of topics",
    "topics": "list topics with their units and kinds",
    "devices": "list devices and how they fare",
    "clients": "list who is connected and what they watch",
    "controls": "list what can be set and called",
    "set": "set a topic that a device lets clients write",
    "call": "call an action of a device, or a service",
    "serve": "offer a service: run a program for each call of it",
    "lease": "hold a device, a topic or an action, so that nobody else acts on it",
    "send": "send a message to other clients",
    "receive": "show messages of other clients",
    "publish": "publish readings of a topic that is open for clients",
    "put": "write shared state",
    "delete": "delete shared state",
    "ack": "acknowledge the alarm that a topic shows",
    "wear": "say how long the card will last",
    "info": "say what is in journals and recorded files",
    "export": "write recorded readings into a file of another kind",
    "import": "make a recording of CSV files and logs of others",
    "record": "write what a running daemon sends into a file",
    "capture": "store what a device sends, byte for byte",
    "replay": "serve recordings to monitors as a running daemon would",
    "ports": "list serial ports with their stable paths",
}

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What writing fails with when the disk, or the share of this user, is full."""

DESCRIPTION = "The daemon between ugly sensors and the people who need their readings."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 1 failed, 2 asked for wrongly."""
    name = ""
    _open_standard_files()
    try:
        name, options = _parsed(_joined(sys.argv[1:] if arguments is None else arguments))
        status: int = _module(name).run(options)
        sys.stdout.flush()
    except SensordError as exc:
        print(exc, file=sys.stderr)
        return 2 if isinstance(exc, UsageError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does.
        _drop_output()
        return 0
    except OSError as exc:
        if exc.errno not in NO_ROOM or name == "run":
            raise
        _drop_output()
        print(f"cannot write the output: {exc.strerror}", file=sys.stderr)
        return 1
    return status


def _parsed(given: Sequence[str]) -> tuple[str, argparse.Namespace]:
    """Read the command and its options; ends the process if they mean nothing."""
    name = given[0] if given else ""
    if name in COMMANDS:
        command = argparse.ArgumentParser(prog=f"sensord {name}", description=_sentence(name))
        _module(name).configure(command)
        # Intermixed: `sensord tail plant/# --json weather/#`. A subparser cannot do that.
        return name, command.parse_intermixed_args(given[1:])
    parser = argparse.ArgumentParser(prog="sensord", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"sensord {sensord.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary)
    parser.parse_args(given)
    raise AssertionError("no command, and yet understood")


def _sentence(name: str) -> str:
    return f"{COMMANDS[name].capitalize()}."


def _open_standard_files() -> None:
    """Have something stand where a shell has closed a standard file: sockets must not."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w"))


def _drop_output() -> None:
    """Let the interpreter, which flushes at its end, flush to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _joined(arguments: Sequence[str]) -> list[str]:
    """Join ``--from -10m`` to one argument: argparse takes what begins with - for an option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in {"--from", "--to"} and re.fullmatch(r"-\d.*", argument):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


class Command(Protocol):
    """The shape of a command's module."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare its options."""
        ...

    def run(self, options: argparse.Namespace) -> int:
        """Do it; return the exit status."""
        ...


def _module(name: str) -> Command:
    module = f"{name}_" if keyword.iskeyword(name) else name
    return cast("Command", importlib.import_module(f"sensord.cli.{module}"))
