"""A cursor: reads the log piece by piece, from the journal and from memory alike.

Everybody who receives readings from the past is one of these: a monitor that was away or lags, a
history, a replay. What is no longer held comes as `Missed`, so that a reader knows of each offset
whether it was given, not asked for, or lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from sensord.log.archive import Archive, Fetched, Wanted
from sensord.log.memory import Log
from sensord.model import Record

__all__ = ["Cursor", "Missed", "Piece"]

PIECE_READINGS = 4096
"""Records read in one turn of the loop: about a millisecond."""

EXPIRED = "expired"


class Missed(NamedTuple):
    """Readings that cannot be had: from ``start`` up to, not including, ``stop``.

    ``counts`` is by channel number, or None where it is not known.
    """

    start: int
    stop: int
    reason: str
    detail: str
    counts: Counter[int] | None


class Piece(NamedTuple):
    """What was read from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int
    records: list[Record]
    missed: list[Missed]


class Cursor:
    """A place in the log, and what is read from there on.

    ``topics`` and ``numbers`` say the same twice: which filters, for the journal, and which
    channels they select at present, for the memory. Both may grow meanwhile.
    """

    def __init__(
        self,
        log: Log,
        archive: Archive | None,
        topics: Sequence[str],
        numbers: AbstractSet[int],
        offset: int,
    ) -> None:
        self.offset = offset
        """The next offset to read."""
        self.is_reading = False
        """Whether a piece was asked for and has not come yet."""
        self.since_us: int | None = None
        """What was logged before is not asked for, though the cursor may stand there."""
        self._log = log
        self._archive = archive
        self._topics = topics
        self._numbers = numbers
        self._until_us: int | None = None

    def selecting(self, topics: Sequence[str], numbers: AbstractSet[int]) -> Cursor:
        """Return a cursor at the same place, for another selection."""
        other = Cursor(self._log, self._archive, topics, numbers, self.offset)
        other.since_us, other._until_us = self.since_us, self._until_us
        return other

    def since(self, time_us: int) -> int | None:
        """Begin with what was logged at or after a time.

        Return the offset of the oldest reading held, if older ones are gone that may have been
        logged since that time too; else None.
        """
        log, archive = self._log, self._archive
        self.offset = offset = log.offset_at(time_us)
        if offset > log.first:
            return None
        first, first_us = log.first, log.first_us
        recorded = None if archive is None else archive.first
        if archive is not None and recorded is not None and recorded < first:
            # Where it begins is found by reading; what is older is skipped by the journal's index.
            self.offset, self.since_us = recorded, time_us
            first, first_us = recorded, archive.first_us
        # Also if the oldest was logged at that very time: what arrived together has one time.
        return first if first and (first_us is None or first_us >= time_us) else None

    def until(self, time_us: int) -> None:
        """Leave out what was logged at or after a time."""
        self._until_us = time_us

    def read(self, stop: int, done: Callable[[Piece], None]) -> None:
        """Read the next piece, no further than ``stop``; call ``done`` with it, now or later."""
        archive = self._archive
        if self.offset < self._log.first and archive is not None and archive.first is not None:
            self.is_reading = True
            end = min(stop, self._log.first)
            wanted = Wanted(self.offset, end, self._topics, self.since_us, self._until_us)
            archive.fetch(wanted, PIECE_READINGS, lambda got: self._fetched(got, end, done))
        else:
            # All that memory holds is younger. Kept, it would hide what comes after a clock step.
            self.since_us = None
            done(self._from_memory(stop))

    def _fetched(self, got: Fetched, end: int, done: Callable[[Piece], None]) -> None:
        self.is_reading = False
        start = self.offset
        missed = [Missed(h.first, h.end, *_reason(h.reason), None) for h in got.holes]
        self.offset = max(start, got.next_offset)
        if self.offset == start:
            # The journal ends before the memory begins: it could not be written for a while.
            missed += self._lost(end)
            self.offset = end
        done(Piece(start, self.offset, got.records, missed))

    def _from_memory(self, stop: int) -> Piece:
        start = self.offset
        # All of it, even beyond ``stop``: the cursor can only go on where the memory begins.
        begin = max(start, self._log.first)
        missed = self._lost(begin)
        self.offset = max(begin, min(stop, begin + PIECE_READINGS))
        numbers = self._numbers
        records = [
            record
            for part in self._log.read(begin, self.offset)
            for record in part
            if record.channel.number in numbers
        ]
        if self._until_us is not None:
            records = [record for record in records if record.log_us < self._until_us]
        return Piece(start, self.offset, records, missed)

    def _lost(self, stop: int) -> list[Missed]:
        lost = self._log.lost(self.offset)
        if lost is None:
            return []
        end = min(lost.stop, stop)
        # The counts are of all the records; how many of them are of some time is not known.
        known = end == lost.stop and self.since_us is None and self._until_us is None
        return [Missed(lost.start, end, EXPIRED, "", lost.counts if known else None)]


def _reason(text: str) -> tuple[str, str]:
    return (EXPIRED if text.startswith("removed by retention") else "missing"), text
