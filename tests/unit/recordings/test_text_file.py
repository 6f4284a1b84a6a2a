"""CSV and JSON lines as recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensord.log.journal import Batch
from sensord.model.readings import Channel, Metadata, Reading, Record, Value, ValueType
from sensord.recordings import EVERYTHING, RecordingError, Selection, open_recording
from sensord.recordings.text_rows import csv_header, csv_of, json_lines_of
from tests.kit.journal import START_US, Row, channels, rows, walk_readings

RECORDS = walk_readings(3000, first=100, of=channels(4))
FORMS = {"csv": (csv_header(), csv_of), "jsonl": ("", json_lines_of)}


def written(folder: Path, records: list[Record], form: str = "csv") -> Path:
    header, lines_of = FORMS[form]
    path = folder / f"x.{form}"
    path.write_text(header + lines_of(records), encoding="utf-8", newline="")
    return path


def read(path: Path, selection: Selection = EVERYTHING) -> list[Row]:
    batches = list(open_recording(path).scan(selection))
    for batch in batches:
        assert isinstance(batch, Batch)
        assert list(batch.offsets) == sorted(set(batch.offsets))
    return [row for batch in batches if isinstance(batch, Batch) for row in rows(batch.records())]


def plain(found: list[Row]) -> list[tuple[object, ...]]:
    """Leave out the metadata, of which such a file has the unit only."""
    return [row[:3] + row[4:] for row in found]


@pytest.mark.parametrize("form", FORMS)
def test_what_was_written_is_read_back(tmp_path: Path, form: str) -> None:
    """Offsets, times, topics, values, units."""
    path = written(tmp_path, RECORDS, form)
    found = read(path)
    assert plain(found) == plain(rows(RECORDS))
    assert {row.metadata for row in found} == {Metadata(unit="Cel")}
    span = open_recording(path).span()
    assert (span.epoch, span.first, span.end) == ("", 100, 3100)
    assert (span.start_us, span.end_us) == (RECORDS[0].log_us, RECORDS[-1].log_us)


@pytest.mark.parametrize("form", FORMS)
def test_a_selection_narrows_it(tmp_path: Path, form: str) -> None:
    """As it narrows a journal."""
    path = written(tmp_path, RECORDS, form)
    selection = Selection(
        [RECORDS[0].channel.topic],
        start=200,
        stop=2500,
        since_us=RECORDS[300].log_us,
        until_us=RECORDS[2000].log_us,
        limit=50,
    )
    expected = [record for record in RECORDS[300:2000] if record.channel is RECORDS[0].channel]
    assert plain(read(path, selection)) == plain(rows(expected[:50]))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], ValueType.INT),
        ([1, 2.5], ValueType.FLOAT),
        ([None, True], ValueType.BOOL),
        (["a", "1"], ValueType.STRING),
        ([1, "a"], ValueType.JSON),
        ([[1], {"a": None}], ValueType.JSON),
        ([None, None], ValueType.FLOAT),
    ],
)
def test_the_values_tell_the_type(tmp_path: Path, values: list[Value], kind: ValueType) -> None:
    """Of all that a topic has in the file."""
    channel = Channel(0, "a", Metadata(ValueType.JSON))
    records = [
        Record(i, START_US + i, channel, Reading(START_US + i, value))
        for i, value in enumerate(values)
    ]
    path = written(tmp_path, records)
    assert {row.metadata.type for row in read(path)} == {kind}
    assert [row.value for row in read(path)] == [repr(value) for value in values]
    (topic,) = open_recording(path).contents().topics
    assert (topic.type, topic.count) == (kind.value, 2)


def test_two_logs_one_after_the_other_keep_their_order(tmp_path: Path) -> None:
    """Though the offsets begin anew."""
    path = written(tmp_path, RECORDS[1000:1100] + RECORDS[:100])
    assert plain(read(path)) == plain(rows(RECORDS[1000:1100] + RECORDS[:100]))


def test_a_file_without_readings_is_empty(tmp_path: Path) -> None:
    """And no error."""
    path = written(tmp_path, [])
    assert read(path) == []
    assert open_recording(path).contents().readings == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2\n", "line 2: expected 9 fields"),
        ("x" * 10, "line 2: expected 9 fields"),
        ("1,noon,noon,a,1,,good,,false\n", 'line 2: "noon" is no time'),
        ('1,2,3,a,"1\n', "line 2"),
    ],
)
def test_a_line_that_is_no_reading_is_named(tmp_path: Path, text: str, said: str) -> None:
    """With its number, and the file."""
    path = tmp_path / "x.csv"
    path.write_text(csv_header() + text)
    with pytest.raises(RecordingError, match=rf"x\.csv: .*{said}"):
        open_recording(path).span()
