"""How long to wait after a failure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensord.device.backoff import LOCAL, REMOTE, Backoff, Limits


def test_waits_double_up_to_the_cap() -> None:
    """Without luck the steps are 1, 2, 4, ... and end at the cap."""
    backoff = Backoff(Limits(first_s=1, cap_s=5), lambda: 1.0)
    assert [backoff.after(0) for _ in range(5)] == [1, 2, 4, 5, 5]


def test_chance_takes_away_at_most_half() -> None:
    """The shortest wait is half a step."""
    backoff = Backoff(Limits(first_s=1, cap_s=5), lambda: 0.0)
    assert [backoff.after(0) for _ in range(4)] == [0.5, 1, 2, 2.5]


def test_a_steady_run_starts_from_the_beginning() -> None:
    """After a run that stayed up the first wait is short again."""
    backoff = Backoff(Limits(first_s=1, cap_s=30, steady_s=10), lambda: 1.0)
    for _ in range(4):
        backoff.after(0)
    assert backoff.after(10) == 1


def test_a_run_that_fell_at_once_goes_on_waiting_longer() -> None:
    """A broker that accepts and drops is not called without end."""
    backoff = Backoff(Limits(first_s=1, cap_s=30, steady_s=10), lambda: 1.0)
    assert [backoff.after(0.2) for _ in range(3)] == [1, 2, 4]


@given(st.integers(0, 5000), st.floats(0, 1, exclude_max=True), st.sampled_from([LOCAL, REMOTE]))
def test_no_wait_is_too_short_or_too_long(failures: int, luck: float, limits: Limits) -> None:
    """However many failures, a wait is from half a second to the cap."""
    backoff = Backoff(limits, lambda: luck)
    for _ in range(failures):
        backoff.after(0)
    assert 0.5 <= backoff.after(0) <= limits.cap_s
