"""What the screen shows of one topic: its last value and latest numbers, or its past. Pure."""

from __future__ import annotations

from collections import deque
from copy import copy
from dataclasses import dataclass, field

from sensord.model.readings import Channel, Reading, Value

__all__ = ["Column", "Past", "Row"]

SPARK_CELLS = 32
"""Numbers kept of each topic."""

SPARK_US = 5_000_000
"""The time that one cell of a sparkline stands for."""

MAX_PAST = 500


@dataclass(slots=True)
class Row:
    """A topic: its channel, its last value, and a number for each of the latest moments."""

    channel: Channel
    reading: Reading
    reported_us: int
    changed_us: int
    spark: deque[float | None] = field(default_factory=lambda: deque(maxlen=SPARK_CELLS))
    cell: int = 0
    """Which moment the last number is of."""

    @property
    def topic(self) -> str:
        """Its name."""
        return self.channel.topic

    def put(self, number: Value, at_us: int) -> None:
        """Keep a number, if it is one, for the moment it belongs to."""
        cell = at_us // SPARK_US
        passed = cell - self.cell if self.spark else 1
        try:
            known = float(number) if isinstance(number, int | float) else None
        except OverflowError:
            known = None
        if passed <= 0:
            self.spark[-1] = known
            return
        if passed > 1:  # a value holds until another one is reported
            self.spark.extend([self.spark[-1]] * min(passed - 1, SPARK_CELLS))
        self.spark.append(known)
        self.cell = cell

    def moments(self, now_us: int) -> list[float | None]:
        """Return the numbers of the latest moments, up to the present one."""
        passed = max(0, min(now_us // SPARK_US - self.cell, SPARK_CELLS))
        return [*self.spark, *([self.spark[-1]] * passed if self.spark else [])]

    def frozen(self) -> Row:
        """Return a copy that later readings do not change."""
        made = copy(self)
        made.spark = self.spark.copy()
        return made


@dataclass(frozen=True, slots=True)
class Column:
    """One interval of a topic's past."""

    time_us: int
    low: float
    high: float
    mean: float
    count: int


@dataclass(slots=True)
class Past:
    """The past of one topic, as far as it is known."""

    topic: str
    span_s: float
    interval_s: float = 1.0
    start_us: int = 0
    columns: list[Column] = field(default_factory=list)
    readings: deque[Reading] = field(default_factory=lambda: deque(maxlen=MAX_PAST))
    gaps: list[str] = field(default_factory=list)
    is_known: bool = False
    fault: str = ""
