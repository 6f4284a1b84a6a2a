"""The span of time that a scan is asked for, however the wall clock was set. Pure."""

from __future__ import annotations

from typing import NamedTuple

from sensord.log.journal.timeline import NO_SHIFTS, Shifts
from sensord.mcap.batch import Batch
from sensord.model.readings import Level, Quality, Reading, Reason, Record

__all__ = ["EVER", "Bound", "Window", "correct", "correct_records"]

CORRECTED = Quality(Level.UNCERTAIN, Reason.CLOCK_CORRECTED)


class Bound(NamedTuple):
    """A log time, and what is added to those of readings before they are compared with it."""

    time_us: int
    shifts: Shifts = NO_SHIFTS

    def exact_ns(self, first: int, end: int) -> int | None:
        """Return the recorded log time that it is for some offsets, or None if it is not one."""
        low, high = self.shifts.between(first, end)
        return (self.time_us - low) * 1000 if low == high else None


class Window(NamedTuple):
    """Log times from ``since``, included, up to ``until``, not included."""

    since: Bound | None = None
    until: Bound | None = None

    def may_hold(self, first: int, end: int, start_ns: int, end_ns: int) -> bool:
        """Return whether offsets that were logged in a span of time may be asked for."""
        return not self.is_before(first, end, end_ns) and not self.is_behind(first, end, start_ns)

    def is_before(self, first: int, end: int, end_ns: int) -> bool:
        """Return whether what was logged up to a time is too early."""
        if self.since is None:
            return False
        return end_ns // 1000 + self.since.shifts.between(first, end)[1] < self.since.time_us

    def is_behind(self, first: int, end: int, start_ns: int) -> bool:
        """Return whether what was logged from a time on is too late."""
        if self.until is None:
            return False
        return start_ns // 1000 + self.until.shifts.between(first, end)[0] >= self.until.time_us

    def holds(self, offset: int, log_us: int) -> bool:
        """Return whether one reading is asked for."""
        for bound, is_since in ((self.since, True), (self.until, False)):
            if bound is not None:
                is_later = log_us + bound.shifts.of(offset, log_us) >= bound.time_us
                if is_later is not is_since:
                    return False
        return True

    def exact_ns(self, first: int, end: int) -> tuple[int | None, int | None] | None:
        """Return the recorded log times of some offsets that bound it, or None without any.

        They differ from one reading to the next where the clock was set between them.
        """
        since_ns = until_ns = None
        if self.since is not None and (since_ns := self.since.exact_ns(first, end)) is None:
            return None
        if self.until is not None and (until_ns := self.until.exact_ns(first, end)) is None:
            return None
        return since_ns, until_ns


EVER = Window()


def correct(batch: Batch, corrections: Shifts) -> Batch:
    """Return readings with the times that an unset clock gave put right."""
    if corrections.is_zero or not len(batch):
        return batch
    is_shifted = corrections.between(batch.offsets[0], batch.offsets[-1] + 1) != (0, 0)
    if not is_shifted and not _has_clock(batch):
        return batch
    return batch.of_records([_corrected(record, corrections) for record in batch.records()])


def _has_clock(batch: Batch) -> bool:
    """Return whether any reading has a source time of an unset clock: it may restate an old one."""
    return batch.qualities is not None and any(
        quality.reason == Reason.CLOCK for quality in batch.qualities
    )


def correct_records(records: list[Record], corrections: Shifts) -> list[Record]:
    """Return records with the times that an unset clock gave put right."""
    if corrections.is_zero:
        return records
    return [_corrected(record, corrections) for record in records]


def _corrected(record: Record, corrections: Shifts) -> Record:
    offset, log_us, channel, reading = record
    shift_us = corrections.of(offset, log_us)
    if reading.quality.reason == Reason.CLOCK:
        by_us = corrections.source_shift(offset, reading.time_us)
        if by_us:
            time_us, quality = reading.time_us + by_us, CORRECTED
            reading = Reading(time_us, reading.value, quality, reading.restates)
    elif shift_us and reading.time_us == log_us:
        reading = reading._replace(time_us=log_us + shift_us)
    if not shift_us and reading is record.reading:
        return record
    return Record(offset, log_us + shift_us, channel, reading)
