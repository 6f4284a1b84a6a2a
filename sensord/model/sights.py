"""What can be seen of a device's connection: bytes both ways, and what became of them. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from sensord.model.readings import GOOD, Quality, Value

__all__ = ["MOST_SHOWN", "Sight", "What"]

MOST_SHOWN = 4096
"""Bytes of one piece that are shown; its length is always given."""


class What(enum.StrEnum):
    """What a sight is of."""

    RECEIVED = "received"
    """Bytes from the device, as they came."""
    SENT = "sent"
    """Bytes to the device: a request, a command."""
    MESSAGE = "message"
    """A whole message, such as one of a broker."""
    VALUE = "value"
    """A decoded value, published or not."""
    FAULT = "fault"
    UP = "up"
    DOWN = "down"
    DROPPED = "dropped"
    """So many sights were left out: the client did not read fast enough."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One thing seen; which fields it has depends on ``what``."""

    time_us: int
    what: What
    data: bytes = b""
    """At most `MOST_SHOWN` bytes of a piece."""
    length: int = 0
    """How many bytes the piece had."""
    source: str = ""
    """Where a message came from: an MQTT topic, a path, a request's name."""
    is_retained: bool = False
    topic: str = ""
    unit: str = ""
    value: Value = None
    quality: Quality = GOOD
    reason: str = ""
    """Of a fault."""
    detail: str = ""
    count: int = 0
    """How many were dropped."""
