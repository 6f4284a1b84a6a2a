"""The `sensord` command: one module a command, imported when it is used."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Sequence
from typing import Protocol, cast

import sensord
from sensord.errors import SensordError

__all__ = ["main"]

COMMANDS = {
    "run": "run the daemon on a configuration file",
    "check": "check a configuration file; touches no device and no network",
    "demo": "run the whole chain without hardware or broker",
    "tail": "follow readings of a running daemon",
    "info": "say what is in journals and recorded files",
    "export": "write recorded readings into a file of another kind",
    "ports": "list serial ports with their stable paths",
}

DESCRIPTION = "The daemon between ugly sensors and the people who need their readings."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 1 failed, 2 asked for wrongly."""
    given = _joined(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="sensord", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"sensord {sensord.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        if name in given:
            _module(name).configure(command)
    options = parser.parse_args(given)
    try:
        status: int = _module(options.command).run(options)
        sys.stdout.flush()
    except SensordError as exc:
        print(exc, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does; let the interpreter flush to nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


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
    return cast("Command", importlib.import_module(f"sensord.cli.{name}"))
