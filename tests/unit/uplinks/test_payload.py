"""Readings as JSON: the same as a dictionary would be written, and where delivery resumes."""

from __future__ import annotations

import json

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
from sensord.model.times import iso
from sensord.uplinks.payload import Payloads, next_offset

VALUES: st.SearchStrategy[Value] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])), st.just({"a": [1, "ü"]}),
)  # fmt: skip

QUALITIES = st.sampled_from([GOOD, Quality(Level.BAD, 'a "reason"'), Quality(Level.UNCERTAIN, "x")])


@given(st.lists(st.tuples(VALUES, st.integers(0, 2**53 - 1), QUALITIES, st.booleans())))
def test_a_payload_reads_as_what_was_written(
    rows: list[tuple[Value, int, Quality, bool]],
) -> None:
    """Whatever came before: what is remembered of a channel and a second never shows."""
    payloads = Payloads(has_topic=True)
    channels = [
        Channel(1, 'a/"b"', Metadata(ValueType.JSON, unit='U"')),
        Channel(2, "c", Metadata(ValueType.JSON)),
    ]
    for i, (value, time_us, quality, restates) in enumerate(rows):
        channel = channels[i % 2]
        record = Record(i, time_us + 1, channel, Reading(time_us, value, quality, restates))
        expected: dict[str, Value] = {"topic": channel.topic, "value": value, "time": iso(time_us)}
        expected["quality"] = quality.level.name.lower()
        if quality.reason:
            expected["reason"] = quality.reason
        if restates:
            expected["restated"] = iso(time_us + 1)
        if channel.metadata.unit:
            expected["unit"] = channel.metadata.unit
        expected |= {"epoch": "e", "offset": i}
        assert json.loads(payloads.write("e", record)) == expected


def test_delivery_resumes_behind_a_reading_and_behind_a_gap() -> None:
    """A gap stands for all its offsets."""
    channel = Channel(1, "a", Metadata(ValueType.JSON))
    assert next_offset(Record(7, 0, channel, Reading(0, {"to": 99}))) == 8
    gap = Channel(-1, "$gap/cloud", Metadata(ValueType.JSON))
    assert next_offset(Record(7, 0, gap, Reading(0, {"from": 7, "to": 99}))) == 99
