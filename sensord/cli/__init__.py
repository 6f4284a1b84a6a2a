"""The `sensord` command: one module for each subcommand, imported when it is used."""

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
    "reload": "have a running daemon read its configuration again",
    "profiles": "list profiles of devices, show one, or test them on their samples",
    "try": "pass a line or bytes through a decoder, a profile or a configured device",
    "demo": "run the whole chain without hardware or broker",
    "status": "say whether all is well, the worst first",
    "monitor": "fill the terminal with values, devices and alarms, as they change",
    "tail": "follow readings of a running daemon",
    "history": "show past readings, or a summary per interval",
    "get": "show the last values of topics",
    "topics": "list topics with their units and kinds",
    "devices": "list devices and their states",
    "sniff": "show what a device's connection carries, raw and decoded, while it runs",
    "clients": "list connected clients and what they watch",
    "uplinks": "list deliveries to other systems; pause, resume or rewind one",
    "controls": "list what can be set and called",
    "set": "set a writable topic of a device",
    "call": "call an action of a device, or a service",
    "serve": "offer a service that runs a program for each call",
    "lease": "hold a device, a topic or an action, so that no other client acts on it",
    "send": "send a message to other clients",
    "receive": "show messages from other clients",
    "publish": "publish readings of a topic that is open to clients",
    "put": "write shared state",
    "delete": "delete shared state",
    "forget": "remove topics that will not come back from listings and snapshots",
    "cert": "make a certificate for TLS, and print its fingerprint",
    "alarms": "list alarms, the most urgent first",
    "ack": "acknowledge an alarm",
    "shelve": "silence an alarm for some time",
    "unshelve": "end the silence of an alarm",
    "token": "create, list and revoke the tokens that let programs and people in",
    "wear": "estimate how long the SD card or disk will last",
    "info": "describe journals and recorded files",
    "export": "convert recorded readings to another format",
    "import": "make a recording from CSV files and logs of other programs",
    "record": "record the readings of a running daemon into a file",
    "capture": "store what a device sends, byte for byte",
    "replay": "serve recordings to monitors as a running daemon would",
    "doctor": "look at each configured device, from the port to the values",
    "setup": "install the service on this machine, or remove it",
    "ports": "list serial ports with their stable paths",
}

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The errors of a write when the disk, or this user's quota, is full."""

DESCRIPTION = "The daemon between ugly sensors and the people who need their readings."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 1 failed, 2 wrong usage."""
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
    """Read the command and its options; end the process if they are invalid."""
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
    summary = COMMANDS[name]
    return f"{summary[0].upper()}{summary[1:]}."


def _open_standard_files() -> None:
    """Open the null device for each closed standard file, so that no socket gets its number."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w"))


def _drop_output() -> None:
    """Send the interpreter's last flush to the null device."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _joined(arguments: Sequence[str]) -> list[str]:
    """Join ``--from -10m`` to one argument: argparse reads a leading ``-`` as an option."""
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
        """Run the command; return the exit status."""
        ...


def _module(name: str) -> Command:
    module = f"{name}_" if keyword.iskeyword(name) else name
    return cast("Command", importlib.import_module(f"sensord.cli.{module}"))
