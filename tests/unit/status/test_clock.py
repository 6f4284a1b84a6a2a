"""What is told of the clock."""

from __future__ import annotations

import pytest

from sensord.bus import Bus
from sensord.host.machine import Judgement
from sensord.log import Log
from sensord.log.journal.timeline import STEP_US, Trust
from sensord.model.readings import Value
from sensord.status.clock import ClockStatus, Machine
from tests.unit.manual import ManualClock

HOUR_US = 3600 * 1_000_000
NOW_US = 1_800_000_000_000_000
IN_2024_US = 1_717_200_000_000_000


class Plant:
    """A clock that is looked at, and what was told of it."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW_US)
        self.bus = Bus(Log("e", 1000), self.clock)
        self.judgement: Judgement = (True, "kernel")
        self.is_to_be_synchronised = False
        self.has_hardware_clock = False
        self.restart()

    def restart(self, boot: str = "boot") -> None:
        """Start the daemon again on what its log knows."""
        machine = Machine(
            boot,
            self.has_hardware_clock,
            lambda: self.judgement,
            lambda: self.is_to_be_synchronised,
        )
        self.status = ClockStatus(self.bus, self.clock, machine)

    @property
    def trust(self) -> list[Trust]:
        """The trust of each clock record."""
        return [record.trust for record in self.bus.log.timeline.records]

    def look(self, later_us: int = 2_000_000) -> list[Value]:
        """Look once more; return what was told by now."""
        self.clock.move(later_us)
        self.status.look()
        log = self.bus.log
        return [record.reading.value for piece in log.read(0, log.tail) for record in piece]


def test_a_quiet_clock_is_told_once() -> None:
    """What is told stays as the last value."""
    plant = Plant()
    for _ in range(10):
        plant.look()
    told = {"synchronised": True, "source": "kernel", "trust": "synchronised", "steps": 0}
    assert plant.look() == [told]


@pytest.mark.parametrize("step_us", [HOUR_US, -HOUR_US, STEP_US + 1])
def test_a_step_is_told_with_its_size(step_us: int, caplog: pytest.LogCaptureFixture) -> None:
    """Once for each step, with the time after it."""
    plant = Plant()
    plant.look()
    plant.clock.now_wall_us += step_us
    plant.look()
    told = plant.look()
    value = {"synchronised": True, "source": "kernel", "trust": "synchronised", "steps": 1}
    assert told[1:] == [{**value, "step_s": round(step_us / 1e6, 3)}]
    assert [record.message for record in caplog.records] == ["the clock was set"]


def test_a_clock_that_is_slewed_does_not_step() -> None:
    """Five hundred millionths is the most that daemons slew."""
    plant = Plant()
    for _ in range(1000):
        plant.clock.now_wall_us += 1000
        plant.look()
    assert len(plant.look()) == 1


def test_whether_it_is_synchronised_is_told_when_it_changes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And logged: somebody may wait for it."""
    caplog.set_level("INFO")
    plant = Plant()
    plant.judgement = (False, "systemd-timesyncd")
    plant.look()
    plant.judgement = (True, "systemd-timesyncd")
    told = plant.look()
    assert [value["synchronised"] for value in told if isinstance(value, dict)] == [False, True]
    messages = [record.message for record in caplog.records]
    assert messages == ["the clock is not synchronised", "the clock is synchronised"]


def test_a_clock_of_before_this_version_is_not_set() -> None:
    """Whoever sets it, it is from then on."""
    plant = Plant()
    plant.judgement = (None, "")
    plant.clock.now_wall_us = IN_2024_US
    plant.look()
    assert not plant.status.is_set(plant.clock.now_us, plant.clock.now_wall_us)
    plant.clock.now_wall_us = NOW_US
    # The next reading has the new time already: it does not wait for the next look.
    assert plant.status.is_set(plant.clock.now_us, plant.clock.now_wall_us)
    assert plant.trust == [Trust.UNSET, Trust.SET]
    plant.judgement = (True, "kernel")
    told = plant.look()
    assert [value["trust"] for value in told if isinstance(value, dict)] == [
        "unset",
        "set",
        "synchronised",
    ]


def test_a_clock_that_is_behind_the_log_is_not_set() -> None:
    """Boards without a battery begin where they stopped, or earlier."""
    plant = Plant()
    plant.look()
    plant.judgement = (False, "kernel")
    plant.clock.now_wall_us -= HOUR_US
    plant.restart("another boot")
    plant.look()
    assert plant.trust == [Trust.SYNCHRONISED, Trust.UNSET]


def test_a_hardware_clock_may_be_behind_the_log() -> None:
    """It was ahead before: nobody knows which time is right."""
    plant = Plant()
    plant.has_hardware_clock = True
    plant.look()
    plant.judgement = (False, "kernel")
    plant.clock.now_wall_us -= HOUR_US
    plant.restart("another boot")
    plant.look()
    assert plant.trust == [Trust.SYNCHRONISED, Trust.SET]


def test_a_clock_that_somebody_is_to_synchronise_is_not_set() -> None:
    """Without such a daemon, nobody has anything against it."""
    plant = Plant()
    plant.judgement = (False, "kernel")
    plant.look()
    plant.is_to_be_synchronised = True
    plant.restart("another boot")
    plant.look()
    plant.judgement = (True, "kernel")
    plant.look()
    assert plant.trust == [Trust.SET, Trust.UNSET, Trust.SYNCHRONISED]


def test_a_clock_that_was_synchronised_stays_so_until_it_is_set() -> None:
    """A day without a network makes it no worse than seconds."""
    plant = Plant()
    plant.look()
    plant.judgement = (False, "kernel")
    plant.look()
    plant.restart()
    plant.look()
    plant.clock.now_wall_us += HOUR_US
    plant.look()
    # The restart is recorded too.
    assert plant.trust == [Trust.SYNCHRONISED, Trust.SYNCHRONISED, Trust.SET]


def test_a_record_is_made_once_an_hour() -> None:
    """It shows how long the boot lasted."""
    plant = Plant()
    plant.look()
    for _ in range(5):
        plant.look(HOUR_US // 2)
    records = plant.bus.log.timeline.records
    assert [record.monotonic_us // HOUR_US for record in records] == [0, 1, 2]


def test_the_first_record_of_a_boot_knows_the_last_reading_before() -> None:
    """The boot before lasted until then, at least."""
    plant = Plant()
    plant.bus.log.last_us = 77
    plant.restart()
    plant.look()
    plant.look(HOUR_US)
    assert [record.before_us for record in plant.bus.log.timeline.records] == [77, None]
