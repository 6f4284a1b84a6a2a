"""The clock of a replay."""

from __future__ import annotations

from sensord.playback import PlayedClock
from tests.unit.manual import ManualClock

START_US = 1_000_000


def test_it_stands_until_something_is_played() -> None:
    """However long that takes."""
    clock = ManualClock()
    played = PlayedClock(clock, START_US)
    clock.move(10**9)
    assert played.wall_us() == START_US
    assert played.monotonic_us() == clock.monotonic_us()


def test_it_goes_on_at_the_speed_of_the_replay_up_to_the_next_reading() -> None:
    """So it never passes what is still to come."""
    clock = ManualClock()
    played = PlayedClock(clock, START_US)
    played.go_on(3.0, START_US + 4000)
    clock.move(1000)
    assert played.wall_us() == START_US + 3000
    clock.move(1000)
    assert played.wall_us() == START_US + 4000
    played.reached(START_US + 4000)
    clock.move(1000)
    assert played.wall_us() == START_US + 4000


def test_it_stands_at_a_reading_until_it_is_told_to_go_on() -> None:
    """Though the one before was long ago."""
    clock = ManualClock()
    played = PlayedClock(clock, START_US)
    played.go_on(1.0, START_US + 10_000)
    clock.move(10_000)
    played.reached(START_US + 10_000)
    clock.move(500)
    played.go_on(1.0, START_US + 20_000)
    clock.move(300)
    assert played.wall_us() == START_US + 10_300
