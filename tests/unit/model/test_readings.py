"""The values that everything else passes on."""

from __future__ import annotations

import pytest

from sensord.model.readings import (
    GOOD,
    Channel,
    Kind,
    Level,
    Metadata,
    Reading,
    Record,
    ValueType,
    make_reading,
    make_record,
)


@pytest.mark.parametrize(
    ("metadata", "scale"),
    [
        (Metadata(), 1),
        (Metadata(decimals=0), 1),
        (Metadata(decimals=2), 100),
        (Metadata(decimals=15), 10**15),
        (Metadata(ValueType.INT, decimals=2), 0),
        (Metadata(ValueType.JSON), 0),
    ],
)
def test_only_floats_are_scaled(metadata: Metadata, scale: int) -> None:
    """By ten to the power of their decimals, which count as none where there are none."""
    assert metadata.scale == scale
    assert Channel(0, "a", metadata).scale == scale


def test_a_channel_is_itself_alone() -> None:
    """Two of the same topic are two: old records keep their meaning."""
    one, other = Channel(1, "a", Metadata()), Channel(1, "a", Metadata())
    assert one != other
    assert repr(one) == "Channel(1, 'a')"


def test_a_channel_knows_whether_each_reading_counts() -> None:
    """An event does; a state is replaced by the next one."""
    assert Channel(0, "a", Metadata(kind=Kind.EVENT)).is_event
    assert not Channel(0, "a", Metadata()).is_event


def test_levels_are_ordered_by_how_bad_they_are() -> None:
    """So the worse of two is the greater."""
    assert Level.GOOD < Level.UNCERTAIN < Level.BAD
    assert GOOD.level is Level.GOOD
    assert GOOD.reason == ""


def test_readings_and_records_made_from_their_parts_are_the_same() -> None:
    """The short way makes what the class makes."""
    reading = make_reading((7, 1.5, GOOD, True))
    assert reading == Reading(7, 1.5, GOOD, restates=True)
    assert type(reading) is Reading
    channel = Channel(0, "a", Metadata())
    record = make_record((1, 2, channel, reading))
    assert record == Record(1, 2, channel, reading)
    assert type(record) is Record
