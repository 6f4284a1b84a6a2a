"""What is told of the clock."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from sensord.bus import Bus
from sensord.log import Log
from sensord.model.readings import Value
from sensord.status.clock import STEP_US, ClockStatus, Judgement, judge
from tests.unit.manual import ManualClock

HOUR_US = 3600 * 1_000_000


class Plant:
    """A clock that is looked at, and what was told of it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.bus = Bus(Log("e", 1000), self.clock)
        self.judgement: Judgement = (True, "kernel")
        self.status = ClockStatus(self.bus, self.clock, lambda: self.judgement)

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
    assert plant.look() == [{"synchronised": True, "source": "kernel", "steps": 0}]


@pytest.mark.parametrize("step_us", [HOUR_US, -HOUR_US, STEP_US + 1])
def test_a_step_is_told_with_its_size(step_us: int, caplog: pytest.LogCaptureFixture) -> None:
    """Once for each step, with the time after it."""
    plant = Plant()
    plant.look()
    plant.clock.now_wall_us += step_us
    plant.look()
    told = plant.look()
    assert told[1:] == [
        {"synchronised": True, "source": "kernel", "steps": 1, "step_s": round(step_us / 1e6, 3)}
    ]
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


def test_the_kernel_is_asked_first() -> None:
    """It knows, whoever synchronises it."""
    is_synchronised, source = judge()
    assert source in {"kernel", "systemd-timesyncd", ""}
    assert (is_synchronised is None) == (source == "")


def test_without_the_system_call_timesyncd_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hardened service may not make it."""

    class Forbidden:
        @staticmethod
        def adjtimex(_buffer: object) -> int:
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Forbidden())
    assert judge(tmp_path / "none") == (None, "")
    assert judge(tmp_path) == (False, "systemd-timesyncd")
    (tmp_path / "synchronized").touch()
    assert judge(tmp_path) == (True, "systemd-timesyncd")
