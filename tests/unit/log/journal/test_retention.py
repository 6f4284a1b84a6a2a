"""Age removes what is beyond doubt too old, whatever the clock has said in the meantime."""

from __future__ import annotations

from sensord.log.journal.registry import Sealed
from sensord.log.journal.retention import count_expired, longest_pause

DAY = 86_400 * 10**6
NOW = 1_700_000_000 * 10**6
LIMIT = 30 * DAY
PAUSE = 3 * DAY


def sealed(*until_us: int) -> list[Sealed]:
    return [Sealed(i * 10, 10, 0, 0, until, 1000) for i, until in enumerate(until_us)]


def daily(days: int) -> list[Sealed]:
    """Return segments that were sealed once a day, the last one today."""
    return sealed(*(NOW - day * DAY for day in range(days, -1, -1)))


def test_the_old_ones_go_and_the_new_ones_stay() -> None:
    """From the oldest on."""
    assert count_expired(daily(40), NOW, LIMIT, PAUSE) == 10
    assert count_expired(daily(30), NOW, LIMIT, PAUSE) == 0


def test_a_boot_in_1970_removes_nothing() -> None:
    """Everything would be in the future, nothing is old."""
    assert count_expired(sealed(NOW - 40 * DAY, NOW), 5 * DAY, LIMIT, PAUSE) == 0


def test_what_was_recorded_in_1970_is_as_old_as_what_came_next() -> None:
    """The clock was set later; the readings are new."""
    assert count_expired(sealed(3 * DAY, 4 * DAY, NOW - DAY), NOW, LIMIT, PAUSE) == 0
    assert count_expired(sealed(3 * DAY, 4 * DAY), NOW, LIMIT, PAUSE) == 0
    assert count_expired([*sealed(3 * DAY), *daily(31)], NOW, LIMIT, PAUSE) == 2


def test_what_was_recorded_in_the_future_does_not_hold_up_the_rest() -> None:
    """A receiver's week rollover must not keep everything for ever, nor remove anything."""
    future = NOW + 7000 * DAY
    assert count_expired([*daily(33)[:2], *sealed(future), *daily(31)], NOW, LIMIT, PAUSE) == 4
    assert count_expired(sealed(NOW - 5 * DAY, future, NOW), NOW, LIMIT, PAUSE) == 0


def test_a_clock_that_jumps_years_ahead_does_not_remove_everything() -> None:
    """However long it stays there: only what was nearly too old already may go."""
    future = NOW + 14 * 365 * DAY
    assert count_expired(daily(29), future, LIMIT, PAUSE) == 2
    there = [*daily(29), *sealed(*(future + hour * DAY // 24 for hour in range(48)))]
    assert count_expired(there, future + 2 * DAY, LIMIT, PAUSE) == 4
    assert count_expired(sealed(NOW), future, LIMIT, PAUSE) == 0


def test_after_a_long_pause_the_old_ones_go_when_the_daemon_has_run() -> None:
    """A board that lay on the shelf for a year is such a jump, too."""
    later = NOW + 365 * DAY
    assert count_expired(daily(5), later, LIMIT, PAUSE) == 0
    assert count_expired(daily(5), later, LIMIT, PAUSE, running_us=26 * DAY) == 4
    assert count_expired(daily(5), later, LIMIT, PAUSE, running_us=28 * DAY) == 6


def test_a_clock_that_went_back_makes_nothing_older() -> None:
    """A segment is never older than one before it."""
    assert count_expired(sealed(NOW - DAY, NOW - 40 * DAY, NOW), NOW, LIMIT, PAUSE) == 0


def test_a_pause_is_longer_than_the_time_between_two_seals() -> None:
    """Else what was recorded all the time would seem younger than it is."""
    hour = DAY // 24
    assert longest_pause(LIMIT, hour) == PAUSE
    assert longest_pause(6 * hour, hour) == 2 * hour
    assert longest_pause(hour, hour) == hour // 2
