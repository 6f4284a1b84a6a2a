"""What the readings of an interval come to."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sensord.model.readings import (
    GOOD,
    Channel,
    Level,
    Metadata,
    Quality,
    Reading,
    Record,
    Value,
    ValueType,
)
from sensord.server.past.summarizer import Interval, Row, Summarizer
from tests.unit.server.askers import simple_summary

S = 1_000_000
START_US = 1_700_000_000 * S

NUMBER = Channel(1, "plant/a", Metadata())
OTHER = Channel(2, "plant/b", Metadata())
WHOLE = Channel(3, "plant/count", Metadata(ValueType.INT))
FLAG = Channel(4, "plant/on", Metadata(ValueType.BOOL))
FREE = Channel(5, "plant/free", Metadata(ValueType.JSON))


def record(
    offset: int,
    at_s: float,
    value: Value,
    channel: Channel = NUMBER,
    quality: Quality = GOOD,
    *,
    restates: bool = False,
) -> Record:
    """Make a record that was logged so many seconds after the start."""
    reading = Reading(0, value, quality, restates)
    return Record(offset, START_US + round(at_s * S), channel, reading)


def told(intervals: Iterable[Interval]) -> list[tuple[float, int, list[tuple[Value, ...]]]]:
    """Write intervals as seconds after the start, stop, and their rows."""
    return [
        ((one.start_us - START_US) / S, one.stop, [_row(row) for row in one.rows])
        for one in intervals
    ]


def _row(row: Row) -> tuple[Value, ...]:
    plain = (row.channel.topic, row.count, row.first, row.last)
    return (*plain, row.min, row.max, row.mean) if row.is_number else plain


def test_an_interval_is_complete_when_a_reading_of_a_later_one_comes() -> None:
    """It says where whoever goes on from there would get the next one."""
    summarizer = Summarizer(10 * S)
    early = [record(5, 1.0, 2.0), record(7, 9.999999, 1.0), record(8, 3.0, 4.0, OTHER)]
    assert told(summarizer.take(early)) == []
    assert summarizer.end_us == START_US + 10 * S
    assert summarizer.first_offset == 5
    assert told(summarizer.take([record(9, 35.0, 6.0)])) == [
        (0.0, 9, [("plant/a", 2, 2.0, 1.0, 1.0, 2.0, 1.5), ("plant/b", 1, 4.0, 4.0, 4.0, 4.0, 4.0)])
    ]
    assert summarizer.first_offset == 9
    assert told(summarizer.complete(10)) == [(30.0, 10, [("plant/a", 1, 6.0, 6.0, 6.0, 6.0, 6.0)])]
    assert told(summarizer.complete(10)) == []


def test_an_interval_is_complete_when_the_clock_has_passed_its_end() -> None:
    """And what is logged a little before it all the same counts into the next one."""
    summarizer = Summarizer(10 * S)
    list(summarizer.take([record(0, 5.0, 1.0)]))
    assert told(summarizer.complete(1, START_US + 10 * S - 1)) == []
    assert told(summarizer.complete(1, START_US + 10 * S)) == [
        (0.0, 1, [("plant/a", 1, 1.0, 1.0, 1.0, 1.0, 1.0)])
    ]
    late = [record(1, 9.5, 2.0), record(2, 11.0, 3.0)]
    assert told(summarizer.take(late)) == []
    assert told(summarizer.complete(3)) == [(10.0, 3, [("plant/a", 2, 2.0, 3.0, 2.0, 3.0, 2.5)])]


def test_a_clock_that_was_set_back_begins_an_earlier_interval_anew() -> None:
    """One that is slewed does not."""
    summarizer = Summarizer(S)
    slewed = [record(0, 5.5, 1.0), record(1, 4.9, 2.0), record(2, 3.0, 3.0)]
    assert told(summarizer.take(slewed)) == []
    [(second, stop, _)] = told(summarizer.take([record(3, 2.999, 4.0)]))
    assert (second, stop) == (5.0, 3)
    assert told(summarizer.complete(4)) == [(2.0, 4, [("plant/a", 1, 4.0, 4.0, 4.0, 4.0, 4.0)])]


def test_what_is_bad_or_restates_an_older_value_does_not_count() -> None:
    """An interval without any other reading of a channel has no row of it."""
    summarizer = Summarizer(S)
    uncertain = Quality(Level.UNCERTAIN, "no_fix")
    records = [
        record(0, 0.0, 9.0, quality=Quality(Level.BAD, "stale")),
        record(1, 0.0, 9.0, restates=True),
        record(2, 0.0, None, quality=uncertain),
        record(3, 0.1, 1.0, OTHER, quality=uncertain),
        record(4, 0.2, None, FREE),
        record(5, 1.0, 9.0, restates=True),
        record(6, 2.0, 9.0, restates=True),
    ]
    assert told(summarizer.take(records)) == [
        (0.0, 5, [("plant/b", 1, 1.0, 1.0, 1.0, 1.0, 1.0), ("plant/free", 1, None, None)])
    ]
    assert summarizer.end_us is None


def test_numbers_of_any_size_are_added_up() -> None:
    """Integers exactly; a sum that no float64 can hold has no mean."""
    summarizer = Summarizer(S)
    records = [
        record(0, 0.0, 2**63, WHOLE),
        record(1, 0.0, 2**63 + 2, WHOLE),
        record(2, 0.0, 1.7e308),
        record(3, 0.0, 1.7e308),
        record(4, 0.0, True, FLAG),
        record(5, 0.0, False, FLAG),
    ]
    list(summarizer.take(records))
    [(_, _, rows)] = told(summarizer.complete(6))
    assert rows == [
        ("plant/count", 2, 2**63, 2**63 + 2, 2**63, 2**63 + 2, float(2**63 + 1)),
        ("plant/a", 2, 1.7e308, 1.7e308, 1.7e308, 1.7e308, None),
        ("plant/on", 2, True, False),
    ]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3_000_000),
            st.integers(-1000, 1000),
            st.sampled_from([NUMBER, OTHER]),
            st.booleans(),
        )
    ),
    st.lists(st.integers(0, 50)),
)
def test_however_readings_come_in_pieces_the_sums_are_the_same(
    steps: list[tuple[int, int, Channel, bool]], cuts: list[int]
) -> None:
    """Those of the plainest implementation."""
    records, at_us = [], 0
    for offset, (step_us, value, channel, restates) in enumerate(steps):
        at_us += step_us
        records.append(record(offset, at_us / S, float(value), channel, restates=restates))
    summarizer, found = Summarizer(S), list[Interval]()
    bounds = sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})
    for begin, end in pairwise(bounds):
        found += summarizer.take(records[begin:end])
    found += summarizer.complete(len(records))
    rows = [
        {"channel": row.channel.topic, "time_us": one.start_us, "count": row.count}
        | {"first": row.first, "last": row.last}
        | {"min": row.min, "max": row.max, "mean": row.mean}
        for one in found
        for row in one.rows
    ]
    assert rows == simple_summary(records, S)
