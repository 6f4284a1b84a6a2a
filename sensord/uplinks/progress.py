"""What an uplink has still to deliver: everything from one offset on, and ranges before it. Pure.

Theory of operation. Readings from ``live`` on are pending for ever. When the other side comes back
after an outage, an uplink that sends live readings first turns what has accumulated into a range
*behind*, and sends it beside the live ones. A range shrinks from its start as it is acknowledged.
Offsets are in one log; its epoch is saved with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from sensord.model.readings import Value

__all__ = ["Progress", "Range"]

MOST_RANGES = 64
"""Beyond it the two newest become one: what lies between them is delivered twice, never lost."""


@dataclass(slots=True)
class Range:
    """Offsets from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int


@dataclass(slots=True)
class Progress:
    """The pending offsets."""

    live: int
    behind: list[Range] = field(default_factory=list)

    def set_behind(self, tail: int) -> None:
        """Turn everything pending before ``tail`` into a range behind."""
        if tail <= self.live:
            return
        self.behind.append(Range(self.live, tail))
        self.live = tail
        if len(self.behind) > MOST_RANGES:
            last = self.behind.pop()
            self.behind[-1].stop = last.stop

    def delivered(self, stop: int) -> None:
        """Note that everything from ``live`` up to ``stop`` is acknowledged."""
        self.live = max(self.live, stop)

    def delivered_behind(self, stop: int) -> None:
        """Note that the first range is acknowledged up to ``stop``."""
        first = self.behind[0]
        first.start = max(first.start, stop)
        if first.start >= first.stop:
            del self.behind[0]

    def pending(self, tail: int) -> int:
        """Return how many offsets are not acknowledged: at least as many as readings."""
        return max(0, tail - self.live) + sum(one.stop - one.start for one in self.behind)

    @property
    def oldest(self) -> int:
        """The first offset that is not acknowledged."""
        return self.behind[0].start if self.behind else self.live

    def write(self, epoch: str) -> Value:
        """Return what `read` takes."""
        behind: list[Value] = [[one.start, one.stop] for one in self.behind]
        return {"epoch": epoch, "live": self.live, "behind": behind}

    @classmethod
    def read(cls, value: Value) -> tuple[str, Self] | None:
        """Return the epoch and the progress of what `write` returned; None if it is damaged."""
        match value:
            case {"epoch": str(epoch), "live": int(live), "behind": list(behind)} if live >= 0:
                ranges = [_range(one) for one in behind]
                whole = [one for one in ranges if one is not None and one.stop <= live]
                return (epoch, cls(live, whole)) if len(whole) == len(ranges) else None
        return None


def _range(value: Value) -> Range | None:
    match value:
        case [int(start), int(stop)] if 0 <= start < stop:
            return Range(start, stop)
    return None
