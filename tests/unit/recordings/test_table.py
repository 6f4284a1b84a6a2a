"""CSV as spreadsheets save it and as other programs write it."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.cli import main
from sensord.log.journal import Batch
from sensord.model.readings import (
    Channel,
    Level,
    Metadata,
    Quality,
    Reading,
    Reason,
    Record,
    Value,
    ValueType,
)
from sensord.model.times import iso
from sensord.recordings import (
    AS_IT_IS,
    EVERYTHING,
    RecordingError,
    TextForm,
    damaged_of,
    open_recording,
)
from sensord.recordings.table import Table
from sensord.recordings.text_form import Damage, UndecidedError, zone_of
from sensord.recordings.text_rows import Row, csv_header, csv_of

T1 = 1_796_069_845_939_824
BERLIN = ZoneInfo("Europe/Berlin")
UTC = ZoneInfo("UTC")


def table_rows(text: str, form: TextForm = AS_IT_IS, *, marked: bool = False) -> list[Row | Damage]:
    lines = text.splitlines(keepends=True)
    return list(Table(lines, form, is_marked=marked).rows(lines))


def told(text: str, form: TextForm = AS_IT_IS) -> list[tuple[str | None, str, Value]]:
    """Return time, topic and value of each reading; nothing may be damaged."""
    found = []
    for row in table_rows(text, form):
        assert isinstance(row, Row), row
        found.append((iso(row.reading.time_us), row.topic, row.reading.value))
    return found


# -- sensord's own, saved by a spreadsheet ---------------------------------------------------------

LINE = "1,2026-11-30T20:17:25.939824Z,2026-11-30T20:17:25.939824Z,a/t,21.5,Cel,good,,false\n"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_export_that_excel_saved_was_refused(
    tmp_path: Path, end: str, separator: str, encoding: str
) -> None:
    """A byte order mark, another separator or another line end is read."""
    path = tmp_path / "x.csv"
    text = (csv_header() + LINE).replace(",", separator).replace("\n", end)
    path.write_bytes(text.encode(encoding))
    recording = open_recording(path)
    assert recording.contents().what == "CSV file of sensord"
    (batch,) = recording.scan(EVERYTHING)
    assert isinstance(batch, Batch)
    (record,) = batch.records()
    assert record.offset == 1
    assert record.reading == Reading(T1, 21.5)
    assert record.channel.metadata == Metadata(ValueType.FLOAT, "Cel")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("21,5", 21.5), ("-0,25", -0.25), ("1.234,5", 1234.5), ("FALSE", False), ("21", 21)],
)
def test_a_decimal_comma_is_read_as_one(value: str, expected: Value) -> None:
    """And what else a spreadsheet writes otherwise."""
    lines = (csv_header() + LINE.replace("21.5", "@")).replace(",", ";").replace("@", value)
    other = LINE.replace("21.5", "@").replace(",", ";").replace("@", "0,5")
    rows = table_rows((lines + other).replace("false", "FALSE"))
    assert isinstance(rows[0], Row)
    assert rows[0].reading.value == expected
    assert type(rows[0].reading.value) is type(expected)


def test_a_number_that_may_be_two_is_refused_until_the_option_decides() -> None:
    """One and a quarter, or one thousand two hundred and fifty."""
    text = (csv_header() + LINE).replace("21.5", "1@250").replace(",", ";").replace("@", ",")
    with pytest.raises(UndecidedError, match="--decimal"):
        table_rows(text)
    (row,) = table_rows(text, TextForm(decimal=","))
    assert isinstance(row, Row)
    assert row.reading.value == 1.25
    (damage,) = table_rows(text, TextForm(decimal="."))
    assert isinstance(damage, Damage)


def test_a_number_that_a_cell_has_rounded_is_uncertain() -> None:
    """Sensord writes a small e, with all digits."""
    text = (csv_header() + LINE).replace("21.5", "2.88243E+18").replace("\n", "\r\n")
    (row,) = table_rows(text)
    assert isinstance(row, Row)
    assert row.reading.quality == Quality(Level.UNCERTAIN, Reason.INEXACT)


def test_a_number_that_became_a_date_is_damage() -> None:
    """As Excel makes 21. Mai of 21.5."""
    for value in ("21. Mai", "May 21", "21-May", "21.05.2026"):
        text = (csv_header() + LINE.replace("21.5", value)).replace(",", ";") + LINE.replace(
            ",", ";"
        )
        damage, row = table_rows(text)
        assert isinstance(damage, Damage)
        assert "date" in damage.reason
        assert isinstance(row, Row)


def test_a_damaged_line_costs_that_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named and counted, and the exit status is 1."""
    path = tmp_path / "x.csv"
    broken = ["1,2\n", '2,"x\n', LINE.replace("good", "fine"), LINE.replace("Z,a", ",a")]
    path.write_text(csv_header() + LINE + "".join(broken * 3) + LINE)
    recording = open_recording(path)
    assert recording.span().end == 2
    assert recording.contents().readings == 2
    assert damaged_of(recording) == 12
    notes = recording.notes()
    assert notes[0] == "line 3: expected 9 fields, found 2"
    assert notes[-1] == "7 more lines were not read"
    for command in ("info", "export"):
        assert main([command, str(path)]) == 1
    assert main(["import", str(path), "-o", str(tmp_path / "x.mcap")]) == 1
    assert "x.mcap: 2 readings" in capsys.readouterr().err
    assert open_recording(tmp_path / "x.mcap").contents().readings == 2


FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32).filter(
    lambda x: x == 0 or 1e-4 < abs(x) < 1e9
)
TEXTS = st.text(st.characters(categories=["L"], include_characters=' _:;,"'), min_size=1).filter(
    lambda text: text.strip() == text and text.casefold() not in {"true", "false", "null"}
)


@given(st.lists(FLOATS | st.integers(-(10**9), 10**9) | st.booleans() | TEXTS, min_size=1))
def test_what_a_spreadsheet_saved_gives_the_same_readings(values: list[Value]) -> None:
    """Semicolons, decimal commas, capitals, CR LF and a byte order mark change nothing."""
    channel = Channel(0, "a/b", Metadata(ValueType.JSON, "Cel"))
    values = [*values, 0.5]  # tells the decimal mark
    records = [Record(i, T1 + i, channel, Reading(T1 + i, v)) for i, v in enumerate(values)]
    plain = csv_header() + csv_of(records)
    (header, *lines) = csv.reader(io.StringIO(plain))
    out = io.StringIO()
    write = csv.writer(out, delimiter=";", lineterminator="\r\n").writerow
    write(header)
    for fields, value in zip(lines, values, strict=True):
        if isinstance(value, bool):
            fields[4] = fields[4].upper()
        elif isinstance(value, float):
            short = f"{value:.15g}"
            fields[4] = (f"{value:.20f}".rstrip("0") if "e" in short else short).replace(".", ",")
        fields[8] = fields[8].upper()
        write(fields)
    rows = table_rows(out.getvalue(), marked=True)
    found = [row.reading.value for row in rows if isinstance(row, Row)]
    expected = [float(f"{v:.15g}") if isinstance(v, float) else v for v in values]
    assert (
        found == pytest.approx(expected, rel=1e-9)
        if all(isinstance(v, int | float) for v in values)
        else len(found) == len(values)
    )
    texts = [(a, b) for a, b in zip(found, values, strict=True) if isinstance(b, str | bool)]
    assert all(a == b and type(a) is type(b) for a, b in texts)
    assert [row.reading.time_us for row in rows if isinstance(row, Row)] == [
        record.reading.time_us for record in records
    ]


