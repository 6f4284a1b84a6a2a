"""What a subscription asked to be spared is withheld, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.log.thinning import Thinning, conflate, newest
from sensord.model.readings import (
    GOOD,
    Channel,
    Kind,
    Level,
    Metadata,
    Quality,
    Reading,
    Record,
    Value,
    ValueType,
)
from sensord.wire.ops.subscriptions import Options

STATE = Channel(0, "a", Metadata())
OTHER = Channel(1, "b", Metadata())
EVENT = Channel(2, "c", Metadata(kind=Kind.EVENT))
SWITCH = Channel(3, "d", Metadata(ValueType.BOOL))

STALE = Quality(Level.UNCERTAIN, "stale")


def record(
    offset: int,
    channel: Channel = STATE,
    value: Value = 0.0,
    *,
    quality: Quality = GOOD,
    restates: bool = False,
    log_us: int = 0,
) -> Record:
    return Record(offset, log_us, channel, Reading(log_us, value, quality, restates))


def offsets(records: Sequence[Record]) -> list[int]:
    return [one.offset for one in records]


def values(*told: float) -> list[Record]:
    return [record(i, value=value) for i, value in enumerate(told)]


some_records = st.lists(
    st.tuples(
        st.sampled_from([STATE, OTHER, EVENT]),
        st.floats(-10, 10),
        st.sampled_from([GOOD, GOOD, STALE]),
        st.integers(0, 3_000_000),
    ),
    max_size=30,
).map(
    lambda told: [
        record(i, channel, value, quality=quality, log_us=log_us)
        for i, (channel, value, quality, log_us) in enumerate(told)
    ]
)


@pytest.mark.parametrize("options", [Options(), Options("latest", max_latency_s=1.0)])
def test_who_asks_for_everything_is_not_thinned(options: Options) -> None:
    """Neither mode nor latency withholds anything at the tail."""
    assert Thinning.of(options) is None
    assert Thinning.of(replace(options, period_s=1.0)) is not None
    assert Thinning.of(replace(options, deadband=1.0)) is not None


def test_the_newest_of_each_state_is_kept_and_every_event() -> None:
    """Order stays that of the log."""
    told = [
        record(0),
        record(1, EVENT),
        record(2, OTHER),
        record(3),
        record(4, EVENT),
    ]
    assert offsets(newest(told)) == [1, 2, 3, 4]


def test_conflation_counts_what_gave_way_by_topic() -> None:
    """Topics that lost nothing are not named."""
    told = [record(0), record(1, EVENT), record(2, OTHER), record(3), record(4)]
    kept, gave_way = conflate(told)
    assert offsets(kept) == [1, 2, 4]
    assert gave_way == {"a": 2}


def test_nothing_gives_way_to_nothing() -> None:
    """Where all are kept no count is made."""
    told = [record(0), record(1, EVENT), record(2, OTHER)]
    assert conflate(told) == (told, {})
    assert conflate([]) == ([], {})


@given(some_records)
def test_conflation_keeps_or_counts_each_reading(told: list[Record]) -> None:
    """Kept and counted together are all, and the newest of each state is kept."""
    kept, gave_way = conflate(told)
    assert len(kept) + gave_way.total() == len(told)
    assert all(one in kept for one in told if one.channel is EVENT)
    last = {one.channel.number: one for one in told}
    assert all(one in kept for one in last.values())
    assert offsets(kept) == sorted(offsets(kept))


def test_a_period_gives_the_newest_reading_of_each_state() -> None:
    """What came before it in the same period is withheld."""
    thinning = Thinning(period_s=1.0, deadband=0.0)
    assert offsets(thinning.thin([record(0), record(1, EVENT), record(2)])) == [1, 2]


def test_periods_of_the_past_are_those_of_the_log() -> None:
    """A stretch of many periods has one reading for each."""
    thinning = Thinning(period_s=1.0, deadband=0.0)
    times = [100_000, 900_000, 1_000_000, 2_500_000, 2_600_000]
    told = [record(i, log_us=log_us) for i, log_us in enumerate(times)]
    told.insert(1, record(5, EVENT, log_us=100_000))
    assert offsets(thinning.thin_past(told)) == [5, 1, 2, 4]


def test_a_deadband_is_measured_from_the_value_that_was_sent() -> None:
    """A slow drift is sent as soon as it has gone far enough, not never."""
    thinning = Thinning(period_s=0.0, deadband=1.0)
    told = values(10.0, 10.6, 11.0, 11.1, 10.5, 12.2)
    assert offsets(thinning.thin(told)) == [0, 3, 5]


def test_a_deadband_remembers_from_frame_to_frame() -> None:
    """Where the flushes fall makes no difference."""
    whole, parts = Thinning(0.0, 1.0), Thinning(0.0, 1.0)
    told = values(0.0, 0.5, 1.5, 1.6, 3.0)
    cut = [*parts.thin(told[:2]), *parts.thin(told[2:])]
    assert whole.thin(told) == cut


def test_a_deadband_does_not_hold_back_events_or_changes_of_quality() -> None:
    """An event counts however close it is, and an uncertain value is news."""
    thinning = Thinning(0.0, 100.0)
    told = [record(0, EVENT), record(1, EVENT), record(2), record(3, quality=STALE)]
    assert offsets(thinning.thin(told)) == [0, 1, 2, 3]


def test_a_deadband_is_for_numbers_alone() -> None:
    """A switch that turns is never too close."""
    thinning = Thinning(0.0, 100.0)
    told = [record(0, SWITCH, value=False), record(1, SWITCH, value=True)]
    assert offsets(thinning.thin(told)) == [0, 1]


def test_a_heartbeat_confirms_only_what_the_client_has_seen() -> None:
    """One of a value that was withheld would confirm another."""
    thinning = Thinning(0.0, 1.0)
    told = [
        record(0, value=10.0),
        record(1, value=10.0, restates=True),
        record(2, value=10.5),
        record(3, value=10.5, restates=True),
    ]
    assert offsets(thinning.thin(told)) == [0, 1]


@given(
    some_records,
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([0.0, 0.5, 3.0]),
    st.booleans(),
)
def test_thinning_withholds_only_what_is_superseded_or_close(
    told: list[Record], period_s: float, deadband: float, is_past: bool
) -> None:
    """Events pass; a state that is withheld is followed by a newer one, or close to the sent."""
    thinning = Thinning(period_s, deadband)
    kept = thinning.thin_past(told) if is_past else thinning.thin(told)
    assert offsets(kept) == sorted(set(offsets(kept)))
    sent: dict[int, Record] = {}
    for one in told:
        number = one.channel.number
        if one in kept:
            sent[number] = one
            continue
        assert one.channel is not EVENT
        last = sent.get(number)
        is_close = (
            last is not None
            and last.reading.quality == one.reading.quality
            and isinstance(last.reading.value, float)
            and isinstance(one.reading.value, float)
            and abs(last.reading.value - one.reading.value) <= deadband
        )
        newer = any(r.offset > one.offset and r.channel is one.channel for r in told)
        assert is_close or (period_s and newer)
