"""Readings as InfluxDB line protocol. Pure.

Source: the line protocol reference of InfluxDB 2. A point is identified by measurement, tags and
time, and written over by a later one with the same; so a reading that is sent twice is one point.
Times are in nanoseconds: the microseconds of the reading, and its offset modulo 1000, so that two
readings of one microsecond remain two points.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

from sensord.model.readings import Level, Record, Value

__all__ = ["lines"]

_TAG = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", "\n": r"\n", "\r": r"\r"})
_MEASUREMENT = str.maketrans({",": r"\,", " ": r"\ ", "\n": r"\n", "\r": r"\r"})
_TEXT = str.maketrans({'"': r"\"", "\\": r"\\"})


def lines(measurement: str, epoch: str, records: Iterable[Record]) -> bytes:
    """Write one line for each record.

    A value that is not new, such as a heartbeat, gets its report time. A bad
    value is left out: its point has only its quality and reason.
    """
    name = measurement.translate(_MEASUREMENT)
    heads: dict[int, str] = {}
    out = []
    for record in records:
        offset, log_us, channel, (time_us, value, quality, restates) = record
        head = heads.get(id(channel))
        if head is None:
            metadata = channel.metadata
            tags = {"topic": channel.topic, "device": metadata.device, "unit": metadata.unit}
            written = "".join(f",{key}={_tag(text)}" for key, text in tags.items() if text)
            head = heads[id(channel)] = name + written
        fields = [] if quality.level is Level.BAD else _fields(value)
        fields.append(f'quality="{quality.level.name.lower()}"')
        if quality.reason:
            fields.append(f"reason={_text(quality.reason)}")
        fields.append(f'epoch="{epoch}",offset={offset}i')
        time_ns = (log_us if restates else time_us) * 1000 + offset % 1000
        out.append(f"{head} {','.join(fields)} {time_ns}\n")
    return "".join(out).encode("utf-8", "replace")


def _tag(text: str) -> str:
    # A backslash at the end would escape what follows, and has no escape of its own in tags.
    return text.translate(_TAG).rstrip("\\") or "_"


def _text(text: str) -> str:
    return f'"{text.translate(_TEXT)}"'


def _fields(value: Value) -> list[str]:
    """Write a value, in a field of its own for each type: a field's type never changes."""
    match value:
        case None:
            return []
        case bool():
            return [f"flag={'true' if value else 'false'}"]
        case str():
            return [f"text={_text(value)}"]
        case int() | float():
            return _number(value)
        case _:
            return [f"json={_text(json.dumps(value, ensure_ascii=False))}"]


def _number(value: float) -> list[str]:
    try:
        number = float(value)
    except OverflowError:
        return [f"text={_text(str(value))}"]
    if not math.isfinite(number):
        return []
    # A whole number that no float holds is given as it is, too.
    exact = [] if number == value else [f"text={_text(str(value))}"]
    return [f"value={number!r}", *exact]
