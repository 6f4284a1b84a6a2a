"""A journal takes over a log that began without it: no offset twice, every hole named."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensord.log.journal import Hole, Options, Reader, Recovery, Takeover, Writer, first_offset
from sensord.log.journal.retention import PLAUSIBLE_FROM_US
from sensord.mcap.disk import Disk
from tests.kit.journal import START_US, found_in, rows, small_shape, walk_readings
from tests.kit.journal_faults import SickDisk

S = 1_000_000
FIRST = first_offset(START_US)


def writer_of(folder: Path, disk: Disk | None = None) -> Writer:
    return Writer(Options(folder=str(folder)), shape=small_shape(), disk=disk)


def earlier(folder: Path, *, is_closed: bool = True) -> str:
    """Leave a journal of 100 readings; return its epoch."""
    writer = writer_of(folder)
    writer.open(START_US - 100 * S, 0)
    writer.commit(walk_readings(100, start_us=START_US - 100 * S), START_US - 99 * S, S)
    if is_closed:
        writer.close(START_US - 98 * S, 2 * S)
    else:
        writer.abandon()
    return writer.epoch


def join(writer: Writer, *, first: int = FIRST, held: int = FIRST) -> Recovery:
    return writer.open(START_US, 0, Takeover("000000000000aaaa", first, held, "it was away"))


def test_offsets_of_a_log_without_journal_rise_with_the_years() -> None:
    """Beyond a million readings a second since 2020, and exact in JavaScript until 2292."""
    assert first_offset(0) == 0
    assert first_offset(PLAUSIBLE_FROM_US + S) == 1 << 20
    years_272 = int(272 * 365.2425 * 86400) * S
    assert first_offset(PLAUSIBLE_FROM_US + years_272) < 1 << 53


@pytest.mark.parametrize("is_closed", [True, False])
def test_the_log_stays_as_it_is(tmp_path: Path, *, is_closed: bool) -> None:
    """Its epoch becomes the journal's, whose own is a former one; what lies between is named."""
    before = earlier(tmp_path, is_closed=is_closed)
    writer = writer_of(tmp_path)
    recovery = join(writer)
    assert recovery.epochs == (before, "000000000000aaaa")
    assert recovery.next_offset == FIRST
    given = walk_readings(50, first=FIRST, start_us=START_US)
    writer.commit(given, START_US + S, S)
    found, holes = found_in(Reader(writer).scan(0))
    assert [each.offset for each in found] == [*range(100), *range(FIRST, FIRST + 50)]
    assert found[100:] == rows(given)
    assert (holes[0].first, holes[-1].end) == (100, FIRST)
    assert "given to no reading" in holes[-1].reason
    writer.abandon()

    # After another crash all of it stands, and both epochs are known.
    again = writer_of(tmp_path)
    recovery = again.open(START_US + 2 * S, 0)
    assert recovery.epochs == (before, "000000000000aaaa")
    assert recovery.next_offset > FIRST + 50
    assert [each.offset for each in found_in(Reader(again).scan(0))[0]][-1] == FIRST + 49
    again.abandon()


def test_a_new_journal_begins_where_the_log_is(tmp_path: Path) -> None:
    """Nothing is missing before it."""
    writer = writer_of(tmp_path)
    recovery = join(writer)
    assert recovery.is_new
    assert (recovery.epochs, recovery.holes) == (("000000000000aaaa",), ())
    given = walk_readings(50, first=FIRST, start_us=START_US)
    writer.commit(given, START_US + S, S)
    assert found_in(Reader(writer).scan()) == (rows(given), [])
    writer.abandon()


def test_readings_that_left_the_memory_are_a_hole(tmp_path: Path) -> None:
    """With the reason why there was no journal, and counted as dropped."""
    earlier(tmp_path)
    writer = writer_of(tmp_path)
    assert join(writer, held=FIRST + 30).next_offset == FIRST + 30
    assert writer.statistics().dropped == 30
    writer.commit(walk_readings(1, first=FIRST + 30, start_us=START_US), START_US + S, S)
    holes = found_in(Reader(writer).scan(FIRST))[1]
    assert holes == [Hole(FIRST, 30, "dropped: it was away")]
    writer.abandon()


def test_a_journal_that_is_ahead_keeps_its_epoch(tmp_path: Path) -> None:
    """The log has to go on where it is."""
    before = earlier(tmp_path)
    writer = writer_of(tmp_path)
    recovery = join(writer, first=99, held=99)
    assert (recovery.epochs, recovery.next_offset) == ((before,), 100)
    writer.abandon()


def test_a_log_taken_over_by_a_disk_that_fails_keeps_its_epoch(tmp_path: Path) -> None:
    """Nobody else can give that epoch's offsets; with the disk the readings are recorded."""
    before = earlier(tmp_path)
    disk = SickDisk()
    disk.error = 30  # read-only
    writer = writer_of(tmp_path, disk)
    assert join(writer).epochs == (before, "000000000000aaaa")
    given = walk_readings(50, first=FIRST, start_us=START_US)
    commit = writer.commit(given, START_US + S, S)
    assert commit.reserved > FIRST + (1 << 60)
    disk.error = None
    commit = writer.commit((), START_US + 100 * S, 100 * S)
    assert FIRST + 50 < commit.reserved < FIRST + (1 << 25)
    found, holes = found_in(Reader(writer).scan(100))
    assert found == rows(given)
    assert [(hole.first, hole.end) for hole in holes] == [(100, FIRST)]
    writer.abandon()


def test_former_epochs_are_kept_in_the_folder(tmp_path: Path) -> None:
    """However often the log went on under another one; the oldest go first."""
    epochs = [earlier(tmp_path)]
    for _ in range(70):
        writer = writer_of(tmp_path)
        known = writer.open(START_US, 0).epochs
        assert list(known) == epochs[-len(known) :]
        assert len(known) == min(len(epochs), len(known)) < 70
        epochs.append(writer.renew_epoch())
        writer.close(START_US, 1)
