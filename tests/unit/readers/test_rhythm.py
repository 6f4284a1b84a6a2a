"""How long a line may be silent, by what is known of its device."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.readers.rhythm import FIRST_S, LONGEST_S, SHORTEST_S, Rhythm


def play(
    rhythm: Rhythm, speaks_at: list[float], *, end_s: float, banner: bool = False
) -> list[float]:
    """Let a line speak at these times; return when it was given up and opened again.

    With a ``banner`` it also speaks whenever it is opened, as a board does that is reset by it.
    """
    reopened: list[float] = []
    now_s = 0.0
    rhythm.opened(now_s)
    if banner:
        rhythm.heard(now_s)
    for at_s in [*speaks_at, end_s]:
        while (due_s := now_s - rhythm.silence_s(now_s) + rhythm.limit_s) < at_s:
            now_s = due_s
            reopened.append(now_s)
            rhythm.fell_silent()
            rhythm.opened(now_s)
            if banner:
                rhythm.heard(now_s)
        now_s = at_s
        if at_s < end_s:
            rhythm.heard(now_s)
    return reopened


def every(period_s: float, count: int, first_s: float = 0.0) -> list[float]:
    return [first_s + i * period_s for i in range(count)]


@pytest.mark.parametrize("period_s", [0.1, 1, 10, 30, 59, 60, 61, 120, 240])
@pytest.mark.parametrize("banner", [False, True])
def test_a_device_in_its_rhythm_is_never_given_up(period_s: float, banner: bool) -> None:  # a case
    """Though it speaks but once in minutes."""
    last_s = period_s * 400
    times = every(period_s, 400, first_s=period_s)
    assert play(Rhythm(None), times, end_s=last_s + 1, banner=banner) == []


@pytest.mark.parametrize("period_s", [600, 900, 1800])
@pytest.mark.parametrize("banner", [False, True])
def test_a_slow_rhythm_is_learnt(period_s: float, banner: bool) -> None:  # a case
    """At the beginning the line is opened again a few times, and then never."""
    times = every(period_s, 60, first_s=period_s)
    reopened = play(Rhythm(None), times, end_s=60 * period_s + 1, banner=banner)
    assert len(reopened) <= 4
    assert all(at_s < 5 * period_s for at_s in reopened)


def test_a_device_with_long_pauses_between_its_bursts_is_not_given_up() -> None:
    """Its pauses are a habit, whatever it says in between."""
    times = [float(start + i) for start in range(0, 36_000, 600) for i in range(10)]
    reopened = play(Rhythm(None), times, end_s=36_000)
    assert all(at_s < 1800 for at_s in reopened)


def test_a_fast_device_that_stops_is_given_up_after_a_minute() -> None:
    """It is known well; and then ever more rarely."""
    rhythm = Rhythm(None)
    reopened = play(rhythm, every(1.0, 1000), end_s=1000 + 20_000)
    gaps = [b - a for a, b in zip([999.0, *reopened], reopened, strict=False)]
    assert gaps[:4] == [60, 120, 240, 480]
    assert gaps[-1] == LONGEST_S


def test_several_periods_of_silence_are_too_many() -> None:
    """Of a device that speaks once a minute, four."""
    reopened = play(Rhythm(None), every(60.0, 30), end_s=2200)
    assert reopened[0] == 29 * 60 + 240


def test_a_night_without_power_is_no_rhythm() -> None:
    """A long outage does not make the next one go unnoticed."""
    rhythm = Rhythm(None)
    day = every(1.0, 3600)
    play(rhythm, [*day, *(t + 40_000 for t in day), *(t + 120_000 for t in day)], end_s=124_000)
    assert rhythm.period_s == 0


def test_what_is_declared_decides_alone() -> None:
    """However the device speaks."""
    assert play(Rhythm(7.0), every(10.0, 3, first_s=10.0), end_s=31) == [7, 17, 27]
    assert not Rhythm(0.0).is_judged


def test_time_without_the_port_is_no_pause() -> None:
    """It was unplugged, and the device may have spoken meanwhile."""
    rhythm = Rhythm(None)
    for start_s in (0.0, 1000.0, 2000.0):
        rhythm.opened(start_s)
        for i in range(10):
            rhythm.heard(start_s + i)
    assert rhythm.period_s == 0


@given(st.lists(st.floats(0.001, 10_000), max_size=60), st.booleans())
def test_the_limit_is_never_beyond_reason(steps: list[float], banner: bool) -> None:  # a case
    """Neither too short for a known device nor without an end, and the line is always looked at."""
    rhythm, now_s = Rhythm(None), 0.0
    rhythm.opened(now_s)
    for step_s in steps:
        now_s += step_s
        if step_s > rhythm.limit_s:
            rhythm.fell_silent()
            rhythm.opened(now_s)
            if not banner:
                continue
        rhythm.heard(now_s)
        assert min(SHORTEST_S, FIRST_S) <= rhythm.limit_s <= max(LONGEST_S, 4 * rhythm.period_s)
        assert rhythm.period_s <= 6 * 3600
