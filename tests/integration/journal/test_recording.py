"""Recordings: whole or not there, and the same to every reader of MCAP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter

from sensord.errors import JournalError
from sensord.log.journal import Batch, Hole, McapFile, Reader, RecordingWriter, summarize
from sensord.model import Metadata, Record
from tests.kit.journal import (
    START_US,
    Row,
    channels,
    expected_payload,
    killed_journal,
    mixed_readings,
    open_writer,
    oracle_rows,
    rows,
    walk_readings,
)

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def rows_in(file: McapFile, **asked: object) -> list[Row]:
    found: list[Row] = []
    for item in file.scan(**asked):  # type: ignore[arg-type]  # passed on as given
        assert isinstance(item, Batch)
        found += rows(item.records())
    return found


def record_all(path: Path, parts: Iterator[list[Record]]) -> None:
    with RecordingWriter(path) as recording:
        for part in parts:
            recording.write(part)


def record(path: Path, records: list[Record]) -> None:
    with RecordingWriter(path, epoch="00112233aabbccdd", chunk_bytes=4096) as recording:
        for i in range(0, len(records), 50):
            recording.write(records[i : i + 50])


@pytest.mark.parametrize("kind", ["numbers", "mixed", "some", "back"])
def test_a_recording_gives_back_what_was_written(tmp_path: Path, kind: str) -> None:
    """Every type and quality, gaps between offsets, and log times that go back."""
    path = tmp_path / "run.mcap"
    records = walk_readings(1000, first=2**32 - 300, of=channels(10))
    if kind == "mixed":
        records = mixed_readings(1000)
    elif kind == "some":
        records = [each for each in records if each.channel.number % 3 == 1]
    elif kind == "back":
        records = [
            each._replace(log_us=each.log_us - (10**9 if i > 500 else 0))
            for i, each in enumerate(records)
        ]
    record(path, records)
    expected = rows(records)
    assert rows_in(McapFile(path)) == expected
    assert McapFile(path).epoch == "00112233aabbccdd"
    oracle = sorted(oracle_rows(path) if kind != "back" else [])
    if oracle:
        assert [each[4] for each in oracle] == [
            expected_payload(each)
            for each in sorted(expected, key=lambda each: each.offset % 2**32)
        ]
        assert {each[1] // 1000 for each in oracle} == {each.log_us for each in expected}
    assert list(tmp_path.iterdir()) == [path]


def test_topics_and_times_can_be_chosen(tmp_path: Path) -> None:
    """As from a journal."""
    records = walk_readings(1000, of=channels(10))
    record(tmp_path / "run.mcap", records)
    since_us, until_us = records[300].log_us, records[600].log_us
    topic = records[0].channel.topic
    found = rows_in(
        McapFile(tmp_path / "run.mcap"), since_us=since_us, until_us=until_us, topics=[topic]
    )
    assert found == [
        each for each in rows(records) if since_us <= each.log_us < until_us and each.topic == topic
    ]


def test_an_interrupted_recording_leaves_nothing(tmp_path: Path) -> None:
    """Neither half a file under the final name nor its beginnings."""

    def interrupted() -> Iterator[list[Record]]:
        yield walk_readings(20_000)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record_all(tmp_path / "run.mcap", interrupted())
    assert list(tmp_path.iterdir()) == []


def test_an_empty_recording_is_a_file(tmp_path: Path) -> None:
    """Tools open it and show nothing."""
    record(tmp_path / "run.mcap", [])
    assert oracle_rows(tmp_path / "run.mcap") == []
    assert rows_in(McapFile(tmp_path / "run.mcap")) == []


def test_a_recording_into_no_folder_is_an_error_that_says_so(tmp_path: Path) -> None:
    """With the file's name."""
    with pytest.raises(JournalError, match="missing/run"):
        record(tmp_path / "missing" / "run.mcap", walk_readings(10))


