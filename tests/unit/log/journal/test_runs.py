"""Runs begin where the clock steps or offsets are missing, and times never fall within one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.log.journal.runs import BETWEEN_STEPS_US, MAX_RUN_RECORDS, Intake, Run
from sensord.model.readings import Channel, Metadata, Reading, Record

CHANNEL = Channel(0, "a", Metadata())
IDS = {CHANNEL: 1}
S = 1_000_000
NOON = 1_700_000_000 * S


def records(*times_us: int, first: int = 0) -> list[Record]:
    return [
        Record(first + i, time_us, CHANNEL, Reading(time_us, i))
        for i, time_us in enumerate(times_us)
    ]


def take(
    intake: Intake, given: list[Record], *, stepped: bool = False, at_us: int = 0
) -> list[Run]:
    return list(intake.take(given, IDS, stepped=stepped, monotonic_us=at_us))


def shape(runs: list[Run]) -> list[tuple[int, int, bool]]:
    return [(run.block.first, run.block.count, run.begins_segment) for run in runs]


def test_ordinary_readings_are_one_run() -> None:
    """And the next commit goes on."""
    intake = Intake(0, 1 << 20)
    assert shape(take(intake, records(NOON, NOON + 1, NOON + 1))) == [(0, 3, False)]
    assert shape(take(intake, records(NOON + 5, first=3))) == [(3, 1, False)]


def test_a_gap_in_the_offsets_begins_a_segment() -> None:
    """Before the first reading or between two."""
    intake = Intake(0, 1 << 20)
    given = records(NOON, first=5) + records(NOON, NOON, first=9)
    assert shape(take(intake, given)) == [(5, 1, True), (9, 2, True)]


def test_an_offset_that_comes_again_is_a_mistake_of_the_caller() -> None:
    """It would overwrite what was recorded."""
    intake = Intake(10, 1 << 20)
    with pytest.raises(ValueError, match="offset 9 comes again"):
        take(intake, records(NOON, first=9))
    with pytest.raises(ValueError, match="comes after"):
        take(intake, records(NOON, first=10) * 2)


@pytest.mark.parametrize("step_us", [-3600 * S, 3600 * S])
def test_a_clock_step_begins_a_segment_where_it_happened(step_us: int) -> None:
    """In the middle of a commit."""
    intake = Intake(0, 1 << 20)
    take(intake, records(NOON))
    after = NOON + step_us
    runs = take(intake, records(NOON + 1, NOON + 2, after, after + 1, first=1), stepped=True)
    assert shape(runs) == [(1, 2, False), (3, 2, True)]
    assert list(runs[1].block.log_us) == [after, after + 1]


def test_a_flapping_clock_makes_one_segment_a_minute() -> None:
    """Between, times are raised to the last one."""
    intake = Intake(0, 1 << 20)
    runs = []
    for i in range(120):
        noon = NOON if i % 2 else NOON - 3600 * S
        runs += take(intake, records(noon + i, first=i), stepped=True, at_us=i * S)
    assert 1 < sum(run.begins_segment for run in runs) <= 1 + 120 * S // BETWEEN_STEPS_US
    last = 0
    for run in runs:
        last = 0 if run.begins_segment else last
        assert run.block.log_us[0] >= last
        last = run.block.log_us[-1]


def test_a_quiet_hour_is_no_step() -> None:
    """Only the difference to the monotonic clock tells."""
    intake = Intake(0, 1 << 20)
    assert not intake.clock_stepped(NOON, 0)
    take(intake, records(NOON))
    assert not intake.clock_stepped(NOON + 3600 * S, 3600 * S)
    assert shape(take(intake, records(NOON + 3600 * S, first=1))) == [(1, 1, False)]
    assert intake.clock_stepped(NOON + 3610 * S, 3601 * S)


@given(st.lists(st.integers(-(10**15), 2**70), min_size=1, max_size=30))
def test_times_never_fall_within_a_segment(times: list[int]) -> None:
    """Whatever the clock says, and all readings are there."""
    intake = Intake(0, 1 << 20)
    runs = take(intake, records(*times))
    assert sum(run.block.count for run in runs) == len(times)
    last = 0
    for run in runs:
        last = 0 if run.begins_segment else last
        assert list(run.block.log_us) == sorted(run.block.log_us)
        assert run.block.log_us[0] >= last
        last = run.block.log_us[-1]


def test_runs_are_bounded_in_number_and_bytes() -> None:
    """A chunk must not become what no reader can hold."""
    intake = Intake(0, 1000)
    assert max(run.block.raw_bytes for run in take(intake, records(*[NOON] * 100))) <= 1000
    large = [Record(100, NOON, CHANNEL, Reading(NOON, "x" * 5000))]
    assert shape(take(intake, large)) == [(100, 1, False)]
    many = take(Intake(0, 1 << 30), records(*[NOON] * 10_000))
    assert [run.block.count for run in many] == [MAX_RUN_RECORDS, MAX_RUN_RECORDS, 1808]
