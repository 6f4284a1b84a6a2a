"""A message of a stream becomes the reading that the uplink wrote, at its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.hub.arrivals import Arrival, Missing, Reader
from sensord.model.readings import (
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
from sensord.uplinks.channel_header import CHANNEL, description_of
from sensord.uplinks.payload import Payloads

TIME_US = 1_790_000_000_123_456

VALUES: dict[ValueType, st.SearchStrategy[Value]] = {
    ValueType.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    ValueType.INT: st.integers(-(2**63), 2**63),
    ValueType.BOOL: st.booleans(),
    ValueType.STRING: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    ValueType.JSON: st.dictionaries(st.sampled_from("ab"), st.integers(), max_size=2),
}


@st.composite
def records(draw: st.DrawFn) -> Record:
    kind = draw(st.sampled_from(ValueType))
    metadata = Metadata(
        kind,
        draw(st.sampled_from(["", "Cel", "m/s"])),
        draw(st.none() | st.integers(0, 9)),
        draw(st.sampled_from(Kind)),
        "about",
        "boiler",
    )
    level = draw(st.sampled_from(Level))
    quality = Quality(level, "noisy" if level else "")
    value = draw(VALUES[kind]) if level < Level.BAD else None
    time_us = TIME_US + draw(st.integers(-5_000_000, 5_000_000))
    log_us = time_us + draw(st.integers(0, 3) | st.just(7_000_000))
    reading = Reading(time_us, value, quality, draw(st.booleans()))
    return Record(draw(st.integers(0, 2**40)), log_us, Channel(0, "a/b", metadata), reading)


@given(st.lists(records(), max_size=5))
def test_what_an_uplink_writes_is_read_again(given_: list[Record]) -> None:
    """To the bit: epoch, offset, times, value, quality and metadata."""
    payloads, reader = Payloads(has_topic=True, has_log_time=True), Reader()
    for sequence, record in enumerate(given_):
        about = description_of(record.channel.metadata)
        headers = {CHANNEL: about} if about else None
        found = reader.read(sequence, payloads.write("e1", record), headers)
        expected = Arrival(
            sequence,
            "e1",
            record.offset,
            record.log_us,
            "a/b",
            record.channel.metadata,
            record.reading,
        )
        assert found == expected
        assert isinstance(found, Arrival)
        assert type(found.reading.value) is type(record.reading.value)


GOOD: dict[str, Any] = {
    "topic": "a",
    "value": 1.5,
    "time": "2026-01-01T00:00:00.000000Z",
    "quality": "good",
    "epoch": "e1",
    "offset": 4,
}


def read(**changed: object) -> Arrival | Missing:
    message = {key: value for key, value in (GOOD | changed).items() if value is not ...}
    return Reader().read(1, json.dumps(message).encode(), None)


def test_a_gap_is_no_reading() -> None:
    """It names the offsets that will not come."""
    value = {"from": 4, "to": 9, "reason": "expired", "count": 5}
    assert read(topic="$gap/hub", value=value) == Missing(1, "e1", 4, 9, "expired")


@pytest.mark.parametrize(
    "changed",
    [
        {"topic": ...},
        {"topic": "a/#"},
        {"topic": 1},
        {"epoch": ...},
        {"epoch": ""},
        {"offset": ...},
        {"offset": -1},
        {"offset": 2**60},
        {"offset": True},
        {"time": ...},
        {"time": "yesterday"},
        {"time": "2026-13-01T00:00:00.000000Z"},
        {"time": "2026-01-01T00:00:00.00000xZ"},
        {"quality": "fine"},
        {"quality": ...},
        {"value": "1.5"},
        {"value": 1},
        {"value": True},
        {"topic": "$gap/hub", "value": None},
        {"topic": "$gap/hub", "value": {"to": 3}},
    ],
)
def test_what_is_not_from_an_uplink_is_refused(changed: dict[str, object]) -> None:
    """It is counted and left out, and never taken for a reading."""
    with pytest.raises(ValueError, match=r"topic|epoch|offset|time|quality|value|gap"):
        read(**changed)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"12"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    """Other programs may write to the stream."""
    with pytest.raises((ValueError, UnicodeDecodeError)):
        Reader().read(1, data, None)
