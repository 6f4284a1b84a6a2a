"""Whatever moment the power is cut at, what was committed is there and nothing is wrong."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from sensord.log.journal import Options, Reader, Writer
from sensord.mcap.disk import Disk
from tests.kit.journal import START_US, Row, channels, found_in, row, small_shape, walk_readings
from tests.kit.journal_power import PowerCut, PowerDisk

CHANNELS = channels(30)


class Trial:
    """What monitors saw and what was promised to them, over several lives of one journal."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.given: dict[int, Row] = {}
        """Every reading that was handed out, by offset."""
        self.committed: set[int] = set()
        self.next_offset = 0
        self.now_us = 0
        self.epoch = ""
        self._writer: Writer | None = None

    def open(self, folder: Path, disk: Disk) -> Writer:
        writer = Writer(Options(folder=str(folder)), shape=small_shape(), disk=disk)
        self._writer = writer
        recovery = writer.open(START_US + self.now_us, self.now_us)
        if self.given:
            assert recovery.epoch == self.epoch
            assert recovery.next_offset > max(self.given)
        self.epoch, self.next_offset = recovery.epoch, recovery.next_offset
        return writer

    def live(self, folder: Path, disk: PowerDisk) -> None:
        """Commit for a while, or until the power is cut."""
        try:
            writer = self.open(folder, disk)
            for _ in range(self.rng.randrange(5, 60)):
                self.commit(writer)
            if self.rng.random() < 0.3:
                writer.close(START_US + self.now_us, self.now_us)
        except PowerCut:
            pass

    def die(self) -> None:
        """Give back the descriptors that a process gives back when it dies."""
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None

    def commit(self, writer: Writer) -> None:
        count = self.rng.choice([0, 1, 3, 30, 200])
        start_us, seed = START_US + self.now_us, self.rng.randrange(1 << 30)
        records = walk_readings(
            count, first=self.next_offset, start_us=start_us, rate=1e6, of=CHANNELS, seed=seed
        )
        self.given |= {record.offset: row(record) for record in records}
        self.next_offset += count
        self.now_us += 1_000_000
        commit = writer.commit(records, START_US + self.now_us, self.now_us)
        assert commit.committed_offset == self.next_offset
        assert commit.reserved > self.next_offset
        self.committed |= {record.offset for record in records}

    def check(self, reader: Reader) -> None:
        """See that nothing committed is lost, nothing is wrong, and all that is lost is named."""
        found, holes = found_in(reader.scan(0))
        offsets = [each.offset for each in found]
        assert offsets == sorted(set(offsets))
        assert all(each == self.given[each.offset] for each in found)
        assert self.committed <= set(offsets)
        spans = sorted([(o, o + 1) for o in offsets] + [(h.first, h.end) for h in holes])
        assert all(one[1] == two[0] for one, two in itertools.pairwise(spans))
        assert not spans or spans[0][0] == 0
        self.committed = set(offsets)  # what was found once stays


def run(seed: int, folder: Path) -> None:
    """Cut the power three times, each at a random call of the disk."""
    trial = Trial(seed)
    now = folder / "0"
    now.mkdir()
    for life in range(1, 4):
        disk = PowerDisk(now, trial.rng.choice([None, trial.rng.randrange(1, 150)]))
        disk.adopt()
        trial.live(now, disk)
        trial.die()
        now = folder / str(life)
        disk.leave(now, trial.rng)
        trial.check(Reader(now))
        disk = PowerDisk(now)
        disk.adopt()
        writer = trial.open(now, disk)
        trial.check(Reader(writer))
        trial.check(Reader(now))
        if trial.rng.random() < 0.5:
            writer.close(START_US + trial.now_us, trial.now_us)
            trial.check(Reader(now))
        trial.die()
        now = folder / f"{life}b"
        disk.leave(now, trial.rng)


@pytest.mark.parametrize("seed", range(40))
def test_a_power_cut_loses_nothing_that_was_committed(tmp_path: Path, seed: int) -> None:
    """Any page that was not synced may be lost, torn or zero, and names may be old."""
    run(seed, tmp_path)


@pytest.mark.trial
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("batch", range(10))
def test_many_power_cuts_lose_nothing_that_was_committed(tmp_path: Path, batch: int) -> None:
    """The same, 1,000 times."""
    for seed in range(100):
        folder = tmp_path / str(seed)
        folder.mkdir()
        run(1000 + batch * 100 + seed, folder)
