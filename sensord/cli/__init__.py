"""The `sensord` command: one module for each subcommand, imported when it is used."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterator, Sequence

import sensord
from sensord.cli.catalog import COMMANDS, module_of, overview, parser_of, unknown
from sensord.cli.json_lines import JsonLines, error_line
from sensord.cli.statuses import status_of
from sensord.errors import SensordError

__all__ = ["COMMANDS", "main"]

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""The errors of a write when the disk, or this user's quota, is full."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status (`sensord/cli/statuses.py`)."""
    name, is_json = "", False
    _open_standard_files()
    try:
        name, options, has_own_json = _parsed(
            _joined(sys.argv[1:] if arguments is None else arguments)
        )
        is_json = options.json
        with _output(is_converted=is_json and not has_own_json):
            status: int = module_of(name).run(options)
            sys.stdout.flush()
    except SensordError as exc:
        print(error_line(exc) if is_json else exc, file=sys.stderr)
        return status_of(exc)
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


def _parsed(given: Sequence[str]) -> tuple[str, argparse.Namespace, bool]:
    """Read the command and its options, and whether it makes JSON itself; end if invalid."""
    name = given[0] if given else ""
    if name in COMMANDS:
        parser, has_own_json = parser_of(name)
        # Intermixed: `sensord tail plant/# --json weather/#`. A subparser cannot do that.
        return name, parser.parse_intermixed_args(given[1:]), has_own_json
    if name in {"-h", "--help", "help"}:
        print(overview())
        sys.exit(0)
    if name == "--version":
        print(f"sensord {sensord.__version__}")
        sys.exit(0)
    print(unknown(name) if name else overview(), file=sys.stderr)
    sys.exit(2)


@contextlib.contextmanager
def _output(*, is_converted: bool) -> Iterator[None]:
    """Turn the lines of a command without JSON of its own into objects."""
    if not is_converted:
        yield
        return
    lines = JsonLines(sys.stdout)
    with contextlib.redirect_stdout(lines):
        yield
    lines.close()


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
