"""Reading journals and MCAP files, of sensord's and of others' making."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from mcap.writer import CompressionType, IndexType, Writer

from sensord.cli import main
from sensord.errors import SensordError
from sensord.log.journal import Batch, Hole
from sensord.model.readings import Metadata, Value
from sensord.recordings import EVERYTHING, Recording, Selection, in_order, open_recording, scan_all
from sensord.recordings.mcap_output import McapOutput
from tests.kit.journal import (
    START_US,
    Row,
    channels,
    killed_journal,
    open_writer,
    oracle_rows,
    rows,
    walk_readings,
)


def read(items: Iterable[Batch | Hole]) -> tuple[list[Row], list[Hole]]:
    found: list[Row] = []
    holes: list[Hole] = []
    for item in items:
        if isinstance(item, Batch):
            found += rows(item.records())
        else:
            holes.append(item)
    return found, holes


def write(
    path: Path, items: Iterable[Batch | Hole], epoch: str = "", *, batches: int | None = None
) -> None:
    with McapOutput(path, epoch) as output:
        for i, item in enumerate(items):
            if isinstance(item, Batch) and len(item):
                output.add(item)
            if i == batches:
                return
        output.complete()


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with sealed segments, an open one and a ring in use, as a kill leaves it."""
    return killed_journal(tmp_path_factory.mktemp("journal"), mixed=True).folder


# -- a journal's folder --------------------------------------------------------------------------


def test_a_folder_is_counted_to_its_last_reading(journal: Path) -> None:
    """Sealed, open and ring; the counts of the topics are those of a scan."""
    recording = open_recording(journal)
    found, holes = read(recording.scan(EVERYTHING))
    contents = recording.contents()
    assert not holes
    assert not contents.holes
    assert contents.readings == len(found)
    assert contents.open_readings
    assert contents.ring_readings
    assert contents.segments == len(list(journal.glob("*.mcap")))
    span = contents.span
    assert (span.first, span.end) == (found[0].offset, found[-1].offset + 1)
    assert (span.start_us, span.end_us) == (found[0].log_us, found[-1].log_us)
    counts = {topic.topic: topic.count for topic in contents.topics}
    assert counts == {name: [r.topic for r in found].count(name) for name in counts}
    assert contents.bytes == sum(path.stat().st_size for path in journal.iterdir())


def test_a_hole_in_a_folder_is_named(journal: Path, tmp_path: Path) -> None:
    """Without a segment in the middle, its offsets are told."""
    for path in journal.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    before, gone, after = sorted(tmp_path.glob("*.mcap"))[:3]
    gone.unlink()
    contents = open_recording(tmp_path).contents()
    (hole,) = contents.holes
    assert hole.first == int(gone.stem)
    assert hole.end == int(after.stem)
    assert before.exists()


def test_looking_changes_nothing(journal: Path) -> None:
    """Neither a file nor its time."""
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in journal.iterdir()}
    recording = open_recording(journal)
    recording.contents()
    read(recording.scan(EVERYTHING))
    after = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in journal.iterdir()}
    assert before == after


def test_what_comes_later_is_not_read(tmp_path: Path) -> None:
    """A journal that is being written ends where it ended when it was opened."""
    writer = open_writer(tmp_path)
    records = walk_readings(200, of=channels(3))
    writer.commit(records[:100], START_US, 0)
    recording = open_recording(tmp_path)
    writer.commit(records[100:], START_US + 1_000_000, 1_000_000)
    found, holes = read(recording.scan(EVERYTHING))
    assert found == rows(records[:100])
    assert not holes
    writer.abandon()


# -- files of sensord ----------------------------------------------------------------------------


def test_an_export_is_read_back(journal: Path, tmp_path: Path) -> None:
    """All of it, by sensord and by the mcap package, with offsets and times."""
    expected, _ = read(open_recording(journal).scan(EVERYTHING))
    write(tmp_path / "x.mcap", open_recording(journal).scan(EVERYTHING), "0123456789abcdef")
    exported = open_recording(tmp_path / "x.mcap")
    found, holes = read(exported.scan(EVERYTHING))
    assert found == expected
    assert not holes
    assert exported.span().epoch == "0123456789abcdef"
    assert exported.contents().readings == len(expected)
    assert not exported.notes()
    told = [(r.offset, r.log_us * 1000, r.time_us * 1000, r.topic) for r in expected]
    oracle = oracle_rows(tmp_path / "x.mcap")
    assert [row[:4] for row in oracle] == told
    assert [repr(row[4]["value"]) for row in oracle] == [r.value for r in expected]


