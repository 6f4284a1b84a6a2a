"""Age removes what is beyond doubt too old, whatever the clock has said in the meantime."""

from __future__ import annotations

from sensord.log.journal.registry import Sealed
from sensord.log.journal.retention import count_expired

DAY = 86_400 * 10**6
NOW = 1_700_000_000 * 10**6
LIMIT = 30 * DAY


def sealed(*until_us: int) -> list[Sealed]:
    return [Sealed(i * 10, 10, 0, 0, until, 1000) for i, until in enumerate(until_us)]


def test_the_old_ones_go_and_the_new_ones_stay() -> None:
    """From the oldest on."""
    segments = sealed(NOW - 40 * DAY, NOW - 31 * DAY, NOW - 29 * DAY, NOW)
    assert count_expired(segments, NOW, LIMIT) == 2


def test_a_boot_in_1970_removes_nothing() -> None:
    """Everything would be in the future, nothing is old."""
    assert count_expired(sealed(NOW - 40 * DAY, NOW), 5 * DAY, LIMIT) == 0


def test_what_was_recorded_in_1970_is_as_old_as_what_came_next() -> None:
    """The clock was set later; the readings are new."""
    assert count_expired(sealed(3 * DAY, 4 * DAY, NOW - DAY), NOW, LIMIT) == 0
    assert count_expired(sealed(3 * DAY, 4 * DAY), NOW, LIMIT) == 0
    assert count_expired(sealed(3 * DAY, NOW - 31 * DAY, NOW - DAY), NOW, LIMIT) == 2


def test_what_was_recorded_in_the_future_does_not_hold_up_the_rest() -> None:
    """A receiver's week rollover must not keep everything for ever, nor remove anything."""
    future = NOW + 7000 * DAY
    assert count_expired(sealed(NOW - 40 * DAY, future, NOW - 31 * DAY, NOW), NOW, LIMIT) == 3
    assert count_expired(sealed(NOW - 5 * DAY, future, NOW), NOW, LIMIT) == 0


def test_a_clock_that_went_back_makes_nothing_older() -> None:
    """A segment is never older than one before it."""
    assert count_expired(sealed(NOW - DAY, NOW - 40 * DAY, NOW), NOW, LIMIT) == 0
