"""A cursor: where a time is in the log, and pieces of what the disk gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from sensord.log import Archive, Cursor, Log, Piece
from sensord.log.archive import Fetched, Wanted
from sensord.log.cursor import PIECE_READINGS
from sensord.log.journal import Hole
from sensord.log.journal.timeline import Shifts
from sensord.log.memory import BLOCK
from sensord.log.seats import Seats
from sensord.model.readings import Channel, Metadata, Reading, Record

CHANNEL = Channel(0, "t", Metadata())


@pytest.mark.parametrize(("time_us", "is_told"), [(999, True), (1000, True), (1001, False)])
def test_what_arrived_together_may_be_gone_in_part(time_us: int, *, is_told: bool) -> None:
    """Readings of one log time on both sides of what is held: since then, some are gone."""
    log = Log("e", 2 * BLOCK)
    for _ in range(3 * BLOCK):
        log.append(Record(log.tail, 1000, CHANNEL, Reading(0, 1)))
    log.append(Record(log.tail, 1001, CHANNEL, Reading(0, 1)))
    cursor = Cursor(log, None, ("t",), {0}, 0)
    assert cursor.since(time_us) == (log.first if is_told else None)


class Shelf:
    """A journal that gives all that is wanted at once, but for a hole."""

    first = 0

    def __init__(self, hole: Hole) -> None:
        self.hole = hole
        self.seats = Seats()
        self.asked: list[Wanted] = []

    def first_us(self, _shifts: Shifts) -> None:
        return None

    def fetch(self, wanted: Wanted, _limit: int, done: Callable[[Fetched], None]) -> None:
        self.asked.append(wanted)
        offsets = [
            offset
            for offset in range(wanted.start, wanted.stop)
            if not self.hole.first <= offset < self.hole.end
        ]
        records = [Record(offset, offset, CHANNEL, Reading(0, offset)) for offset in offsets]
        done(Fetched(records, [self.hole], wanted.stop))


def read(cursor: Cursor, stop: int, done: Callable[[Piece], None]) -> None:
    if cursor.is_at_hand:
        done(cursor.take(stop))
    else:
        cursor.fetch(stop, lambda: done(cursor.take(stop)))


@pytest.mark.parametrize("at", [0, 5, PIECE_READINGS - 1, PIECE_READINGS, 2 * PIECE_READINGS + 7])
def test_what_the_disk_gives_comes_in_pieces(at: int) -> None:
    """Each is bounded, they join, and a hole is told in its place, once."""
    end = 3 * PIECE_READINGS
    log, shelf = Log("e", 2 * BLOCK, end), Shelf(Hole(at, 10, "damaged"))
    cursor = Cursor(log, cast("Archive", shelf), ("t",), {0}, 0)
    pieces: list[Piece] = []
    while cursor.offset < end:
        read(cursor, end, pieces.append)
    assert len(shelf.asked) == 1
    assert [pieces[0].start, *(piece.stop for piece in pieces)] == [
        *(piece.start for piece in pieces),
        end,
    ]
    offsets = [record.offset for piece in pieces for record in piece.records]
    assert offsets == [*range(at), *range(at + 10, end)]
    assert max(len(piece.records) for piece in pieces) <= PIECE_READINGS
    told = [(piece, gap) for piece in pieces for gap in piece.gaps]
    ((piece, gap),) = told
    assert (gap.start, gap.stop) == (at, at + 10)
    assert piece.start <= gap.start < gap.stop <= piece.stop


def test_a_cursor_that_is_moved_forgets_what_was_fetched() -> None:
    """It belongs to another place."""
    end = 3 * PIECE_READINGS
    log, shelf = Log("e", 2 * BLOCK, end), Shelf(Hole(end, 1, "none"))
    cursor = Cursor(log, cast("Archive", shelf), ("t",), {0}, 0)
    pieces: list[Piece] = []
    read(cursor, end, pieces.append)
    cursor.offset = 5
    read(cursor, end, pieces.append)
    assert pieces[1].start == 5
    assert [record.offset for record in pieces[1].records][:2] == [5, 6]
    assert len(shelf.asked) == 2