# -- tables of others ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-11-30T20:00:00Z", None, "2026-11-30T20:00:00.000000Z"),
        ("2026-11-30T21:00:00.5+01:00", None, "2026-11-30T20:00:00.500000Z"),
        ("2026-11-30 21:00:00", BERLIN, "2026-11-30T20:00:00.000000Z"),
        ("1796068800", None, "2026-11-30T20:00:00.000000Z"),
        ("1796068800.25", None, "2026-11-30T20:00:00.250000Z"),
        ("1796068800250", None, "2026-11-30T20:00:00.250000Z"),
        ("1796068800250001", None, "2026-11-30T20:00:00.250001Z"),
        ("30.11.2026 20:00", UTC, "2026-11-30T20:00:00.000000Z"),
        ("30/11/2026 20:00:01.5", UTC, "2026-11-30T20:00:01.500000Z"),
        ("11/30/2026 8:00 PM", UTC, "2026-11-30T20:00:00.000000Z"),
        ("2026/11/30 20:00", UTC, "2026-11-30T20:00:00.000000Z"),
        ("05.04.2026 12:00 am", UTC, "2026-04-05T00:00:00.000000Z"),
    ],
)
def test_common_forms_of_times_are_read(text: str, zone: ZoneInfo | None, expected: str) -> None:
    """Each where it can mean one time only."""
    form = TextForm(zone=zone)
    assert told(f"time,topic,value\n{text},a/b,21.5\n", form) == [(expected, "a/b", 21.5)]


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("2026-11-30 21:00:00", "--zone"),
        ("30.11.2026 20:00", "--zone"),
        ("05/04/2026 20:00", "--time-format"),
        ("05/04/26 20:00", "--time-format"),
    ],
)
def test_a_time_that_may_be_two_is_refused_with_the_option(text: str, option: str) -> None:
    """Never guessed."""
    with pytest.raises(UndecidedError, match=option):
        told(f"time,a\n{text},1\n")


def test_the_whole_file_decides_the_order_of_day_and_month() -> None:
    """One day beyond the twelfth is enough; both orders are too many."""
    text = "time,a\n05/04/2026,1\n13/04/2026,2\n"
    form = TextForm(zone=UTC)
    assert [time for time, _, _ in told(text, form)] == [
        "2026-04-05T00:00:00.000000Z",
        "2026-04-13T00:00:00.000000Z",
    ]
    with pytest.raises(UndecidedError, match="--time-format"):
        told(text + "04/13/2026,3\n", form)
    assert told("time,a\n05/04/26,1\n", TextForm(zone=UTC, time_format="mdy")) == [
        ("2026-05-04T00:00:00.000000Z", "a", 1)
    ]


def test_an_hour_that_comes_twice_is_no_time() -> None:
    """Nor one that never comes; the others of the file are read."""
    text = "time,a\n2026-10-25 02:30:00,1\n2026-03-29 02:30:00,2\n2026-10-25 03:30:00,3\n"
    first, second, third = table_rows(text, TextForm(zone=BERLIN))
    assert isinstance(first, Damage)
    assert isinstance(second, Damage)
    assert "--zone" in first.reason
    assert isinstance(third, Row)
    assert told("time,a\n2026-10-25 02:30:00,1\n", TextForm(zone=zone_of("+02:00"))) == [
        ("2026-10-25T00:30:00.000000Z", "a", 1)
    ]


def test_a_station_with_date_and_time_in_two_columns_is_read() -> None:
    """One column a channel, with the units of the titles."""
    text = "Date,Time,OutTemp (C),Hum (%),Wind (mWx)\n30/11/2026,20:00,7.5,88,\n"
    form = TextForm(zone=BERLIN, prefix="station")
    rows = table_rows(text, form)
    assert [(row.topic, row.unit, row.reading.value) for row in rows if isinstance(row, Row)] == [
        ("station/OutTemp", "Cel", 7.5),
        ("station/Hum", "%", 88),
    ]
    assert {row.reading.time_us for row in rows if isinstance(row, Row)} == {
        int(datetime(2026, 11, 30, 20, tzinfo=BERLIN).timestamp()) * 10**6
    }


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("T (°C)", ("T", "Cel")),
        ("P [hPa]", ("P", "hPa")),
        ("E (mWh)", ("E (mWh)", "")),  # milli, or by another's spelling mega
        ("A (left)", ("A (left)", "")),
    ],
)
def test_a_unit_in_a_title_is_announced_only_if_it_is_one(
    title: str, expected: tuple[str, str]
) -> None:
    """Else it stays in the name."""
    (row,) = table_rows(f"time (s),{title}\n1796068800,1.5\n")
    assert isinstance(row, Row)
    assert (row.topic, row.unit) == expected


def test_values_of_others_are_as_they_stand() -> None:
    """No zeros are lost, what means none is bad, and an integer stays exact."""
    text = "time,a\n" + "".join(
        f"179606880{i},{value}\n"
        for i, value in enumerate(("0042", "2882429806056571124", "NaN", "on", "007.5", "true"))
    )
    found = [value for _, _, value in told(text)]
    assert found == ["0042", 2882429806056571124, None, "on", 7.5, True]