@pytest.mark.parametrize("compression", [CompressionType.ZSTD, CompressionType.NONE])
@pytest.mark.parametrize("shape", ["indexed", "no index", "no chunks", "cut"])
def test_what_the_mcap_package_writes_is_read(
    tmp_path: Path, compression: CompressionType, shape: str
) -> None:
    """With an index or without, in chunks or not, and as far as it goes when it is cut."""
    path = tmp_path / "other.mcap"
    writer = McapWriter(
        str(path),
        chunk_size=1000,
        compression=compression,
        use_chunking=shape != "no chunks",
        index_types=IndexType.NONE if shape == "no index" else IndexType.ALL,
    )
    writer.start()
    schema = writer.register_schema("x", "jsonschema", b'{"type":"object"}')
    good = writer.register_channel("a/b", "json", schema, {"type": "float", "unit": "V"})
    other = writer.register_channel("c", "cbor", 0)
    for i in range(500):
        payload = json.dumps({"value": i / 4})
        writer.add_message(good, i * 1000, payload.encode(), i * 1000 + 5000, i)
        writer.add_message(other, i * 1000, b"\xff\x00", i * 1000, i)
    writer.finish()  # type: ignore[no-untyped-call]  # the package's
    if shape == "cut":
        path.write_bytes(path.read_bytes()[:-600])
    file = McapFile(path)
    found = rows_in(file)
    assert [found[0].topic, found[0].metadata] == ["a/b", Metadata(unit="V")]
    assert [(each.log_us, each.time_us, each.value) for each in found] == [
        (i, i + 5, repr(i / 4)) for i in range(len(found))
    ]
    assert len(found) == 500 or (shape == "cut" and file.findings)


def test_what_is_no_mcap_file_is_refused(tmp_path: Path) -> None:
    """By name."""
    (tmp_path / "x.mcap").write_bytes(b"hello")
    with pytest.raises(JournalError, match=r"x\.mcap: it is no MCAP file"):
        McapFile(tmp_path / "x.mcap")


def test_a_summary_of_a_folder_counts_what_a_scan_finds(tmp_path: Path) -> None:
    """Sealed, open and in the ring, without reading the readings."""
    killed = killed_journal(tmp_path / "journal", mixed=True)
    summary = summarize(killed.folder)
    given = killed.given.values()
    assert summary.readings == len(given)
    assert (summary.first_offset, summary.end_offset) == (0, killed.next_offset)
    assert summary.start_us == min(each.log_us for each in given)
    assert summary.end_us == max(each.log_us for each in given)
    for described, count in summary.topics.items():
        assert count == sum(each.topic == described.topic for each in given)
    assert summary.holes == ()


def test_a_segment_alone_is_a_recording(tmp_path: Path) -> None:
    """Sealed ones and the open one, which is walked."""
    killed = killed_journal(tmp_path / "journal")
    sealed = sorted(killed.folder.glob("*.mcap"))
    found = [each for path in sealed for each in rows_in(McapFile(path))]
    (left,) = killed.folder.glob("*.open")
    found += rows_in(McapFile(left))
    assert found == [killed.given[each.offset] for each in found]
    assert [each.offset for each in found] == list(range(len(found)))
    assert McapFile(left).findings
    assert summarize(sealed[0]).readings == len(oracle_rows(sealed[0]))


def test_a_damaged_chunk_of_a_file_is_a_hole(tmp_path: Path) -> None:
    """With its count, and what follows keeps its offsets."""
    path = tmp_path / "run.mcap"
    records = walk_readings(1000, of=channels(10))
    record(path, records)
    data = bytearray(path.read_bytes())
    second = data.find(ZSTD_MAGIC, data.find(ZSTD_MAGIC) + 4)
    data[second + 100] ^= 1
    path.write_bytes(data)
    items = list(McapFile(path).scan())
    (hole,) = [item for item in items if isinstance(item, Hole)]
    found = [each for item in items if isinstance(item, Batch) for each in rows(item.records())]
    expected = [each for each in rows(records) if not hole.first <= each.offset < hole.end]
    assert found == expected


def test_a_journal_exports_as_one_complete_file(tmp_path: Path) -> None:
    """With a footer, though its last segment has none."""
    writer = open_writer(tmp_path / "journal")
    records = walk_readings(3000, of=channels(20))
    for i in range(0, 3000, 30):
        writer.commit(records[i : i + 30], START_US + i, i)
    with RecordingWriter(tmp_path / "all.mcap", epoch=writer.epoch) as recording:
        for item in Reader(tmp_path / "journal").scan():
            assert isinstance(item, Batch)
            recording.write(item.records())
    assert len(oracle_rows(tmp_path / "all.mcap")) == 3000
    assert rows_in(McapFile(tmp_path / "all.mcap")) == rows(records)
    writer.abandon()
