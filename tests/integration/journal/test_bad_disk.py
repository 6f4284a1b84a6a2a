"""A full or failing disk stops recording, says so, and never what calls the writer."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sensord.errors import JournalError
from sensord.log.journal import Options, Reader, State, Writer
from sensord.log.journal.shape import Shape
from sensord.log.journal.writer import MAX_RETRY_US
from sensord.mcap.disk import Disk
from tests.kit.journal import (
    START_US,
    Row,
    channels,
    check_cover,
    found_in,
    row,
    small_shape,
    walk_readings,
)
from tests.kit.journal_faults import SickDisk, SmallDisk

OF = channels(10)
KIB = 1 << 10
MAX_RETRY_S = MAX_RETRY_US // 1_000_000


class Log:
    """Hands readings to a writer, one commit a second."""

    def __init__(self, folder: Path, disk: Disk, shape: Shape | None = None) -> None:
        self.given: dict[int, Row] = {}
        self.seconds = 0
        self.writer = Writer(Options(folder=str(folder)), shape=shape or small_shape(), disk=disk)
        self.next_offset = self.writer.open(START_US, 0).next_offset

    def is_in(self, state: State) -> bool:
        return self.writer.statistics().state is state

    def run(self, seconds: int, rate: int = 20) -> None:
        for _ in range(seconds):
            self.seconds += 1
            now_us = self.seconds * 1_000_000
            records = walk_readings(
                rate,
                first=self.next_offset,
                start_us=START_US + now_us,
                rate=1e6,
                of=OF,
                seed=self.seconds,
            )
            self.next_offset += rate
            self.given |= {record.offset: row(record) for record in records}
            self.writer.commit(records, START_US + now_us, now_us)

    def close(self) -> None:
        self.writer.close(START_US + self.seconds * 1_000_000, self.seconds * 1_000_000)

    def lost(self, reader: Reader) -> set[int]:
        return check_cover(*found_in(reader.scan(0)), self.given)


def test_on_a_small_disk_the_oldest_segments_go(tmp_path: Path) -> None:
    """Recording goes on for ever in what room there is."""
    disk = SmallDisk(tmp_path, 400 * KIB)
    log = Log(tmp_path, disk)
    log.run(1500)
    assert log.is_in(State.OK)
    assert disk.used() <= disk.capacity
    log.close()
    found, holes = found_in(Reader(tmp_path).scan(0))
    assert [hole.reason for hole in holes] == ["removed by retention"]
    assert {each.offset for each in found} == set(range(holes[0].end, log.next_offset))


def test_a_full_disk_is_a_state_and_the_newest_readings_stay(tmp_path: Path) -> None:
    """With nothing left to remove the ring goes on as a window; room brings recording back."""
    disk = SmallDisk(tmp_path, 1000 * KIB)
    log = Log(tmp_path, disk)
    log.run(30)
    disk.others = disk.capacity
    log.run(200)
    statistics = log.writer.statistics()
    assert statistics.state is State.FULL
    assert statistics.reason
    assert statistics.dropped > 0
    lost = log.lost(Reader(log.writer))
    assert len(lost) == statistics.dropped
    assert log.next_offset - 1 not in lost
    disk.others = 0
    log.run(20)
    assert log.is_in(State.OK)
    # The disk is tried every five seconds; until then the window moves on.
    assert log.writer.statistics().dropped <= statistics.dropped + 5 * 20
    log.close()
    found, holes = found_in(Reader(tmp_path).scan(0))
    assert len(check_cover(found, holes, log.given)) >= statistics.dropped
    assert any("dropped: " in hole.reason for hole in holes)


def test_after_a_crash_on_a_full_disk_the_ring_is_read(tmp_path: Path) -> None:
    """And the offsets go on, though nothing but the ring can be written."""
    disk = SmallDisk(tmp_path, 1000 * KIB)
    log = Log(tmp_path, disk)
    log.run(30)
    disk.others = disk.capacity
    log.run(100)
    log.writer.abandon()
    again = SmallDisk(tmp_path, 1000 * KIB)
    again.others = again.capacity
    second = Log(tmp_path, again)
    assert second.next_offset > max(log.given)
    assert second.writer.epoch == log.writer.epoch
    assert second.is_in(State.FULL)
    second.given |= log.given
    second.run(3)
    again.others = 0
    second.run(20)
    assert second.is_in(State.OK)
    lost = second.lost(Reader(second.writer))
    assert not lost & set(range(max(log.given) - 50, second.next_offset))
    second.writer.abandon()


def test_room_kept_free_for_others_is_respected(tmp_path: Path) -> None:
    """Below the mark recording stops before the disk is full."""
    disk = SmallDisk(tmp_path, 1000 * KIB)
    log = Log(tmp_path, disk, small_shape(min_free=500 * KIB))
    log.run(50)
    disk.others = 500 * KIB
    log.run(300)
    assert log.is_in(State.FULL)
    assert "free" in log.writer.statistics().reason
    log.writer.abandon()


@pytest.mark.parametrize("error", [errno.EIO, errno.EROFS, errno.EFBIG])
@pytest.mark.parametrize(
    "only", [set(), {"sync"}, {"write"}, {"create"}, {"replace"}, {"sync_folder"}], ids=str
)
def test_a_failing_disk_is_a_state_and_recording_comes_back(
    tmp_path: Path, error: int, only: set[str]
) -> None:
    """What was handed over meanwhile is recorded late, or named."""
    disk = SickDisk()
    log = Log(tmp_path, disk, small_shape(segment_bytes=8 * KIB))
    log.run(37)
    disk.error, disk.only = error, only
    log.run(60)
    assert disk.failures
    assert log.is_in(State.FAILED) or only
    disk.error = None
    log.run(MAX_RETRY_S)
    assert log.is_in(State.OK)
    assert log.lost(Reader(log.writer)) == set()
    log.close()
    assert log.lost(Reader(tmp_path)) == set()


def test_a_disk_that_fails_for_long_loses_the_oldest_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded."""
    monkeypatch.setattr("sensord.log.journal.writer.MAX_WAITING_BYTES", 1 << 20)
    disk = SickDisk()
    log = Log(tmp_path, disk)
    log.run(10)
    disk.error = errno.EIO
    log.run(60, rate=500)
    statistics = log.writer.statistics()
    assert statistics.waiting < 25_000
    assert statistics.dropped == log.next_offset - 200 - statistics.waiting
    disk.error = None
    log.run(MAX_RETRY_S, rate=0)
    assert len(log.lost(Reader(log.writer))) == statistics.dropped
    assert log.writer.statistics().dropped == statistics.dropped
    log.writer.abandon()


