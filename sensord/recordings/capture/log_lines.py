"""What the lines of a text log are: whose, and which part of them is a time. Pure.

Kinds: NMEA 0183 sentences; Signal K's hourly log (``ms;N;sentence``); gpspipe's JSON; lines with a
time in front; a CSV table with a time column; any other lines.
"""

from __future__ import annotations

import enum
import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

__all__ = ["LogKind", "is_fix", "json_time", "kind_of", "parted", "signalk"]

_SENTENCE = re.compile(rb"[$!](?:[A-Z0-9]{5}|P[A-Z0-9]{2,15}),")
_TAGGED = re.compile(rb"\\(?:[^\\]*,)?c:([0-9]{10,16})[^\\]*\\([$!].*)", re.DOTALL)
_SIGNALK = re.compile(rb"([0-9]{13});([^;]{1,64});(.*)", re.DOTALL)
_TIMED = re.compile(
    rb"[\[(]?([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
    rb"(?:Z|[+-][0-9]{2}:?[0-9]{2})?|[0-9]{10}(?:\.[0-9]{1,9})?|[0-9]{13}|[0-9]{16})"
    rb"(?:[\])][;:,]?\s*|[;:,]\s*|\s+)(\S.*)",
    re.DOTALL,
)


class LogKind(enum.Enum):
    """What the lines of a log are."""

    NMEA = "NMEA 0183 log"
    SIGNALK = "Signal K log"
    TIMED_NMEA = "NMEA 0183 log with times"
    GPSPIPE = "gpspipe log"
    TIMED = "log with times"
    LINES = "log"


def signalk(line: bytes) -> tuple[str, bytes, bytes] | None:
    """Return time, kind and sentence of a line of Signal K's log, or None."""
    found = _SIGNALK.fullmatch(line)
    return None if found is None else (found[1].decode(), found[2], found[3])


def parted(line: bytes) -> tuple[str, bytes] | None:
    """Return the time at the start of a line and the rest, or None if there is no time."""
    found = _TAGGED.fullmatch(line) or _TIMED.fullmatch(line)
    return None if found is None else (found[1].decode(), found[2])


def _gpspipe(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b"{"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("class"), str) else None


def json_time(line: bytes) -> str | None:
    """Return the time of a report of gpspipe, or None if it has none."""
    time = (_gpspipe(line) or {}).get("time")
    return time if isinstance(time, str) else None


def is_fix(line: bytes) -> bool:
    """Return whether a line of gpspipe is a report of a fix."""
    return (_gpspipe(line) or {}).get("class") == "TPV"


def kind_of(lines: Iterable[bytes]) -> LogKind:
    """Return what most of a log's first lines are."""
    counts: Counter[LogKind] = Counter()
    total = 0
    for line in lines:
        total += 1
        counts[_kind(line)] += 1
    kind, count = counts.most_common(1)[0] if counts else (LogKind.LINES, 0)
    return kind if count * 2 > total else LogKind.LINES


def _kind(line: bytes) -> LogKind:
    if (found := _SIGNALK.fullmatch(line)) and (found[2] == b"N" or _SENTENCE.match(found[3])):
        return LogKind.SIGNALK
    if _SENTENCE.match(line):
        return LogKind.NMEA
    if _gpspipe(line) is not None:
        return LogKind.GPSPIPE
    if (timed := parted(line)) is not None:
        return LogKind.TIMED_NMEA if _SENTENCE.match(timed[1]) else LogKind.TIMED
    return LogKind.LINES
