"""When the next tick is due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensord.readers.ticks import next_tick


def test_a_tick_in_time_is_followed_one_interval_later() -> None:
    """Lateness within an interval does not move the grid."""
    assert next_tick(10.0, 1.0, 10.4) == (11.0, 0)


def test_missed_ticks_are_skipped_and_counted() -> None:
    """Coming three and a half intervals late skips three ticks."""
    assert next_tick(10.0, 1.0, 13.5) == (14.0, 3)


@given(st.floats(0, 1e6), st.floats(0.001, 3600), st.floats(0, 1e5))
def test_the_next_tick_lies_ahead_on_the_grid(due: float, interval: float, late: float) -> None:
    """Whatever the lateness, the next tick is in the future and at most one interval away."""
    following, missed = next_tick(due, interval, due + late)
    assert following > due + late
    assert following - (due + late) <= interval * 1.001
    assert abs(following - (due + (missed + 1) * interval)) < 1e-6 * max(1.0, following)
