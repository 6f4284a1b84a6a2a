"""A message of a stream, as a reading at its place in the gateway's log. Pure.

`sensord/uplinks/nats.py` writes the messages; the epoch and offset in each are the gateway's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from sensord.model.readings import (
    GOOD,
    LATEST_US,
    Level,
    Metadata,
    Quality,
    Reading,
    Value,
    ValueType,
)
from sensord.model.times import time_us_of
from sensord.model.topics import topic_fault
from sensord.uplinks.channel_header import CHANNEL, metadata_of

__all__ = ["Arrival", "Missing", "Reader"]

GAP = "$gap/"
"""The topics under which an uplink reports what it could not deliver."""

_LEVELS = {"good": Level.GOOD, "uncertain": Level.UNCERTAIN, "bad": Level.BAD}

_EPOCH = re.compile(r"\w{1,64}")


class Arrival(NamedTuple):
    """A reading at its place in a gateway's log."""

    sequence: int
    """Of the message in the stream."""
    epoch: str
    offset: int
    log_us: int
    topic: str
    metadata: Metadata
    reading: Reading


class Missing(NamedTuple):
    """Offsets that the uplink could not deliver."""

    sequence: int
    epoch: str
    offset: int
    """The first of them."""
    stop: int
    reason: str


class Reader:
    """Reads messages; remembers what the description of a channel means."""

    def __init__(self) -> None:
        self._described: dict[tuple[str, str], Metadata] = {}
        self._second = ("", 0)

    def read(
        self, sequence: int, data: bytes, headers: Mapping[str, str] | None
    ) -> Arrival | Missing:
        """Read a message.

        Raises:
            ValueError: sensord did not write it.
        """
        found: Any = json.loads(data)
        if not isinstance(found, dict):
            raise ValueError("not a map")  # noqa: TRY004  # one error for all that it may be
        topic, epoch, offset = found.get("topic"), found.get("epoch"), found.get("offset")
        if not isinstance(topic, str) or topic_fault(topic):
            raise ValueError("topic")
        if not isinstance(epoch, str) or not _EPOCH.fullmatch(epoch):
            raise ValueError("epoch")
        if type(offset) is not int or not 0 <= offset < LATEST_US:
            raise ValueError("offset")
        value: Value = found.get("value")
        if topic.startswith(GAP):
            return _missing(sequence, epoch, offset, value)
        unit, about = found.get("unit", ""), (headers or {}).get(CHANNEL, "")
        metadata = self._described.get((about, unit))
        if metadata is None:
            metadata = self._described[about, unit] = metadata_of(about, str(unit))
        time_us = self._time_us(found.get("time"))
        restated, logged = found.get("restated"), found.get("logged")
        log_us = time_us
        if restated is not None or logged is not None:
            log_us = self._time_us(logged if restated is None else restated)
        quality = GOOD
        if (level := found.get("quality")) != "good":
            if level not in _LEVELS:
                raise ValueError("quality")
            quality = Quality(_LEVELS[level], str(found.get("reason", "")))
        if not _fits(value, metadata.type):
            raise ValueError("value")
        reading = Reading(time_us, value, quality, restated is not None)
        return Arrival(sequence, epoch, offset, log_us, topic, metadata, reading)

    def _time_us(self, text: object) -> int:
        """Read a time as the uplink writes it: one second's are alike but for the end."""
        if not isinstance(text, str) or len(text) != len("2026-01-01T00:00:00.000000Z"):
            raise ValueError("time")
        second, rest = text[:19], text[20:26]
        if second != self._second[0]:
            whole = time_us_of(f"{second}Z", None)
            if whole is None:
                raise ValueError("time")
            self._second = second, whole
        if not rest.isdecimal():
            raise ValueError("time")
        return self._second[1] + int(rest)


def _missing(sequence: int, epoch: str, offset: int, value: Value) -> Missing:
    if not isinstance(value, dict):
        raise ValueError("gap")  # noqa: TRY004  # the same
    stop, reason = value.get("to"), value.get("reason")
    if type(stop) is not int or stop < offset:
        raise ValueError("gap")
    return Missing(sequence, epoch, offset, stop, str(reason or "missing"))


def _fits(value: Value, kind: ValueType) -> bool:
    """Return whether a value is of a channel's type; none is, under a bad quality."""
    if value is None or kind is ValueType.JSON:
        return True
    match kind:
        case ValueType.FLOAT:
            return type(value) is float
        case ValueType.INT:
            return type(value) is int
        case ValueType.BOOL:
            return type(value) is bool
        case ValueType.STRING:
            return type(value) is str
