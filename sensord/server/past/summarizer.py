"""Summaries of intervals: what the readings of each interval come to, channel by channel. Pure.

Readings go through in log order and only the present interval is held, so a year costs no more
memory than a minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isfinite
from typing import NamedTuple, cast

from sensord.model.readings import Channel, Level, Record, Value, ValueType

__all__ = ["Interval", "Row", "Summarizer"]

SLEW_US = 2_000_000
"""A log time this little before the present interval is a clock being slewed, not one that was set;
the journal uses the same rule."""

_BAD = Level.BAD
_NUMBERS = frozenset({ValueType.FLOAT, ValueType.INT})


class Row:
    """What the readings of one channel come to in one interval."""

    __slots__ = ("channel", "count", "first", "is_number", "last", "max", "min", "total")

    def __init__(self, channel: Channel, value: Value) -> None:
        self.channel = channel
        self.is_number = channel.metadata.type in _NUMBERS
        self.count = 1
        self.first = self.last = value
        # Numbers, if that is the channel's type: then nothing else passed the bus.
        self.min = self.max = self.total = value

    @property
    def statistics(self) -> tuple[float, float, float | None] | None:
        """Minimum, maximum and mean of numbers; None of other values."""
        if not self.is_number:
            return None
        return cast("float", self.min), cast("float", self.max), self.mean

    @property
    def mean(self) -> float | None:
        """The sum of the numbers divided by their count; None if a float64 cannot hold the sum."""
        try:
            mean = float(self.total / self.count)  # type: ignore[operator]  # numbers
        except OverflowError:
            return None
        return mean if isfinite(mean) else None


class Interval(NamedTuple):
    """A complete interval. ``stop`` is the offset after its last reading."""

    start_us: int
    stop: int
    rows: list[Row]


class Summarizer:
    """Makes intervals of readings."""

    def __init__(self, interval_us: int) -> None:
        self._interval_us = interval_us
        self._start_us = self._end_us = 0
        """The present interval: from the first up to, not including, the second."""
        self._rows: dict[int, Row] = {}
        self.first_offset: int | None = None
        """The offset of the first reading of the present interval, if it has any."""

    @property
    def end_us(self) -> int | None:
        """When the present interval is over, if it has any rows."""
        return self._end_us if self._rows else None

    def take(self, records: Iterable[Record]) -> Iterator[Interval]:
        """Add the next readings; yield each interval that they complete."""
        rows, start_us, end_us = self._rows, self._start_us, self._end_us
        for offset, log_us, channel, (_, value, quality, restates) in records:
            if not start_us <= log_us < end_us:
                is_slew = 0 < start_us - log_us <= SLEW_US
                if not is_slew:
                    yield from self._complete(offset)
                    self._begin(log_us)
                    rows, start_us, end_us = self._rows, self._start_us, self._end_us
            if self.first_offset is None:
                self.first_offset = offset
            if restates or quality.level is _BAD:
                continue
            if value is None and channel.metadata.type is not ValueType.JSON:
                continue  # not a value, whatever its quality
            row = rows.get(channel.number)
            if row is None:
                rows[channel.number] = Row(channel, value)
                continue
            row.count += 1
            row.last = value
            if row.is_number:
                row.total += value  # type: ignore[operator]  # numbers
                if value < row.min:  # type: ignore[operator]  # numbers
                    row.min = value
                elif value > row.max:  # type: ignore[operator]  # numbers
                    row.max = value

    def complete(self, stop: int, now_us: int | None = None) -> Iterator[Interval]:
        """Yield the present interval if it is over by ``now_us``, or in any case."""
        if now_us is None:
            yield from self._complete(stop)
        elif now_us >= self._end_us:
            yield from self._complete(stop)
            self._begin(now_us)

    def _begin(self, time_us: int) -> None:
        self._start_us = time_us - time_us % self._interval_us
        self._end_us = self._start_us + self._interval_us

    def _complete(self, stop: int) -> Iterator[Interval]:
        rows, start_us = list(self._rows.values()), self._start_us
        self._rows = {}
        self.first_offset = None
        if rows:
            yield Interval(start_us, stop, rows)
