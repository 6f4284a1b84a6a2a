"""A cursor: reads the log piece by piece, from the journal and from memory alike.

Every receiver of past readings uses a cursor: a monitor that was away or lags, a history, a replay.
Readings that are no longer held come as a `Gap`, so for each offset a reader knows whether it was
returned, not asked for, or lost. Only a few cursors at a time hold readings fetched from the disk:
see `sensord.log.seats`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from sensord.log.archive import Archive, Fetched, Wanted
from sensord.log.gap import EXPIRED, Gap
from sensord.log.journal.window import Bound, Window, correct_records
from sensord.log.memory import Log
from sensord.model.readings import Record

__all__ = ["Cursor", "Piece"]

PIECE_READINGS = 1024
"""Records given in one turn of the loop: a millisecond or two with what is made of them."""


class Piece(NamedTuple):
    """What was read from ``start`` up to, not including, ``stop``."""

    start: int
    stop: int
    records: list[Record]
    gaps: list[Gap]

    def in_order(self) -> Iterator[tuple[list[Record], int] | Gap]:
        """Yield runs of records, each with the offset after it, and the gaps between them.

        A client that resumes from a gap has then received everything before it.
        """
        records = self.records
        for gap in self.gaps:
            yield [record for record in records if record.offset < gap.start], gap.start
            records = [record for record in records if record.offset >= gap.start]
            yield gap
        yield records, self.stop


class Cursor:
    """A place in the log, and the readings from there on.

    ``topics`` and ``numbers`` are the same selection: filters for the journal, and the channels
    that they select now for the memory. Both may grow meanwhile.
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
        self._since: Bound | None = None
        """Readings logged earlier are not asked for, even after the cursor's place."""
        self._log = log
        self._archive = archive
        self._topics = topics
        self._numbers = numbers
        self._until: Bound | None = None
        self._ahead: deque[Piece] = deque()  # fetched, not yet returned
        self._fetched: tuple[Wanted, Fetched] | None = None  # not yet cut into pieces
        self._asked: tuple[int, Callable[[], None]] | None = None  # waiting for a seat
        self._is_fetching = False  # else, while it reads, it queues for a seat
        self._is_idle = False
        self._is_closed = False

    def close(self) -> None:
        """Release everything that was fetched; nothing more is read."""
        self._is_closed = True
        self._asked = None
        self.drop()
        if not self._is_fetching:
            self._leave_seat()

    def selecting(self, topics: Sequence[str], numbers: AbstractSet[int]) -> Cursor:
        """Close this cursor; return one at the same place, for another selection."""
        self.close()
        other = Cursor(self._log, self._archive, topics, numbers, self.offset)
        other._since, other._until = self._since, self._until
        return other

    def _bound(self, time_us: int, *, is_ago: bool) -> Bound:
        timeline = self._log.timeline
        return Bound(time_us, timeline.present if is_ago else timeline.corrections)

    @property
    def is_sought(self) -> bool:
        """Whether the place where it begins is still to be found by reading."""
        return self._since is not None

    def is_since(self, record: Record) -> bool:
        """Return whether a record is not older than where it begins."""
        return Window(self._since).holds(record.offset, record.log_us)

    def forget_since(self) -> None:
        """Return all readings from the cursor's place on, whenever they were logged."""
        self._since = None

    def since(self, time_us: int, *, is_ago: bool = False) -> int | None:
        """Begin with what was logged at or after a time.

        With ``is_ago`` the time was counted back from the present: then it is the time that really
        passed since that counts, though the clock was set meanwhile.

        Return the offset of the oldest reading held, if older ones are gone that may have been
        logged since that time too; else None.
        """
        log, archive = self._log, self._archive
        bound = self._bound(time_us, is_ago=is_ago)
        self.offset = offset = log.offset_at(*bound)
        if offset > log.first:
            return None
        first, first_us = log.first, log.first_us(bound.shifts)
        recorded = None if archive is None else archive.first
        if archive is not None and recorded is not None and recorded < first:
            # Where it begins is found by reading; what is older is skipped by the journal's index.
            self.offset, self._since = recorded, bound
            first, first_us = recorded, archive.first_us(bound.shifts)
        # Also if the oldest was logged at that very time: what arrived together has one time.
        return first if first and (first_us is None or first_us >= time_us) else None

    def until(self, time_us: int, *, is_ago: bool = False) -> None:
        """Leave out what was logged at or after a time; see `since` for ``is_ago``."""
        self._until = self._bound(time_us, is_ago=is_ago)

    @property
    def is_at_hand(self) -> bool:
        """Whether the next piece need not be fetched from the disk."""
        self._cut()
        return bool(self._ahead) or not self._is_older

    def take(self, stop: int) -> Piece:
        """Return the next piece, which is at hand, no further than ``stop``."""
        self._cut()
        if not self._ahead:
            # All that memory holds is younger. Kept, it would hide what comes after a clock step.
            self._since = None
            return self._from_memory(stop)
        self._is_idle = False
        piece = self._ahead.popleft()
        self.offset = piece.stop
        if not self._ahead:
            self._leave_seat()
        return piece

    @property
    def is_idle(self) -> bool:
        """Whether there is no use at present for what was fetched: another may have its seat."""
        return self._is_idle

    @is_idle.setter
    def is_idle(self, is_idle: bool) -> None:
        self._is_idle = is_idle
        if is_idle and self._archive is not None:
            self._archive.seats.review()

    def fetch(self, stop: int, ready: Callable[[], None]) -> None:
        """Fetch the next readings from the disk; call ``ready`` when a piece is available.

        The fetched readings are not examined before ``ready`` returns, so any error in them is
        raised where the caller handles it.
        """
        assert self._archive is not None, "else it is at hand"
        self.is_reading, self._is_idle = True, False
        self._asked = stop, ready
        self._archive.seats.ask(self)

    def sit(self) -> None:
        """Fetch what was asked for: there is a seat."""
        archive, asked = self._archive, self._asked
        assert archive is not None, "it has asked for the seat"
        assert asked is not None, "the same"
        (stop, ready), self._asked = asked, None
        end = min(stop, self._log.first)
        window = Window(self._since, self._until)
        corrections = self._log.timeline.corrections
        wanted = Wanted(self.offset, end, self._topics, window, corrections)

        def fetched(got: Fetched) -> None:
            self.is_reading = self._is_fetching = False
            if self._is_closed:
                archive.seats.leave(self)
                return
            self._fetched = wanted, got
            ready()
            archive.seats.review()

        self._is_fetching = True
        archive.fetch(wanted, PIECE_READINGS, fetched)

    def drop(self) -> None:
        """Drop what was fetched: another cursor gets the seat."""
        self._fetched = None
        self._ahead.clear()

    def _leave_seat(self) -> None:
        if self._archive is not None:
            self._archive.seats.leave(self)

    @property
    def _is_older(self) -> bool:
        """Whether what comes next has left the memory, and there is a journal."""
        return (
            self.offset < self._log.first
            and self._archive is not None
            and self._archive.first is not None
        )

    def _cut(self) -> None:
        """Cut what was fetched into pieces; forget what was fetched for another place."""
        if self._fetched is not None:
            self._ahead.extend(self._pieces(*self._fetched))
            self._fetched = None
        if self._ahead and self._ahead[0].start != self.offset:
            self._ahead.clear()
            self._leave_seat()

    def _pieces(self, wanted: Wanted, got: Fetched) -> Iterator[Piece]:
        """Cut what was fetched: a chunk of the journal is more than one piece."""
        start, end = wanted.start, wanted.stop
        stop = max(start, got.next_offset)
        gaps = [Gap(h.first, h.end, *_reason(h.reason)) for h in got.holes]
        if stop == start:
            # The journal ends before the memory begins: it could not be written for a while.
            gaps += self._gap(start, end)
            stop = end
        for at in range(PIECE_READINGS, len(got.records), PIECE_READINGS):
            next_start = got.records[at].offset
            before = [one for one in gaps if one.start < next_start]
            gaps = gaps[len(before) :]
            part = got.records[at - PIECE_READINGS : at]
            yield Piece(start, next_start, part, before)
            start = next_start
        rest = max(0, len(got.records) - 1) // PIECE_READINGS * PIECE_READINGS
        yield Piece(start, stop, got.records[rest:], gaps)

    def _from_memory(self, stop: int) -> Piece:
        start = self.offset
        # All of it, even beyond ``stop``: the cursor can only continue where the memory begins.
        begin = max(start, self._log.first)
        gaps = self._gap(start, begin)
        self.offset = max(begin, min(stop, begin + PIECE_READINGS))
        numbers = self._numbers
        records = [
            record
            for part in self._log.read(begin, self.offset)
            for record in part
            if record.channel.number in numbers
        ]
        if self._until is not None:
            holds = Window(until=self._until).holds
            records = [record for record in records if holds(record.offset, record.log_us)]
        records = correct_records(records, self._log.timeline.corrections)
        return Piece(start, self.offset, records, gaps)

    def _gap(self, start: int, stop: int) -> list[Gap]:
        gap = self._log.gap(start)
        if gap is None:
            return []
        end = min(gap.stop, stop)
        # The counts are of all the records; how many of them are of some time is not known.
        known = end == gap.stop and self._since is None and self._until is None
        return [gap._replace(stop=end, counts=gap.counts if known else None)]


def _reason(text: str) -> tuple[str, str]:
    return (EXPIRED if text.startswith("removed by retention") else "missing"), text
