"""How far the wall clock can be trusted, and how much time really passed: the clock records.

Pure. A board without a clock battery boots with a wrong time. Within a boot the monotonic clock
counts how much time passed; between two boots that is unknown, unless both had a clock that can be
trusted.

Source: docs/journal.md, Clock records.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

__all__ = ["NO_SHIFTS", "STEP_US", "ClockRecord", "Shifts", "Timeline", "Trust", "elapsed_bases"]

KEPT = 4096
"""Records; an hour apart, those of half a year."""

NOTICED_US = 5_000_000
"""A step is noticed within this time: what was stamped meanwhile has the time of the new clock."""

STEP_US = 500_000
"""Daemons that slew a clock move it by less between two records."""

SLACK_US = 2_000_000
"""Of what a slewed clock may stray from its record, and of the journal's raised log times."""

_FOREVER_US = 1 << 62


class Trust(enum.IntEnum):
    """How far the wall clock can be trusted."""

    UNSET = 0
    SET = 1
    SYNCHRONISED = 2


class ClockRecord(NamedTuple):
    """The wall clock's time at a moment of a boot."""

    first: int
    """Readings from this offset on have this clock's times."""
    boot: str
    monotonic_us: int
    wall_us: int
    trust: Trust
    before_us: int | None = None
    """The last log time before it, in the first record of a boot."""

    @property
    def drift_us(self) -> int:
        """What the wall clock is ahead of the monotonic one."""
        return self.wall_us - self.monotonic_us


class _Boot:
    """The records of one boot, as `elapsed_bases` counts along them."""

    def __init__(self, records: Sequence[ClockRecord]) -> None:
        self.records = records
        self.base_us = 0
        """Elapsed time at zero of the monotonic clock."""
        self.end_us = records[-1].monotonic_us
        """The monotonic clock when it was last known to run."""

    def first_trusted(self, least: Trust) -> ClockRecord | None:
        return next((record for record in self.records if record.trust >= least), None)

    def last_trusted(self, least: Trust) -> ClockRecord | None:
        return next((record for record in reversed(self.records) if record.trust >= least), None)


def elapsed_bases(
    records: Sequence[ClockRecord],
    least: Trust,
    *,
    longest_pause_us: int = _FOREVER_US,
    uses_log_times: bool,
) -> list[int]:
    """Return, for each record, the elapsed time at zero of its boot's monotonic clock.

    ``least`` is how far both clocks around a pause must be trusted. With ``uses_log_times`` a boot
    lasted until the last reading that it logged, else until its last record: log times may be
    wrong.
    """
    boots = [_Boot(list(group)) for _, group in groupby(records, key=lambda record: record.boot)]
    anchor: tuple[int, ClockRecord] | None = None  # the last trusted record, and its boot's place
    for i, boot in enumerate(boots):
        if i:
            _follow(boot, boots[i - 1], uses_log_times=uses_log_times)
        trusted = boot.first_trusted(least)
        if trusted is not None and anchor is not None:
            at, before = anchor
            since_us = boot.base_us + trusted.monotonic_us
            since_us -= boots[at].base_us + before.monotonic_us
            pause_us = trusted.wall_us - before.wall_us - since_us
            for later in boots[at + 1 : i + 1]:
                later.base_us += min(max(pause_us, 0), longest_pause_us)
        last = boot.last_trusted(least)
        anchor = anchor if last is None else (i, last)
    return [boot.base_us for boot in boots for _ in boot.records]


def _follow(boot: _Boot, before: _Boot, *, uses_log_times: bool) -> None:
    """Begin a boot where the previous one ended."""
    first, last = boot.records[0], before.records[-1]
    if uses_log_times and first.before_us is not None:
        before.end_us = max(before.end_us, first.before_us - last.drift_us)
    boot.base_us = before.base_us + before.end_us - first.monotonic_us


class _Stretch(NamedTuple):
    """Offsets whose log times one clock gave, and what is to be added to them."""

    first: int
    low_us: int
    high_us: int
    """The log times that it can have given."""
    shift_us: int