def test_lines_without_a_time_need_a_rate() -> None:
    """Their times are uncertain unless it is known when they began."""
    text = "a;b\n1;2\n3;4\n"
    with pytest.raises(ValueError, match="--rate"):
        table_rows(text)
    rows = [row for row in table_rows(text, TextForm(rate=2)) if isinstance(row, Row)]
    assert [row.reading.time_us for row in rows] == [0, 0, 500_000, 500_000]
    assert {row.reading.quality for row in rows} == {Quality(Level.UNCERTAIN, Reason.CLOCK)}
    rows = [r for r in table_rows(text, TextForm(rate=2, begin_us=T1)) if isinstance(r, Row)]
    assert rows[-1].reading == Reading(T1 + 500_000, 4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,a,a\n", "same title"),
        ("time,topic\n", '"value" is expected'),
        ("time,timestamp,a\n", "--time-column"),
        ("time,a+\n", "cannot be a topic"),
        ("1796068800,1\n", "expected a header"),
        ("hello\n", "expected a header"),
        ("", "no header"),
    ],
)
def test_a_header_that_is_none_is_refused(text: str, said: str) -> None:
    """With what is expected there."""
    with pytest.raises(ValueError, match=said):
        table_rows(text)


@pytest.mark.parametrize(
    "head", ["# logger, v1\n#\ntime,a\n", "# time,a\n", "#a logger\n#time,a\n"]
)
def test_comments_in_front_of_the_header_are_passed_over(head: str) -> None:
    """Unless one is the header itself."""
    found = told(head + "1796068800,1\n# restarted\n1796068801,2\n")
    assert [value for _, _, value in found] == [1, 2]


def test_an_encoding_that_is_not_utf8_costs_lines_until_it_is_said(tmp_path: Path) -> None:
    """As Excel saves CSV on Windows."""
    path = tmp_path / "x.csv"
    path.write_bytes("time,topic,value\n1796068800,a,1\n1796068801,a,heiß\n".encode("cp1252"))
    assert "--encoding" in open_recording(path).notes()[0]
    assert open_recording(path, TextForm(encoding="cp1252")).contents().readings == 2


def test_an_import_gives_the_rows_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a recording of the usual kind, and never over another."""
    path, output = tmp_path / "x.csv", tmp_path / "x.mcap"
    path.write_text("sep=;\r\nDatum;Uhrzeit;T (C)\r\n30.11.2026;20:00:00;7,5\r\n")
    asked = ["import", str(path), "--zone", "UTC", "-o", str(output)]
    assert main(asked) == 0
    assert main(["export", str(output)]) == 0
    assert "2026-11-30T20:00:00.000000Z,T,7.5,Cel,good" in capsys.readouterr().out
    assert main(asked) == 1
    assert "already" in capsys.readouterr().err


# -- damage ----------------------------------------------------------------------------------------

SAMPLES = [
    (csv_header() + LINE * 3).encode(),
    b"\xef\xbb\xbf" + (csv_header() + LINE * 3).replace(",", ";").encode(),
    b"Date,Time,OutTemp (C),Hum (%)\n30/11/2026,20:00,7.5,88\n30/11/2026,20:01,7.6,87\n",
    b'{"offset": 1, "log_time": "2026-11-30T20:17:25.939824Z", "time": "x", "topic": "a"}\n',
]


@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=4))))
def test_no_damage_is_more_than_an_error(
    tmp_path_factory: pytest.TempPathFactory, sample: bytes, changes: list[tuple[int, bytes]]
) -> None:
    """A file is read as far as it goes, or refused; nothing else comes out."""
    data = bytearray(sample)
    for place, new in changes:
        data[place : place + len(new)] = new
    path = tmp_path_factory.getbasetemp() / "damaged.csv"
    path.write_bytes(data)
    try:
        recording = open_recording(path, TextForm(zone=UTC))
        count = recording.contents().readings
        assert count == sum(len(b) for b in recording.scan(EVERYTHING) if isinstance(b, Batch))
    except RecordingError:
        pass