def test_a_disk_that_fails_at_start_gives_a_new_epoch(tmp_path: Path) -> None:
    """Without a reservation the old epoch's offsets could be given again after a crash."""
    log = Log(tmp_path, Disk())
    log.run(10)
    log.writer.abandon()
    disk = SickDisk()
    disk.error = errno.EROFS
    second = Log(tmp_path, disk)
    assert second.is_in(State.FAILED)
    assert second.writer.epoch != log.writer.epoch
    assert second.next_offset > max(log.given)
    second.run(10)
    disk.error = None
    second.run(MAX_RETRY_S)
    assert second.is_in(State.OK)
    second.given |= log.given
    assert second.lost(Reader(second.writer)) == set()
    second.close()
    third = Log(tmp_path, Disk())
    assert third.writer.epoch == second.writer.epoch
    assert third.next_offset == second.next_offset
    third.writer.abandon()


def test_a_journal_that_another_writes_is_refused(tmp_path: Path) -> None:
    """Two writers would ruin it."""
    first = Log(tmp_path, Disk())
    with pytest.raises(JournalError, match="another process"):
        Log(tmp_path, Disk())
    first.writer.abandon()


def test_closing_on_a_full_disk_says_so_and_keeps_the_ring(tmp_path: Path) -> None:
    """The next start has all of it, and no offset is skipped."""
    disk = SmallDisk(tmp_path, 1000 * KIB)
    log = Log(tmp_path, disk)
    log.run(5)
    disk.others = disk.capacity
    with pytest.raises(JournalError, match="not closed"):
        log.close()
    second = Log(tmp_path, Disk())
    assert second.next_offset == log.next_offset
    second.given |= log.given
    assert second.lost(Reader(second.writer)) == set()
    second.writer.abandon()
