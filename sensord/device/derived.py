"""Derive values from other channels' readings: over a window, a rate, a total, a difference.

Pure: times are arguments, in microseconds of the wall clock.

Theory of operation. A source's value holds until its next reading: a channel that is published on
change says nothing while nothing changes. So a window is a sequence of stretches, each with the
value that held, or none where the source was bad or unknown: a hole. A result is never better than
its source: with a hole in the window it is ``uncertain: incomplete``, while the source is bad it is
bad for the same reason.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import deque
from typing import NamedTuple

from sensord.config.derived import Derived
from sensord.model.readings import GOOD, Level, Quality, Reading, Reason, Value

__all__ = ["INCOMPLETE", "NO_UNIT", "REASONS", "Derivation", "Result", "derived_unit"]

INCOMPLETE = Quality(Level.UNCERTAIN, "incomplete")
_RESET = Quality(Level.UNCERTAIN, "counter_reset")
_SPIKE = Quality(Level.UNCERTAIN, "spike")
SPIKE = 3 * 1.4826
"""Median deviations from the median: three standard deviations of normal noise (Hampel 1974)."""
_NONE_LEFT = Quality(Level.BAD, "no_source")
_NO_NUMBER = Quality(Level.BAD, Reason.WRONG_TYPE)
NO_UNIT = Quality(Level.BAD, Reason.WRONG_UNIT)
REASONS = frozenset(one.reason for one in (INCOMPLETE, _RESET, _SPIKE, _NONE_LEFT))
"""Those that only derived channels have."""

_DIFFERENCES = {"Cel": "K", "[degF]": "[degR]"}
"""Units whose zero is arbitrary, and those of their differences."""

GLITCH = 1.1
"""A counter that showed 0 and is back at where it was, or at most so many times as far, was never
reset: a device that answers before it has read its memory shows 0."""

MOST_STRETCHES = 20_000
"""Of one window; the oldest become a hole, which the result shows."""


class Result(NamedTuple):
    """A value that was worked out."""

    value: float | None
    quality: Quality


class _Stretch(NamedTuple):
    start_us: int
    value: float | None
    quality: Quality


def derived_unit(kind: str, unit: str) -> str:
    """Return the unit of what is derived from a channel."""
    if kind in {"rate", "minus"}:
        unit = _DIFFERENCES.get(unit, unit)
    return f"{unit}/s" if kind == "rate" else unit


class Derivation:
    """One derived channel's memory of its sources."""

    def __init__(self, rules: Derived) -> None:
        self._rules = rules
        self._kind = rules.kind
        self._window_us = round((rules.window_s or 0.0) * 1e6)
        self._stretches: deque[_Stretch] = deque()
        count = max(len(rules.sources), 2)
        self._latest: list[_Stretch | None] = [None] * count
        self._heard_us = [0] * count
        self._few: deque[_Stretch] = deque(maxlen=rules.median or rules.hampel or 1)
        self.offset = 0.0
        """Of a total: what is added to the counter."""
        self.count: float | None = None
        """Of a total: the counter as it was last seen."""
        self.first: float | None = None
        """Of a total: the counter as it was first seen."""
        self.is_resumed = False
        """Of a total: whether ``count`` is from before a restart, and may not be the last one."""
        self._doubt = GOOD
        self._before_zero: tuple[float, float] | None = None
        """Of a total whose counter shows 0: the counter before, and what that added."""

    def push(self, index: int, reading: Reading, at_us: int, log_us: int = 0) -> int:
        """Accept a source's reading that holds from ``at_us`` on; return when it really does.

        ``log_us`` is when it arrived, from which silence counts.
        """
        number = _number(reading.value)
        quality = reading.quality
        if number is None and quality.level is not Level.BAD:
            quality = _NO_NUMBER
        is_bad = quality.level is Level.BAD
        if quality.level is Level.GOOD or not (is_bad or reading.restates):
            self._heard_us[index] = log_us
        before = self._latest[index]
        at_us = at_us if before is None else max(at_us, before.start_us)
        stretch = _Stretch(at_us, None if is_bad else number, quality)
        self._latest[index] = stretch
        if self._window_us:
            self._stretches.append(stretch)
            if len(self._stretches) > MOST_STRETCHES:
                self._stretches.popleft()
        if not is_bad and not reading.restates:
            self._few.append(stretch)
        if self._kind == "total" and stretch.value is not None:
            self._count(stretch.value)
        return at_us

    def join(self, offset: float, count: float) -> None:
        """Add a total of before the start that is known only now."""
        if self.first is None:
            self.offset, self.count, self.is_resumed = offset, count, True
            return
        earlier = Derivation(self._rules)
        earlier.offset, earlier.count = offset, count
        earlier._count(self.first)
        self.offset += earlier.offset

    def choice(self, now_us: int) -> int | None:
        """Return the best source that is neither bad nor silent; None if all are.

        Of two, a good one comes before an uncertain one of higher rank.
        """
        timeout = self._rules.timeout
        usable = []
        for index, one in enumerate(self._latest[: len(self._rules.sources)]):
            if one is None or one.value is None:
                continue
            is_silent = timeout is not None and now_us - self._heard_us[index] >= timeout * 1e6
            if not is_silent:
                usable.append((one.quality.level, index))
        return min(usable)[1] if usable else None

    def chosen(self, index: int | None) -> tuple[int, Result]:
        """Return the reading of a source that was chosen: its time, value and quality."""
        one = None if index is None else self._latest[index]
        return (0, Result(None, _NONE_LEFT)) if one is None else (one.start_us, Result(*one[1:]))

    def result(self, now_us: int) -> Result | None:
        """Return the value at a time; None before every source has spoken."""
        latest = [one for one in self._latest[: len(self._rules.sources)] if one is not None]
        if len(latest) < len(self._rules.sources):
            return None
        worst = max((one.quality for one in latest), key=lambda one: one.level)
        if worst.level is Level.BAD:
            return Result(None, worst)
        value, quality = self._value(now_us)
        if value is None or not math.isfinite(value):
            return Result(None, Quality(Level.BAD, Reason.NOT_FINITE))
        return Result(value, worst if worst.level > quality.level else quality)

    def _value(self, now_us: int) -> tuple[float | None, Quality]:
        first, second = self._latest[:2]
        assert first is not None
        if self._kind == "minus":
            assert second is not None
            assert first.value is not None
            assert second.value is not None
            return first.value - second.value, GOOD
        if self._kind == "total":
            assert self.count is not None
            return self.count + self.offset, self._doubt
        if self._kind in {"median", "hampel"}:
            return self._filtered(first)
        return self._over_window(now_us)

    def _filtered(self, latest: _Stretch) -> tuple[float | None, Quality]:
        values = [one.value for one in self._few if one.value is not None]
        quality = GOOD if len(values) == self._few.maxlen else INCOMPLETE
        middle = statistics.median(values or [math.nan])
        if self._kind == "median" or latest.value is None:
            return middle, quality
        spread = statistics.median([abs(value - middle) for value in values or [math.nan]])
        if abs(latest.value - middle) > SPIKE * spread:
            return middle, _SPIKE
        return latest.value, quality

    def _over_window(self, now_us: int) -> tuple[float | None, Quality]:
        now_us = max(now_us, self._stretches[-1].start_us)
        begin_us = now_us - self._window_us
        while len(self._stretches) > 1 and self._stretches[1].start_us <= begin_us:
            self._stretches.popleft()
        ends = [one.start_us for one in itertools.islice(self._stretches, 1, None)] + [now_us]
        parts: list[tuple[float, int]] = []
        quality, whole_us = GOOD, 0
        for one, end_us in zip(self._stretches, ends, strict=True):
            length_us = end_us - max(one.start_us, begin_us)
            if one.value is not None:
                parts.append((one.value, length_us))
                whole_us += length_us
                if one.quality.level > quality.level:
                    quality = one.quality
        if whole_us < self._window_us and quality is GOOD:
            quality = INCOMPLETE
        values = [value for value, _ in parts]
        match self._kind:
            case "min":
                return min(values), quality
            case "max":
                return max(values), quality
            case "mean":
                if not whole_us:
                    return values[-1], quality
                mean = math.fsum(value * (length / whole_us) for value, length in parts)
                return min(max(mean, min(values)), max(values)), quality
        first = next(one for one in self._stretches if one.value is not None)
        passed_us = now_us - max(first.start_us, begin_us)
        return ((values[-1] - values[0]) / passed_us * 1e6 if passed_us else 0.0), quality

    def _count(self, value: float) -> None:
        """Follow a counter across its wraps and resets."""
        before, self.count = self.count, value
        self.first = value if self.first is None else self.first
        # Its course between the kept count and this one, perhaps a wrap, is unknown.
        self._doubt, self.is_resumed = INCOMPLETE if self.is_resumed else GOOD, False
        lost, self._before_zero = self._before_zero, None
        if lost is not None and value == 0:
            self._before_zero, self._doubt = lost, _RESET
            return
        if lost is not None and lost[0] <= value <= lost[0] * GLITCH:
            self.offset -= lost[1]  # it was no reset: the counter is where it was
            return
        if before is None or value >= before:
            return
        wrap = self._rules.wrap
        is_wrap = wrap is not None and before - value > wrap / 2
        added = wrap if is_wrap and wrap is not None else before
        self.offset += added
        if not is_wrap:  # it began at 0 again; what it counted just before is lost
            self._doubt = _RESET
        if value == 0:
            self._before_zero, self._doubt = (before, added), _RESET


def _number(value: Value) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
