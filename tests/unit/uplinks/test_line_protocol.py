"""Readings as points that a database reads back as they were."""

from __future__ import annotations

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
from sensord.uplinks.line_protocol import lines

T = 1_700_000_000_000_000


def line(
    value: Value,
    metadata: Metadata | None = None,
    quality: Quality = GOOD,
    *,
    topic: str = "a/b",
    restates: bool = False,
) -> str:
    channel = Channel(1, topic, metadata or Metadata())
    record = Record(1234, T + 9_000_000, channel, Reading(T, value, quality, restates))
    return lines("m", "e1", [record]).decode().removesuffix("\n")


REST = 'quality="good",epoch="e1",offset=1234i'


def test_a_number_has_its_tags_and_its_own_time() -> None:
    """In nanoseconds; the offset tells two readings of one microsecond apart."""
    metadata = Metadata(unit="Cel", device="boiler")
    assert line(21.5, metadata) == (f"m,topic=a/b,device=boiler,unit=Cel value=21.5,{REST} {T}234")


def test_each_type_has_a_field_of_its_own() -> None:
    """A database refuses a field that changes its type."""
    assert line(True, Metadata(ValueType.BOOL)).split()[1] == f"flag=true,{REST}"
    assert (
        line('q"\\\n', Metadata(ValueType.STRING)) == f'm,topic=a/b text="q\\"\\\\\n",{REST} {T}234'
    )
    assert line({"a": [1]}, Metadata(ValueType.JSON)).startswith(
        'm,topic=a/b json="{\\"a\\": [1]}"'
    )
    assert line(5, Metadata(ValueType.INT)).split()[1] == f"value=5.0,{REST}"


def test_a_whole_number_beyond_floats_is_given_exactly_too() -> None:
    """And one that is beyond all of them as a text only."""
    assert line(2**53 + 1, Metadata(ValueType.INT)).split()[1] == (
        f'value=9007199254740992.0,text="9007199254740993",{REST}'
    )
    assert line(10**400, Metadata(ValueType.INT)).split()[1].startswith('text="1000')


def test_a_bad_value_is_left_out_and_stands_where_it_was_reported() -> None:
    """Its point says why."""
    bad = Quality(Level.BAD, "disconnected")
    assert line(21.5, None, bad, restates=True) == (
        'm,topic=a/b quality="bad",reason="disconnected",epoch="e1",offset=1234i '
        f"{T + 9_000_000}234"
    )


def test_blanks_and_separators_in_topics_are_escaped() -> None:
    """A backslash at the end would escape the separator."""
    assert line(1.0, topic="a b,c=d\\").startswith("m,topic=a\\ b\\,c\\=d value=1.0")
    assert line(None).split()[1] == REST
