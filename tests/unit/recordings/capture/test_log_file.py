"""Text logs as captures: NMEA, Signal K, gpspipe, and the lines of any device."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.cli import main
from sensord.config.tree import Device
from sensord.decode.nmea0183.decoder import checksum
from sensord.log.journal import Batch
from sensord.model.readings import GOOD, Level, Quality, Reason
from sensord.model.times import iso
from sensord.recordings import (
    AS_IT_IS,
    EVERYTHING,
    RecordingError,
    TextForm,
    damaged_of,
    open_recording,
)
from sensord.recordings.capture import open_any
from tests.kit.capture import device_of

UTC = ZoneInfo("UTC")


def sentence(text: str) -> str:
    return f"${text}*{checksum(text.encode()).decode()}"


TEMPERATURES = [sentence("INMTW,17.9,C"), sentence("INMTW,18.0,C")]
FIX = sentence("GPRMC,200000.00,A,4807.038,N,01131.000,E,0.0,0.0,301126,,,A")
ZDA = sentence("GPZDA,200005.00,30,11,2026,00,00")

Told = list[tuple[str | None, str, object]]


def told(path: Path, device: Device | None = None, form: TextForm = AS_IT_IS) -> Told:
    found: Told = []
    for batch in open_any(path, device, form).scan(EVERYTHING):
        assert isinstance(batch, Batch)
        for record in batch.records():
            time = iso(record.reading.time_us)
            found.append(((time or "")[11:23], record.channel.topic, record.reading.value))
    return found


def written(tmp_path: Path, *lines: str, end: str = "\r\n") -> Path:
    path = tmp_path / "x.log"
    path.write_bytes("".join(line + end for line in lines).encode("latin-1"))
    return path


def device(decoder: dict[str, object]) -> Device:
    table = {"reader": "serial", "port": "/dev/null", "decoder": decoder}
    return device_of({**table, "publish": {"policy": "every"}})


def test_nmea_without_times_needs_a_rate(tmp_path: Path) -> None:
    """Its times are uncertain unless it is known when it began."""
    path = written(tmp_path, *TEMPERATURES)
    with pytest.raises(RecordingError, match="--rate"):
        open_any(path)
    form = TextForm(rate=2)
    assert told(path, None, form) == [
        ("00:00:00.000", "nmea/water_temperature", 17.9),
        ("00:00:00.500", "nmea/water_temperature", 18.0),
    ]
    (batch,) = open_any(path, None, form).scan(EVERYTHING)
    assert isinstance(batch, Batch)
    unset = Quality(Level.UNCERTAIN, Reason.CLOCK)
    assert {record.reading.quality for record in batch.records()} == {unset}
    begun = TextForm(rate=2, begin_us=10**15)
    (batch,) = open_any(path, None, begun).scan(EVERYTHING)
    assert isinstance(batch, Batch)
    assert {record.reading.quality for record in batch.records()} == {GOOD}


def test_nmea_has_the_times_of_its_fixes(tmp_path: Path) -> None:
    """What came before the first has that one."""
    path = written(tmp_path, "# a logger's note", TEMPERATURES[0], FIX, ZDA, TEMPERATURES[1])
    temperatures = [one for one in told(path) if one[1] == "nmea/water_temperature"]
    assert [time for time, _, _ in temperatures] == ["20:00:00.000", "20:00:05.000"]
    assert damaged_of(open_any(path)) == 0


def test_a_time_that_leaps_is_believed_when_the_next_confirms_it(tmp_path: Path) -> None:
    """One damaged date moves no reading."""
    wrong = sentence("GPZDA,200001.00,30,11,2066,00,00")
    path = written(tmp_path, FIX, wrong, TEMPERATURES[0], ZDA, TEMPERATURES[1])
    days = [
        (iso(record.reading.time_us) or "")[:10]
        for batch in open_any(path).scan(EVERYTHING)
        if isinstance(batch, Batch)
        for record in batch.records()
    ]
    assert set(days) == {"2026-11-30"}


@pytest.mark.parametrize(
    "front",
    [
        "179606880{n}000;N;",
        "179606880{n}.000 ",
        "2026-11-30T20:00:0{n}Z ",
        "\\s:a,c:179606880{n}*00\\",
    ],
)
def test_the_time_in_front_of_a_sentence_counts(tmp_path: Path, front: str) -> None:
    """Signal K's log, and other loggers'."""
    lines = [front.format(n=n) + one for n, one in enumerate(TEMPERATURES)]
    path = written(tmp_path, *lines)
    assert told(path) == [
        ("20:00:00.000", "nmea/water_temperature", 17.9),
        ("20:00:01.000", "nmea/water_temperature", 18.0),
    ]


def test_a_time_in_front_without_a_zone_is_refused_until_it_is_said(tmp_path: Path) -> None:
    """As in a table."""
    path = written(tmp_path, *(f"2026-11-30 20:00:00 {one}" for one in TEMPERATURES))
    with pytest.raises(RecordingError, match="--zone"):
        open_any(path)
    assert {time for time, _, _ in told(path, None, TextForm(zone=UTC))} == {"20:00:00.000"}


def test_gpspipe_gives_the_fixes(tmp_path: Path) -> None:
    """With units; other reports are for whom they concern."""
    path = written(
        tmp_path,
        '{"class":"VERSION","release":"3.22"}',
        '{"class":"TPV","mode":3,"time":"2026-11-30T20:00:00.000Z","lat":48.1173,"lon":11.5167}',
        '{"class":"SKY","time":"2026-11-30T20:00:00.000Z","hdop":1.1}',
        end="\n",
    )
    assert told(path) == [
        ("20:00:00.000", "gpsd/lat", 48.1173),
        ("20:00:00.000", "gpsd/lon", 11.5167),
        ("20:00:00.000", "gpsd/mode", 3),
    ]
    topics = {topic.topic: topic.unit for topic in open_any(path).contents().topics}
    assert topics["gpsd/lat"] == "deg"
    assert damaged_of(open_any(path)) == 0
    hdop = device({"type": "json", "fields": {"hdop": "hdop"}})
    assert told(path, hdop) == [("20:00:00.000", "dev/hdop", 1.1)]


def test_the_lines_of_a_device_are_decoded_by_it(tmp_path: Path) -> None:
    """With a time in front, of its own, in a column, or at a rate."""
    pairs = device({"type": "key_value"})
    path = written(tmp_path, "2026-11-30T20:00:00Z T=21.5", "2026-11-30T20:00:01Z T=21.6")
    assert told(path, pairs) == [("20:00:00.000", "dev/T", 21.5), ("20:00:01.000", "dev/T", 21.6)]
    reports = device({"type": "json", "time": "t"})
    path = written(tmp_path, '{"t":1796068800,"a":1}', '{"t":1796068801,"a":2}')
    assert told(path, reports) == [("20:00:00.000", "dev/a", 1), ("20:00:01.000", "dev/a", 2)]
    table = device({"type": "csv", "fields": ["", "", "x"]})
    path = written(tmp_path, "Date,Time,X", "30.11.2026,20:00,7.5")
    assert told(path, table, TextForm(zone=UTC)) == [("20:00:00.000", "dev/x", 7.5)]
    path = written(tmp_path, "T=1", "T=2")
    form = TextForm(rate=1, begin_us=1_796_068_800_000_000)
    assert told(path, pairs, form) == [("20:00:00.000", "dev/T", 1), ("20:00:01.000", "dev/T", 2)]


def test_a_damaged_line_of_a_log_costs_that_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, counted, and the exit status is 1; the file can be imported all the same."""
    lines = [f"179606880{n}000;N;{TEMPERATURES[n % 2]}" for n in range(8)]
    lines[1] = lines[1].replace("18.0", "19.0")
    lines[2] = "what is this"
    path = written(tmp_path, *lines)
    assert len(told(path)) == 6
    recording = open_any(path)
    assert damaged_of(recording) == 2
    notes = recording.notes()
    assert notes[0].startswith("line 2: wrong checksum")
    assert notes[1] == "line 3: line not read: 'expected ms;N;sentence'"
    assert main(["info", str(path)]) == 1
    assert main(["import", str(path), "-o", str(tmp_path / "x.mcap")]) == 1
    assert "6 readings" in capsys.readouterr().err
    assert open_recording(tmp_path / "x.mcap").contents().readings == 6


