"""What the wall clock was worth, and what time really passed."""

from __future__ import annotations

import pytest

from sensord.log.journal.timeline import KEPT, ClockRecord, Shifts, Timeline, Trust

S = 10**6
HOUR = 3600 * S
NOW = 1_800_000_000 * S
IN_2024 = 1_717_200_000 * S


def record(
    first: int, boot: str, monotonic_s: float, wall_us: int, trust: Trust, before_us: int = 0
) -> ClockRecord:
    return ClockRecord(first, boot, int(monotonic_s * S), wall_us, trust, before_us or None)


def shown(shifts: Shifts, *at: tuple[int, int]) -> list[int]:
    return [log_us + shifts.of(offset, log_us) for offset, log_us in at]


def test_times_of_an_unset_clock_are_put_right_once_it_is_set() -> None:
    """By the monotonic clock, in the same boot."""
    timeline = Timeline.of(
        [
            record(0, "a", 10, IN_2024, Trust.UNSET),
            record(100, "a", 70, NOW + 60 * S, Trust.SYNCHRONISED),
        ]
    )
    before, after = (50, IN_2024 + 30 * S), (100, NOW + 61 * S)
    assert shown(timeline.corrections, before, after) == [NOW + 30 * S, NOW + 61 * S]


def test_a_boot_whose_clock_was_never_set_is_not_corrected() -> None:
    """Nobody knows when it was."""
    timeline = Timeline.of(
        [
            record(0, "a", 10, IN_2024, Trust.UNSET),
            record(100, "b", 10, NOW, Trust.SYNCHRONISED),
        ]
    )
    assert timeline.corrections.is_zero


def test_a_trusted_clock_that_is_set_again_is_not_corrected() -> None:
    """What it said was published as good."""
    timeline = Timeline.of(
        [record(0, "a", 10, NOW, Trust.SET), record(9, "a", 20, NOW + HOUR, Trust.SYNCHRONISED)]
    )
    assert timeline.corrections.is_zero
    assert not timeline.present.is_zero


def test_what_was_stamped_before_the_step_was_noticed_has_the_new_time() -> None:
    """It is not put right twice."""
    timeline = Timeline.of(
        [
            record(0, "a", 10, IN_2024, Trust.UNSET),
            record(100, "a", 70, NOW + 60 * S, Trust.SET),
        ]
    )
    assert shown(timeline.corrections, (99, NOW + 59 * S)) == [NOW + 59 * S]


@pytest.mark.parametrize("step_us", [-HOUR, HOUR])
def test_the_present_clock_counts_back_over_a_step(step_us: int) -> None:
    """What came ten seconds before it is ten seconds before it."""
    timeline = Timeline.of(
        [
            record(0, "a", 10, NOW, Trust.SET),
            record(100, "a", 70, NOW + 60 * S + step_us, Trust.SET),
        ]
    )
    assert shown(timeline.present, (99, NOW + 50 * S)) == [NOW + 50 * S + step_us]
    assert shown(timeline.present, (100, NOW + 61 * S)) == [NOW + 61 * S]


def test_between_two_boots_trusted_clocks_say_how_long_it_was() -> None:
    """Others may be believed in no more than that time went on."""
    trusted = [record(0, "a", 10, NOW, Trust.SET), record(9, "b", 5, NOW + HOUR, Trust.SET)]
    assert shown(Timeline.of(trusted).present, (8, NOW + 60 * S)) == [NOW + 60 * S]
    unset = [
        record(0, "a", 10, NOW, Trust.SET),
        record(9, "b", 5, IN_2024, Trust.UNSET, before_us=NOW + 60 * S),
    ]
    assert shown(Timeline.of(unset).present, (8, NOW + 60 * S)) == [IN_2024]


def test_of_before_the_first_record_nothing_is_known() -> None:
    """Times stand as they were recorded."""
    timeline = Timeline.of(
        [record(50, "a", 10, IN_2024, Trust.UNSET), record(60, "a", 20, NOW, Trust.SET)]
    )
    assert shown(timeline.corrections, (49, 7)) == [7]
    assert timeline.corrections.between(40, 50) == (0, NOW - IN_2024 - 10 * S)
    assert Timeline.of(()).present.of(5, 9) == 9 - 9


def test_the_source_time_of_what_restates_is_of_an_older_clock() -> None:
    """The reading itself is logged by the right one."""
    timeline = Timeline.of(
        [
            record(0, "a", 10, IN_2024, Trust.UNSET),
            record(100, "a", 70, NOW + 60 * S, Trust.SET),
        ]
    )
    assert timeline.corrections.source_shift(150, IN_2024 + S) == NOW - IN_2024
    assert timeline.corrections.source_shift(150, NOW + 70 * S) == 0
    assert timeline.corrections.source_shift(150, 5) == 0


def test_records_that_say_the_same_are_not_kept() -> None:
    """The first and the last of a boot say it all."""
    hourly = [record(i, "a", i * 3600, NOW + i * HOUR, Trust.SET) for i in range(100)]
    stepped = record(100, "a", 360_000, NOW, Trust.SET)
    timeline = Timeline.of([*hourly, stepped])
    assert timeline.needed_from(0) == [hourly[0], hourly[-1], stepped]
    assert timeline.needed_from(70) == [hourly[70], hourly[-1], stepped]
    assert timeline.needed_from(200) == [stepped]


def test_there_are_not_too_many() -> None:
    """A clock that flaps must not fill the memory."""
    timeline = Timeline.of(record(i, "a", i, NOW, Trust.SET) for i in range(KEPT + 5))
    assert timeline.records[0].first == 5