SELECTIONS = [
    Selection(topics=["mixed/#"]),
    Selection(topics=["plant/area0/+/value3"], start=500, stop=3000),
    Selection(since_us=START_US + 20_000_000, until_us=START_US + 100_000_000),
    Selection(topics=["mixed/int", "mixed/json"], limit=77),
    Selection(limit=0),
    Selection(topics=["nothing"]),
    Selection(start=2**40),
]


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_part_is_the_same_from_any_source(
    journal: Path, tmp_path: Path, selection: Selection
) -> None:
    """From the folder, from an export of all, and from an export of the part."""
    expected, _ = read(open_recording(journal).scan(selection))
    write(tmp_path / "all.mcap", open_recording(journal).scan(EVERYTHING))
    write(tmp_path / "part.mcap", open_recording(journal).scan(selection))
    for name in ("all.mcap", "part.mcap"):
        assert read(open_recording(tmp_path / name).scan(selection)) == (expected, [])
    part = open_recording(tmp_path / "part.mcap")
    assert read(part.scan(EVERYTHING)) == (expected, [])
    assert len(oracle_rows(tmp_path / "part.mcap")) == len(expected)
    if expected:
        span = part.span()
        assert (span.first, span.end) == (expected[0].offset, expected[-1].offset + 1)


def test_offsets_beyond_32_bits_are_kept(tmp_path: Path) -> None:
    """A sequence number has their low half only."""
    first = 2**32 - 50
    writer = open_writer(tmp_path / "journal")
    writer.commit(walk_readings(100, first=first, of=channels(3)), START_US, 0)
    writer.close(START_US, 1)
    selection = Selection(topics=["plant/area0/device0/value1"])
    expected, _ = read(open_recording(tmp_path / "journal").scan(selection))
    assert expected[-1].offset > 2**32
    write(tmp_path / "x.mcap", open_recording(tmp_path / "journal").scan(selection))
    assert read(open_recording(tmp_path / "x.mcap").scan(EVERYTHING))[0] == expected


def test_a_segment_is_read_open_or_sealed(journal: Path) -> None:
    """File by file the segments give what the folder gives, but for the ring."""
    whole, _ = read(open_recording(journal).scan(EVERYTHING))
    files = [*journal.glob("*.mcap.open"), *journal.glob("*.mcap")]
    ordered = in_order([open_recording(path) for path in files])
    found, holes = read(scan_all(ordered, EVERYTHING))
    assert found == whole[: len(found)]
    assert len(found) == len(whole) - open_recording(journal).contents().ring_readings
    assert not holes
    assert open_recording(files[0]).notes()


def test_what_lies_between_files_of_one_log_is_a_hole(journal: Path) -> None:
    """And a file that is given twice is read once."""
    one, two, three = sorted(journal.glob("*.mcap"))[:3]
    ordered = in_order([open_recording(path) for path in (three, one, one)])
    found, holes = read(scan_all(ordered, EVERYTHING))
    first, end = int(two.stem), int(three.stem)
    assert holes == [Hole(first, end - first, "in none of the files given")]
    offsets = [r.offset for r in found]
    assert offsets == sorted(set(offsets))
    _, holes = read(scan_all(ordered, Selection(stop=first)))
    assert not holes


