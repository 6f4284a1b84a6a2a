"""The pace: readings come as far apart as they were recorded."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sensord.playback.pace import MOST_LATE_US, Pace

MINUTE_US = 60_000_000


def dues(log_times: list[int], speed: float = 1.0, longest_us: int = MINUTE_US) -> list[int]:
    """Say when each is due to somebody who is always in time."""
    pace, now_us, found = Pace(speed, longest_us), 0, []
    for log_us in log_times:
        now_us = pace.due_us(log_us, now_us)
        found.append(now_us)
    return found


def test_the_first_is_due_at_once_and_the_others_after_it() -> None:
    """However old they are."""
    assert dues([10**15, 10**15 + 500, 10**15 + 2500]) == [0, 500, 2500]


def test_speed_divides_the_time_between() -> None:
    """Faster and slower."""
    assert dues([0, 1000, 3000], speed=2) == [0, 500, 1500]
    assert dues([0, 1000, 3000], speed=0.5) == [0, 2000, 6000]


def test_a_clock_that_stepped_back_costs_no_wait() -> None:
    """And what follows keeps its distance."""
    assert dues([5000, 6000, 100, 1100]) == [0, 1000, 1000, 2000]


def test_no_silence_is_longer_than_the_longest_wait() -> None:
    """Neither a night nor a clock set from 1970; what was passed over is counted."""
    pace = Pace(10, MINUTE_US)
    pace.due_us(0, 0)
    assert pace.due_us(1_000_000 * MINUTE_US, 0) == MINUTE_US
    assert pace.skipped_us == 1_000_000 * MINUTE_US - 10 * MINUTE_US
    assert pace.due_us(1_000_000 * MINUTE_US + 100, MINUTE_US) == MINUTE_US + 10


def test_a_player_that_was_held_up_does_not_flood() -> None:
    """A laptop that slept for an hour makes up for a second of it."""
    pace = Pace(1, MINUTE_US)
    pace.due_us(0, 0)
    hour_us = 60 * MINUTE_US
    assert pace.due_us(1000, hour_us) == hour_us - MOST_LATE_US
    assert pace.due_us(2000, hour_us) == hour_us - MOST_LATE_US + 1000


@given(
    st.lists(st.integers(0, 10**12), min_size=1, max_size=50),
    st.sampled_from([0.1, 1.0, 3.0, 1e6]),
    st.integers(0, 10**9),
)
def test_due_times_never_fall_and_no_wait_is_too_long(
    log_times: list[int], speed: float, longest_us: int
) -> None:
    """Whatever the recorded times are."""
    found = dues(log_times, speed, longest_us)
    for (one, other), (before, after) in zip(pairwise(log_times), pairwise(found), strict=True):
        exact_us = min(max(0, other - one) / speed, longest_us)
        assert abs(after - before - exact_us) <= 1


def test_parts_of_a_microsecond_add_up() -> None:
    """Ten thousand readings a second at a thousandfold speed take their time."""
    found = dues([number * 100 for number in range(100_001)], speed=1000)
    assert found[-1] in {9_999, 10_000}


def test_a_reading_that_is_not_played_yet_changes_nothing() -> None:
    """However often it is asked for."""
    pace = Pace(1, MINUTE_US)
    pace.due_us(0, 0)
    assert [pace.peek_us(1000, now_us) for now_us in (0, 10, 999)] == [1000] * 3
    assert pace.peek_us(99 * MINUTE_US, 0) == MINUTE_US
    assert pace.skipped_us == 0
    assert pace.due_us(2000, 5) == 2000


def test_a_clock_that_is_held_stands_still() -> None:
    """And runs on from there, at the same or at another speed."""
    pace = Pace(1, MINUTE_US)
    pace.due_us(0, 0)
    pace.hold(400)
    pace.hold(900)
    pace.run(10_000)
    assert pace.peek_us(1000, 10_000) == 10_600
    pace.hold(10_100)
    pace.run(20_000, speed=2)
    assert pace.peek_us(1000, 20_000) == 20_250


def test_after_a_step_time_counts_from_there() -> None:
    """Whether the clock is held or not."""
    pace = Pace(1, MINUTE_US)
    pace.due_us(0, 0)
    pace.hold(100)
    pace.skip_to(5000, 2000)
    pace.run(10_000)
    assert pace.peek_us(5500, 10_000) == 10_500
