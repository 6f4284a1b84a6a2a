"""Cut the log's records into runs that each fit one segment.

Pure. A run has consecutive offsets and rising log times. Where the wall clock steps, or offsets are
missing, a new run begins and asks for a new segment.

Source: docs/journal.md, Clock steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain, pairwise
from operator import itemgetter
from typing import NamedTuple

from sensord.mcap.block import MAX_TIME_US, Block, is_rising, make_block
from sensord.model.readings import Channel, Record

__all__ = ["Intake", "Run"]

STEP_US = 2_000_000
"""A smaller change of the clock is left to clamping: daemons that slew clocks make those."""
_LOG_US = itemgetter(1)
BETWEEN_STEPS_US = 60_000_000
"""A clock that flaps must not flood the folder with segments."""
MAX_RUN_RECORDS = 4096
"""Bounds what a commit adds to a chunk that is nearly full."""


class Run(NamedTuple):
    """Readings that follow each other, and whether a segment must begin with them."""

    block: Block
    begins_segment: bool = False


class Intake:
    """Remembers where the log and the clocks were."""

    def __init__(self, next_offset: int, largest_bytes: int) -> None:
        self.next_offset = next_offset
        self._largest_bytes = largest_bytes
        self._last_us = 0
        self._drift_us: int | None = None
        self._stepped_us: int | None = None
        self._must_begin = False

    def begin_segment(self) -> None:
        """Begin a segment with the next run."""
        self._must_begin = True

    def clock_stepped(self, wall_us: int, monotonic_us: int) -> bool:
        """Return whether the wall clock was set since the last call."""
        drift, before = wall_us - monotonic_us, self._drift_us
        self._drift_us = drift
        return before is not None and abs(drift - before) > STEP_US

    def take(
        self,
        records: Sequence[Record],
        ids: Mapping[Channel, int],
        *,
        stepped: bool,
        monotonic_us: int,
    ) -> Iterator[Run]:
        """Yield the runs in ``records``, whose offsets rise.

        Raises:
            ValueError: They do not rise; the caller passed an offset twice.
        """
        for part in self._without_gaps(records):
            times = list(map(_LOG_US, part))
            is_sound = is_rising(times) and times[0] >= 0 and times[-1] <= MAX_TIME_US
            if not is_sound:
                times = [min(max(time_us, 0), MAX_TIME_US) for time_us in times]
            is_rising_on = is_sound and times[0] >= self._last_us
            at = None
            if stepped or not is_rising_on:
                at = self._step_at(times, stepped=stepped, monotonic_us=monotonic_us)
            if at is None:
                yield from self._run(part, times, ids, is_rising_on=is_rising_on)
            else:
                self._stepped_us = monotonic_us
                if at:
                    yield from self._run(part[:at], times[:at], ids, is_rising_on=False)
                self._must_begin = True
                yield from self._run(part[at:], times[at:], ids, is_rising_on=False)

    def _without_gaps(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        begin, first = 0, records[0].offset
        if first < self.next_offset:
            raise ValueError(f"offset {first} comes again; {self.next_offset} would be next")
        if first > self.next_offset:
            self._must_begin = True
        if records[-1].offset - first != len(records) - 1:
            for i, (one, two) in enumerate(pairwise(records), 1):
                if two.offset <= one.offset:
                    raise ValueError(f"offset {two.offset} comes after {one.offset}")
                if two.offset != one.offset + 1:
                    yield records[begin:i]
                    begin, self._must_begin = i, True
        yield records[begin:]

    def _step_at(self, times: list[int], *, stepped: bool, monotonic_us: int) -> int | None:
        """Return the index of the first reading after a clock step, or None."""
        if self._stepped_us is not None and monotonic_us - self._stepped_us < BETWEEN_STEPS_US:
            return None
        for i, (one, two) in enumerate(pairwise([self._last_us or times[0], *times])):
            if two < one - STEP_US or (stepped and two > one + STEP_US):
                return i
        return 0 if stepped else None

    def _run(
        self,
        records: Sequence[Record],
        times: list[int],
        ids: Mapping[Channel, int],
        *,
        is_rising_on: bool,
    ) -> Iterator[Run]:
        if self._must_begin:
            self._last_us = 0
        if not is_rising_on:
            times = list(accumulate(chain([self._last_us], times), max))[1:]
        self._last_us = times[-1]
        for begin in range(0, len(records), MAX_RUN_RECORDS):
            part = slice(begin, begin + MAX_RUN_RECORDS)
            for block in self._small(make_block(records[part], times[part], ids)):
                yield Run(block, self._must_begin)
                self._must_begin = False
        self.next_offset = records[-1].offset + 1

    def _small(self, block: Block) -> Iterator[Block]:
        if block.raw_bytes <= self._largest_bytes or block.count == 1:
            yield block
        else:
            for half in block.split():
                yield from self._small(half)
