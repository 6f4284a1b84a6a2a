"""The configuration of an alarm: on which topic, when, how urgent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from sensord.config.schema import Duration, Printable, Scalar, Within
from sensord.model.topics import topic_fault

__all__ = ["Alarm", "name_fault"]

_UP_TO_A_YEAR = Within(0, 366 * 86_400.0)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm: it is on while any of its conditions holds.

    Units: the limits and ``hysteresis`` in the channel's own unit.
    """

    topic: str
    above: float | None = None
    below: float | None = None
    outside: tuple[float, ...] = ()
    equals: Scalar | None = None
    quality: Literal["uncertain", "bad"] | None = None
    stale: Annotated[Duration, Within(0.1, 366 * 86_400.0)] | None = None
    """Without a good reading for so many seconds."""
    hysteresis: float = 0.0
    delay: Annotated[Duration, _UP_TO_A_YEAR] = 0.0
    off_delay: Annotated[Duration, _UP_TO_A_YEAR] = 0.0
    priority: Literal["low", "medium", "high", "critical"] = "medium"
    text: Printable = ""

    @property
    def highest(self) -> float | None:
        """The upper limit."""
        return self.outside[-1] if self.outside else self.above

    @property
    def lowest(self) -> float | None:
        """The lower limit."""
        return self.outside[0] if self.outside else self.below

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        if message := topic_fault(self.topic):
            yield "topic", f"{message}; an alarm watches one topic"
        limits = (self.highest, self.lowest, self.equals, self.quality, self.stale)
        if all(one is None for one in limits):
            yield "", "needs a condition: above, below, outside, equals, quality or stale"
        if self.outside and (len(self.outside) != 2 or self.outside[0] >= self.outside[1]):  # noqa: PLR2004  # a pair
            yield "outside", "expected [lowest, highest]"
        elif self.outside and (self.above is not None or self.below is not None):
            yield "outside", "give outside, or above and below"
        elif self.above is not None and self.below is not None and self.below > self.above:
            yield "below", f"is above {self.above:g}, so that every value would be an alarm"
        if self.hysteresis < 0:
            yield "hysteresis", "may not be negative"
        elif self.hysteresis and self.highest is None and self.lowest is None:
            yield "hysteresis", "is for above, below and outside"
        elif self.highest is not None and self.lowest is not None:
            yield from self._gap_faults(self.highest - self.lowest)

    def _gap_faults(self, gap: float) -> Iterator[tuple[str, str]]:
        if 2 * self.hysteresis >= gap > 0:
            yield "hysteresis", "leaves no value at which the alarm would go off"


def name_fault(name: str) -> str | None:
    """Return why an alarm cannot have a name, or None."""
    if "/" in name or name.startswith("$") or topic_fault(name):
        return "an alarm's name is one level of a topic: letters, digits, - and _"
    return None
