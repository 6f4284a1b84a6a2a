"""Where to begin in the log, as requests give it: a position, a time, or an age."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from sensord.model.durations import ago_us
from sensord.model.readings import Position
from sensord.wire.fields import bad
from sensord.wire.frames import EXACT

__all__ = ["Ago", "Place", "Since", "Start", "read_place", "read_start", "write_place"]


@dataclass(frozen=True, slots=True)
class Since:
    """Begin with the first reading logged at or after a time."""

    time_us: int
    is_ago: bool = False
    """Whether it was counted back from the present, and so is time that really passed."""

    def at_us(self, _now_us: int, /) -> int:
        """Return the time."""
        return self.time_us


@dataclass(frozen=True, slots=True)
class Ago:
    """Begin this many microseconds before the server's present time."""

    us: int
    is_ago: ClassVar = True

    def at_us(self, now_us: int, /) -> int:
        """Return the time, counted back from the present one; 1970 if that lies further back."""
        return max(0, now_us - self.us)


Place = Position | Since | Ago
"""A place in the log: the reading at a position, or the first one at or after a time."""

Start = Literal["snapshot", "now"] | Place
"""Where a subscription may begin."""


_PLACES = '"-10m", {"epoch", "offset"} or {"time_us"}'


def read_start(raw: object) -> Start:
    """Read where a subscription begins.

    Raises:
        ProtocolError: It is none of these.
    """
    match raw:
        case None:
            return "snapshot"
        case "snapshot" | "now":
            return raw
    found = _place(raw)
    if found is None:
        raise bad("from", f'send "snapshot", "now", {_PLACES}')
    return found


def read_place(field: str, raw: object) -> Place:
    """Read a place in the log.

    Raises:
        ProtocolError: It is not a place.
    """
    found = _place(raw)
    if found is None:
        raise bad(field, f"send {_PLACES}")
    return found


def _place(raw: object) -> Place | None:
    match raw:
        case str():
            us = ago_us(raw)
            return None if us is None else Ago(us)
        # Types are compared exactly: True is an int to Python.
        case {"epoch": str(epoch), "offset": offset} if type(offset) is int and 0 <= offset < EXACT:
            return Position(epoch, offset)
        case {"time_us": time_us, **more} if type(time_us) is int and abs(time_us) < EXACT:
            is_ago = more.get("ago", False)
            return Since(time_us, is_ago) if type(is_ago) is bool else None
    return None


def write_place(start: Start) -> object:
    """Return where to begin as requests have it."""
    match start:
        case Position():
            return {"epoch": start.epoch, "offset": start.offset}
        case Since():
            return {"time_us": start.time_us} | ({"ago": True} if start.is_ago else {})
        case Ago():
            return f"-{start.us // 10**6}.{start.us % 10**6:06d}s"
    return start