class Shifts:
    """What is to be added to log times, by offset."""

    def __init__(self, stretches: Sequence[_Stretch] = ()) -> None:
        self._stretches = stretches
        self._firsts = [stretch.first for stretch in stretches]
        self.is_zero = all(stretch.shift_us == 0 for stretch in stretches)
        """Whether there is nothing to add anywhere."""

    def of(self, offset: int, log_us: int) -> int:
        """Return what is to be added to the log time of a reading."""
        i = bisect_right(self._firsts, offset) - 1
        if i < 0:
            return 0
        stretch = self._stretches[i]
        if not stretch.low_us <= log_us <= stretch.high_us and i + 1 < len(self._stretches):
            following = self._stretches[i + 1]
            begins_us = following.low_us + SLACK_US
            if begins_us - NOTICED_US <= log_us <= begins_us:
                return following.shift_us  # stamped before the step was noticed
        return stretch.shift_us

    def between(self, first: int, end: int) -> tuple[int, int]:
        """Return the least and the greatest that is added to any reading of some offsets."""
        if self.is_zero or end <= first:
            return 0, 0
        begin = bisect_right(self._firsts, first) - 1
        stop = bisect_right(self._firsts, end - 1) + 1  # one more: see `of`
        found = [stretch.shift_us for stretch in self._stretches[max(0, begin) : stop]]
        if begin < 0:
            found.append(0)
        return min(found), max(found)

    def source_shift(self, offset: int, time_us: int) -> int:
        """Return what is to be added to a source time that a clock of before an offset gave.

        A reading that restates has the source time of an older one.
        """
        i = bisect_right(self._firsts, offset) - 1
        for stretch in reversed(self._stretches[: i + 1]):
            if stretch.low_us <= time_us <= stretch.high_us:
                return stretch.shift_us
        return 0


NO_SHIFTS = Shifts()


@dataclass(frozen=True)
class Timeline:
    """The clock records of one log, the oldest first; never changed, so threads may share it."""

    records: tuple[ClockRecord, ...] = ()
    corrections: Shifts = field(default=NO_SHIFTS, compare=False)
    """What is added to the times that an unset clock gave."""
    present: Shifts = field(default=NO_SHIFTS, compare=False)
    """Converts each log time to the present clock, as if that had never been set."""

    @staticmethod
    def of(records: Iterable[ClockRecord]) -> Timeline:
        """Make a timeline of records in the order of their offsets."""
        kept = tuple(records)[-KEPT:]
        return Timeline(kept, _corrections(kept), _present(kept))

    def adding(self, *records: ClockRecord) -> Timeline:
        """Return the timeline extended by more records."""
        return Timeline.of((*self.records, *records))

    def needed_from(self, oldest: int) -> list[ClockRecord]:
        """Return the records that readings from an offset on need.

        Of several equal ones of a boot, the first and the last are enough.
        """
        firsts = [record.first for record in self.records]
        found: list[ClockRecord] = []
        for record in self.records[max(0, bisect_right(firsts, oldest) - 1) :]:
            if len(found) > 1 and all(_is_same(record, other) for other in found[-2:]):
                found.pop()
            found.append(record)
        return found

    def after(self, last: ClockRecord | None) -> list[ClockRecord]:
        """Return the records after one of them."""
        found = []
        for record in reversed(self.records):
            if record == last:
                break
            found.append(record)
        return found[::-1]

    @property
    def trusted_us(self) -> int | None:
        """The time of the last trusted record, if there is one."""
        trusted = [record.wall_us for record in self.records if record.trust >= Trust.SET]
        return trusted[-1] if trusted else None


def _is_same(one: ClockRecord, other: ClockRecord) -> bool:
    is_close = abs(one.drift_us - other.drift_us) < STEP_US
    return is_close and (one.boot, one.trust) == (other.boot, other.trust)


def _stretches(records: Sequence[ClockRecord], shifts: Sequence[int]) -> Shifts:
    found = []
    for i, (record, shift_us) in enumerate(zip(records, shifts, strict=True)):
        following = records[i + 1] if i + 1 < len(records) else None
        lasted_us = _FOREVER_US
        if following is not None and following.boot == record.boot:
            lasted_us = following.monotonic_us - record.monotonic_us
        low_us, high_us = record.wall_us - SLACK_US, record.wall_us + lasted_us + SLACK_US
        found.append(_Stretch(record.first, low_us, high_us, shift_us))
    return Shifts(found)


def _corrections(records: Sequence[ClockRecord]) -> Shifts:
    drifts: dict[str, int] = {}
    shifts = []
    for record in reversed(records):
        if record.trust >= Trust.SET:
            drifts[record.boot] = record.drift_us
            shifts.append(0)
        else:
            shifts.append(drifts.get(record.boot, record.drift_us) - record.drift_us)
    return _stretches(records, shifts[::-1])


def _present(records: Sequence[ClockRecord]) -> Shifts:
    if not records:
        return NO_SHIFTS
    bases = elapsed_bases(records, Trust.SET, uses_log_times=True)
    rests = [base_us - record.drift_us for base_us, record in zip(bases, records, strict=True)]
    return _stretches(records, [rest - rests[-1] for rest in rests])