def test_a_silence_of_days_is_no_value_that_lasts(tmp_path: Path) -> None:
    """The channels say that the device was away."""
    lines = [f"1796068800000;N;{TEMPERATURES[0]}", f"1796328000000;N;{TEMPERATURES[1]}"]
    found = told(written(tmp_path, *lines))
    assert [value for _, _, value in found] == [17.9, 17.9, 18.0]


LOGS = [
    "\r\n".join([FIX, *TEMPERATURES]).encode(),
    "\n".join(f"179606880{n}000;N;{one}" for n, one in enumerate(TEMPERATURES)).encode(),
    b'{"class":"TPV","mode":3,"time":"2026-11-30T20:00:00.000Z","lat":48.1173,"lon":11.5167}\n',
    b"2026-11-30T20:00:00Z $INMTW,17.9,C*1B\n2026-11-30T20:00:01Z $INMTW,18.0,C*1D\n",
]


@given(st.sampled_from(LOGS), st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=4))))
def test_no_damage_of_a_log_is_more_than_an_error(
    tmp_path_factory: pytest.TempPathFactory, log: bytes, changes: list[tuple[int, bytes]]
) -> None:
    """A file is read as far as it goes, or refused; two ways through it give the same."""
    data = bytearray(log)
    for place, new in changes:
        data[place : place + len(new)] = new
    path = tmp_path_factory.getbasetemp() / "damaged.log"
    path.write_bytes(data)
    for decoded_by in (None, device({"type": "json"})):
        try:
            recording = open_any(path, decoded_by, TextForm(zone=UTC))
            count = recording.contents().readings
        except RecordingError:
            continue
        assert count == sum(len(b) for b in recording.scan(EVERYTHING) if isinstance(b, Batch))
