"""What is told of the journal under ``$sys/journal``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sensord.bus import Bus
from sensord.log import Log
from sensord.log.journal import Options, Writer
from sensord.model.readings import Value
from sensord.status.journal import JournalStatus
from tests.unit.manual import ManualClock

MINUTE_US = 60 * 1_000_000


class Plant:
    """A journal that is told of."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.bus = Bus(Log("e", 1000), self.clock)
        self.writer = Writer(Options(folder=str(folder)))
        self.writer.open(self.clock.wall_us(), self.clock.monotonic_us())
        self.status = JournalStatus(self.bus, self.clock, Options(max_bytes=1 << 30))

    def report(self) -> int:
        """Commit and tell; return how often it was told by now."""
        self.writer.commit((), self.clock.wall_us(), self.clock.monotonic_us())
        self.status.report(self.writer.statistics())
        return self.bus.log.tail

    @property
    def told(self) -> dict[str, Value]:
        channel = self.bus.find("$sys/journal")
        assert channel is not None
        record = self.bus.last(channel)
        assert record is not None
        assert isinstance(record.reading.value, dict)
        return record.reading.value


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path)
    yield plant
    plant.writer.abandon()


def test_it_is_told_once_a_minute_and_when_something_changes(plant: Plant) -> None:
    """For what is told is itself recorded."""
    assert plant.report() == 1
    plant.clock.move(MINUTE_US - 1)
    assert plant.report() == 1
    plant.clock.move(1)
    assert plant.report() == 2
    plant.status.report(None)
    assert plant.bus.log.tail == 3
    assert plant.told == {"state": "off"}


def test_what_is_written_in_a_day_is_told_after_ten_minutes(plant: Plant) -> None:
    """By the journal's own count; and by the disk's, where that has one."""
    plant.report()
    assert "written_per_day" not in plant.told
    plant.clock.move(10 * MINUTE_US)
    plant.report()
    written = plant.writer.statistics().written_bytes
    assert plant.told["measured_s"] == 600
    assert plant.told["written_per_day"] == written * 144
    assert ("disk_bytes" in plant.told) == ("disk_written_per_day" in plant.told)