def test_a_damaged_chunk_is_a_hole(journal: Path, tmp_path: Path) -> None:
    """The others of the file are read."""
    segment = min(journal.glob("*.mcap"))
    whole, _ = read(open_recording(segment).scan(EVERYTHING))
    data = bytearray(segment.read_bytes())
    data[len(data) // 3] ^= 1
    damaged = tmp_path / segment.name
    damaged.write_bytes(data)
    found, holes = read(open_recording(damaged).scan(EVERYTHING))
    assert sum(hole.count for hole in holes) == len(whole) - len(found)
    lost = {offset for hole in holes for offset in range(hole.first, hole.end)}
    assert [r for r in whole if r.offset not in lost] == found


def test_two_logs_in_one_file_keep_their_order(journal: Path, tmp_path: Path) -> None:
    """Offsets that another log has had are moved behind those before."""
    writer = open_writer(tmp_path / "other")
    later = walk_readings(100, start_us=START_US + 10**9, of=channels(3, Metadata(unit="m")))
    writer.commit(later, START_US + 10**9, 0)
    writer.close(START_US + 10**9, 1)
    ordered = in_order([open_recording(tmp_path / "other"), open_recording(journal)])
    assert ordered[0][0].path == journal
    expected, _ = read(scan_all(ordered, EVERYTHING))
    write(tmp_path / "x.mcap", scan_all(ordered, EVERYTHING))
    found, _ = read(open_recording(tmp_path / "x.mcap").scan(EVERYTHING))
    assert [r[1:] for r in found] == [r[1:] for r in expected]
    assert [r.offset for r in found] == list(range(len(expected)))
    oracle_rows(tmp_path / "x.mcap")


def test_an_export_that_is_not_completed_leaves_nothing(journal: Path, tmp_path: Path) -> None:
    """Neither under its name nor under another."""
    write(tmp_path / "x.mcap", open_recording(journal).scan(EVERYTHING), batches=3)
    assert not list(tmp_path.iterdir())


def test_an_empty_export_is_a_whole_file(tmp_path: Path) -> None:
    """With a footer, and nothing in it."""
    write(tmp_path / "x.mcap", [])
    assert not oracle_rows(tmp_path / "x.mcap")
    assert open_recording(tmp_path / "x.mcap").contents().readings == 0


# -- files of others -----------------------------------------------------------------------------


def foreign(path: Path, count: int = 300, **options: Any) -> list[tuple[str, int, int, str]]:
    """Write a file with the mcap package; return topic, log time, time and value of its rows."""
    told = []
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=2000, **options)
        writer.start()
        schema = writer.register_schema("any", "jsonschema", b'{"type":"object"}')
        numbers = {
            topic: writer.register_channel(topic, "json", schema, metadata)
            for topic, metadata in (("/imu", {}), ("/temperature", {"type": "float", "unit": "K"}))
        }
        other = writer.register_channel("/image", "ros1", 0)
        for i in range(count):
            log_ns = START_US * 1000 + i * 1_000_000
            writer.add_message(other, log_ns, b"\x00{]", log_ns)
            value: Value = {"x": i, "y": [1.5]}
            payload: object = value
            topic = "/imu"
            if i % 3 == 0:
                topic, value, payload = "/temperature", i / 2, {"value": i / 2}
            writer.add_message(numbers[topic], log_ns, json.dumps(payload).encode(), log_ns - 1000)
            told.append((topic, log_ns // 1000, log_ns // 1000 - 1, repr(value)))
        writer.finish()  # type: ignore[no-untyped-call]  # the package says nothing of it
    return told


LAYOUTS: list[dict[str, Any]] = [
    {},
    {"compression": CompressionType.NONE},
    {"use_chunking": False},
    {
        "index_types": IndexType.NONE,
        "repeat_channels": False,
        "repeat_schemas": False,
        "use_statistics": False,
    },
]


def check_foreign(recording: Recording, told: list[tuple[str, int, int, str]]) -> None:
    found, holes = read(recording.scan(EVERYTHING))
    assert [(r.topic, r.log_us, r.time_us, r.value) for r in found] == told
    assert [r.offset for r in found] == list(range(len(told)))
    assert not holes


@pytest.mark.parametrize("options", LAYOUTS)
def test_the_json_in_others_files_is_read(tmp_path: Path, options: dict[str, Any]) -> None:
    """In chunks or not, compressed or not, with an index or without."""
    told = foreign(tmp_path / "x.mcap", **options)
    recording = open_recording(tmp_path / "x.mcap")
    check_foreign(recording, told)
    contents = recording.contents()
    assert contents.what.startswith("MCAP file of ")
    assert [(t.topic, t.type, t.unit, t.count) for t in contents.topics] == [
        ("/image", "ros1", "", 300),
        ("/imu", "json", "", 200),
        ("/temperature", "float", "K", 100),
    ]
    span = recording.span()
    assert (span.first, span.end) == (0, 300)
    assert (span.start_us, span.end_us) == (told[0][1], told[-1][1])
    assert any("not JSON" in note for note in contents.notes)
    assert len(contents.notes) == 1


def test_a_part_of_others_files(tmp_path: Path) -> None:
    """By topic, offset, time and number."""
    told = foreign(tmp_path / "x.mcap")
    recording = open_recording(tmp_path / "x.mcap")
    asked = Selection(["/imu"], 10, 250, told[20][1], told[200][1], 30)
    found, _ = read(recording.scan(asked))
    expected = [row for row in told[20:200] if row[0] == "/imu"][:30]
    assert [(r.topic, r.log_us, r.time_us, r.value) for r in found] == expected


def test_others_files_may_be_cut_off(tmp_path: Path) -> None:
    """What is whole is read, and that the end is missing is said."""
    told = foreign(tmp_path / "x.mcap")
    data = (tmp_path / "x.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(data[: len(data) // 2])
    recording = open_recording(tmp_path / "cut.mcap")
    found, holes = read(recording.scan(EVERYTHING))
    assert not holes
    assert 0 < len(found) < len(told)
    assert [r.value for r in found] == [row[3] for row in told[: len(found)]]
    assert "footer" in recording.notes()[-1]
    assert recording.contents().readings >= len(found)


def test_chunks_in_lz4_are_read(tmp_path: Path) -> None:
    """Where its package is installed, as any others."""
    told = foreign(tmp_path / "x.mcap", compression=CompressionType.LZ4)
    check_foreign(open_recording(tmp_path / "x.mcap"), told)


@pytest.mark.parametrize("at", [0.3, 0.5, 0.7])
def test_damage_in_a_chunk_of_lz4_is_a_hole(tmp_path: Path, at: float) -> None:
    """Not another value, and info does not call it readable."""
    foreign(tmp_path / "x.mcap", compression=CompressionType.LZ4)
    data = bytearray((tmp_path / "x.mcap").read_bytes())
    data[int(len(data) * at)] ^= 0x10
    (tmp_path / "x.mcap").write_bytes(data)
    recording = open_recording(tmp_path / "x.mcap")
    found, holes = read(recording.scan(EVERYTHING))
    contents = recording.contents()
    assert len(found) + sum(hole.count for hole in holes) == contents.readings - 300
    assert contents.holes == holes


def test_what_is_needed_for_a_compression_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`info` called 200 unreadable readings readable, and `export` wrote none and ended with 0."""
    monkeypatch.setitem(sys.modules, "lz4.frame", None)  # as if it were not installed
    file = tmp_path / "x.mcap"
    foreign(file, compression=CompressionType.LZ4)
    found, holes = read(open_recording(file).scan(EVERYTHING))
    assert not found
    assert sum(hole.count for hole in holes) == 300
    assert "lz4" in holes[0].reason
    assert main(["info", str(file)]) == 1
    told = capsys.readouterr().out
    assert "300 of them cannot be read" in told
    assert "install sensord[lz4]" in told
    assert main(["export", str(file), "-o", str(tmp_path / "x.csv")]) == 1
    assert "install sensord[lz4]" in capsys.readouterr().err
    assert main(["replay", str(file), "--listen", "127.0.0.1:0"]) == 1
    assert "install sensord[lz4]" in capsys.readouterr().err


def test_any_cut_and_any_flip_of_others_files_is_told_or_harmless(tmp_path: Path) -> None:
    """Never anything but readings, holes and errors that say what is wrong."""
    foreign(tmp_path / "x.mcap", 40)
    data = (tmp_path / "x.mcap").read_bytes()
    path = tmp_path / "y.mcap"
    for at in range(8, len(data), 17):
        flipped = bytearray(data)
        flipped[at] ^= 1 << at % 8
        for damaged in (data[:at], bytes(flipped)):
            path.write_bytes(damaged)
            try:
                recording = open_recording(path)
                recording.contents()
                read(recording.scan(EVERYTHING))
            except SensordError:
                pass


# -- what is neither -----------------------------------------------------------------------------


def test_what_is_no_recording_is_said(tmp_path: Path) -> None:
    """One line that says what it is instead."""
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("hello")
    (tmp_path / "folder").mkdir()
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.mcap").write_bytes(b"")
    expected = {
        "empty": "is empty",
        "text": "is neither an MCAP file nor a journal",
        "folder": "there is no journal in this folder",
        "files": "give the .mcap files in it",
        "missing": "cannot be opened: No such file",
    }
    for name, text in expected.items():
        with pytest.raises(SensordError, match=text):
            open_recording(tmp_path / name)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """It could be misread."""
    write(tmp_path / "x.mcap", [])
    data = (tmp_path / "x.mcap").read_bytes()
    at = data.index(b"format") + len(b"format") + 4
    (tmp_path / "x.mcap").write_bytes(data[:at] + b"9" + data[at + 1 :])
    with pytest.raises(SensordError, match="newer sensord"):
        open_recording(tmp_path / "x.mcap")
