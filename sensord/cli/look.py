"""How lines for people look: as wide as the terminal, in colour where that helps, in local time."""

from __future__ import annotations

import os
import shutil
import sys
import time
from datetime import UTC, datetime

from sensord.cli.hints import note
from sensord.model.readings import Level
from sensord.terminal.cells import clean, cut
from sensord.terminal.values import zone_text

__all__ = ["columns", "fitted", "local", "note_zone", "painted", "zone"]

_COLOURS = {Level.UNCERTAIN: "\x1b[33m", Level.BAD: "\x1b[31m"}
_PLAIN = "\x1b[0m"


def columns() -> int | None:
    """Return how many columns the output has; None if it is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fitted(line: str) -> str:
    """Cut a line to the terminal's width; elsewhere it stays whole."""
    width = columns()
    return line if width is None else cut(clean(line), width)


def painted(line: str, level: Level) -> str:
    """Colour a line by a quality, on a terminal that shows colours and unless $NO_COLOR is set."""
    code = _COLOURS.get(level)
    is_dumb = os.environ.get("TERM", "dumb") == "dumb"
    if code is None or is_dumb or os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return line
    return f"{code}{line}{_PLAIN}"


def local(time_us: object, *, has_day: bool = True, has_fraction: bool = False) -> str:
    """Write a time in this machine's zone; ``-`` for none."""
    if not isinstance(time_us, int):
        return "-"
    try:
        seconds, rest = divmod(time_us, 1_000_000)
        moment = datetime.fromtimestamp(seconds, UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return "?"
    text = f"{moment:%Y-%m-%d %H:%M:%S}" if has_day else f"{moment:%H:%M:%S}"
    return f"{text}.{rest // 1000:03}" if has_fraction else text


def zone() -> str:
    """Return the name of this machine's zone at present, such as CET."""
    return zone_text(time.time_ns() // 1000)


def note_zone() -> None:
    """Note the zone of the times that follow, where a person may wonder."""
    if sys.stdout.isatty() or zone() != "UTC":
        moment = datetime.now(UTC).astimezone()
        note(f"times are {zone()} (UTC{moment:%z})")
