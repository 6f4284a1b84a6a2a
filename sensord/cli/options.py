"""Options that several commands have, and how their texts are read."""

from __future__ import annotations

import argparse
import json
import re
from datetime import datetime
from pathlib import Path

from sensord.errors import SensordError
from sensord.model import Position, Value

__all__ = [
    "DEFAULT_URL",
    "StartError",
    "configure_client",
    "configure_url",
    "count",
    "duration",
    "start_of",
    "value_of",
]

DEFAULT_URL = "ws://127.0.0.1:8765"


def configure_url(parser: argparse.ArgumentParser) -> None:
    """Declare where the daemon is."""
    parser.add_argument("--url", default=DEFAULT_URL, help="the daemon (default: %(default)s)")


def configure_client(parser: argparse.ArgumentParser) -> None:
    """Declare where the daemon is, and who the command is to it."""
    configure_url(parser)
    parser.add_argument(
        "--identity",
        type=Path,
        metavar="FILE",
        help="be the same client each time, so that what it holds and its keys outlive the command",
    )


def duration(text: str) -> float:
    """Read a duration of an option: seconds, or with a unit.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text}: expected a duration such as 2s or 500ms")
    return float(found[1]) * {"ms": 1e-3, "m": 60.0, "h": 3600.0, "d": 86_400.0}.get(found[2], 1.0)


def count(text: str) -> int:
    """Read a number of an option.

    Raises:
        argparse.ArgumentTypeError: It is none, or less than one.
    """
    if not text.isascii() or not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text}: expected a number from 1 on")
    return int(text)


def value_of(text: str) -> Value:
    """Read a value: JSON, and what is none is a text."""
    try:
        found: Value = json.loads(text)
    except ValueError:
        return text
    return found


class StartError(SensordError):
    """The text given to --from means nothing."""

    def __str__(self) -> str:
        return (
            f"--from {self.args[0]}: expected snapshot, now, -10m, EPOCH:OFFSET"
            " or a time such as 2026-11-22T17:00:00Z"
        )


def start_of(text: str) -> str | Position | int:
    """Read the option --from.

    Raises:
        StartError: It means nothing.
    """
    if text in {"snapshot", "now"} or re.fullmatch(r"-\d+(\.\d+)?[smhd]", text):
        return text
    if found := re.fullmatch(r"([0-9a-f]{16}):(\d+)", text):
        return Position(found[1], int(found[2]))
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1e6)
    except ValueError:
        raise StartError(text) from None
