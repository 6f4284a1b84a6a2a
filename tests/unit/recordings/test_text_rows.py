"""Lines of CSV and JSON: what is written is read back to the bit."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator

import pytest
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
from sensord.recordings.text_rows import (
    COLUMNS,
    Row,
    csv_header,
    csv_of,
    json_lines_of,
    read_csv,
    read_json_lines,
)

LATEST_US = (2**64 - 1) // 1000
"""What MCAP can tell."""

plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None))
    | st.sampled_from(["", "NaN", "null", "1", " 1 ", "-0.0", '"', "=1+1", "+", "a,b", "a\r\nb"])
)
values: st.SearchStrategy[Value] = st.recursive(
    plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)
times = st.integers(0, LATEST_US)
qualities = st.builds(Quality, st.sampled_from(Level), st.sampled_from(["", "stale", 'a,"b"\n']))
readings = st.builds(Reading, times, values, qualities, st.booleans())
topics = st.sampled_from(["plant/boiler", 'odd,"topic"', "ü/€"])
units = st.sampled_from(["", "Cel", "m/s", "[degF]"])


def record(offset: int, log_us: int, topic: str, unit: str, reading: Reading) -> Record:
    metadata = Metadata(type=ValueType.JSON, unit=unit)
    return Record(offset, log_us, Channel(1, topic, metadata), reading)


records = st.builds(record, st.integers(0, 2**64), times, topics, units, readings)


def write_csv(found: Iterable[Record]) -> str:
    return csv_header() + csv_of(found)


FORMATS = [
    pytest.param(write_csv, read_csv, id="csv"),
    pytest.param(json_lines_of, read_json_lines, id="jsonl"),
]


def to_file_and_back(text: str) -> Iterator[str]:
    """Read text as from a file whose line ends are left alone."""
    data = text.encode(errors="backslashreplace")
    return iter(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline=""))


@pytest.mark.parametrize(("write", "read"), FORMATS)
@given(given_records=st.lists(records, max_size=5))
def test_reading_undoes_writing(
    write: Callable[[Iterable[Record]], str],
    read: Callable[[Iterable[str]], Iterator[Row]],
    given_records: list[Record],
) -> None:
    """Every value, type, time and quality comes back; compared by repr, for 1, 1.0 and -0.0."""
    found = list(read(to_file_and_back(write(given_records))))
    expected = [
        Row(r.offset, r.log_us, r.channel.topic, r.channel.metadata.unit, r.reading)
        for r in given_records
    ]
    assert repr(found) == repr(expected)


@given(values)
def test_a_value_is_one_line(value: Value) -> None:
    """Whatever a device sends, the CSV has one line for each reading."""
    assert len(csv_of([record(0, 0, "a", "", Reading(0, value))]).splitlines()) == 1


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (21.5, "21.5"),
        (21.0, "21.0"),
        (21, "21"),
        (True, "true"),
        (None, ""),
        ("open", "open"),
        ("", '""""""'),
        ("21", '"""21"""'),
        ("NaN", '"""NaN"""'),
        ("=1+1", '"""=1+1"""'),
        ([1, 2.0], '"[1, 2.0]"'),
        ({"°": "ü"}, '"{""°"": ""ü""}"'),
    ],
)
def test_a_field_says_its_type(value: Value, field: str) -> None:
    """As the table in docs/recordings.md has it."""
    line = csv_of([record(7, 1_000_000, "a/b", "Cel", Reading(999_999, value))])
    head = "7,1970-01-01T00:00:01.000000Z,1970-01-01T00:00:00.999999Z,a/b,"
    assert line == f"{head}{field},Cel,good,,false\n"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
@pytest.mark.parametrize(("write", "read"), FORMATS)
def test_what_json_cannot_hold_is_null_and_bad(
    write: Callable[[Iterable[Record]], str],
    read: Callable[[Iterable[str]], Iterator[Row]],
    value: Value,
) -> None:
    """As in the journal; others' files may hold it."""
    (row,) = read(to_file_and_back(write([record(0, 0, "a", "", Reading(0, value))])))
    assert row.reading == Reading(0, None, Quality(Level.BAD, "not_recordable"))


LINE = "0,1970-01-01T00:00:00Z,1970-01-01T00:00:00Z,a,1,,good,,false\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "first line"),
        ("time,value\n", "first line"),
        (csv_header() + "1,2\n", "line 2: expected 9 fields"),
        (csv_header() + LINE + LINE.replace("good", "fine"), "line 3: 'fine'"),
        (csv_header() + LINE.replace("00Z", "00"), "is not a time in ISO 8601 with its zone"),
        (csv_header() + LINE.replace("false", "no"), "restated"),
        (csv_header() + '0,"1970', "line 2"),
    ],
)
def test_a_line_that_is_not_whole_is_named(text: str, told: str) -> None:
    """The file was cut off, or is of another make."""
    with pytest.raises(ValueError, match=told):
        list(read_csv(to_file_and_back(text)))


def test_json_lines_name_the_columns() -> None:
    """Every line has all of them, in the order of the CSV."""
    line = json_lines_of([record(0, 0, "a", "", Reading(0, 1.0, GOOD))])
    assert [part.split('"')[1] for part in line.split(", ")] == list(COLUMNS)
    with pytest.raises(ValueError, match="line 1"):
        list(read_json_lines(["{}"]))
