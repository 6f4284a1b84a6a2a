"""Holes that a file names itself."""

from __future__ import annotations

from pathlib import Path

from mcap.reader import make_reader

from sensord.log.journal import Batch, Hole
from sensord.recordings import EVERYTHING, Selection, open_recording
from sensord.recordings.mcap_output import McapOutput
from sensord.recordings.notes import HOLE
from tests.kit.journal import START_US, Row, channels, open_writer, oracle_rows, rows, walk_readings

COUNT = 3000
HOLES = [Hole(500, 100, "missing: the dog"), Hole(2000, 1, "expired")]


def source(folder: Path) -> list[Batch]:
    """Return batches that lack the offsets of the holes."""
    writer = open_writer(folder)
    records = walk_readings(COUNT, of=channels(4))
    for i in range(0, COUNT, 100):
        writer.commit(records[i : i + 100], START_US, i)
    writer.close(START_US, COUNT)
    parts = [(0, 500), (600, 2000), (2001, COUNT)]
    journal = open_recording(folder)
    found = [list(journal.scan(Selection(start=start, stop=stop))) for start, stop in parts]
    return [item for part in found for item in part if isinstance(item, Batch)]


def written(folder: Path) -> Path:
    path = folder / "x.mcap"
    left = list(HOLES)
    with McapOutput(path, "") as output:
        for batch in source(folder / "journal"):
            while left and batch.offsets[0] >= left[0].end:
                output.hole(left.pop(0))
            output.add(batch)
        output.note("sensord.test", {"a": "b"})
        output.complete()
    return path


def test_holes_are_told_where_they_are(tmp_path: Path) -> None:
    """Between the readings before and behind them, and in the contents."""
    recording = open_recording(written(tmp_path))
    assert recording.contents().holes == HOLES
    found: list[Row | Hole] = []
    for item in recording.scan(EVERYTHING):
        found += [item] if isinstance(item, Hole) else rows(item.records())
    assert [item for item in found if isinstance(item, Hole)] == HOLES
    assert sum(isinstance(item, Row) for item in found) == COUNT - 101


def test_a_part_tells_its_own_holes(tmp_path: Path) -> None:
    """Not those before its begin or behind its end."""
    recording = open_recording(written(tmp_path))
    for start, stop, holes in ((700, None, HOLES[1:]), (0, 450, []), (0, 1900, HOLES[:1])):
        items = recording.scan(Selection(start=start, stop=stop))
        assert [item for item in items if isinstance(item, Hole)] == holes


def test_other_readers_see_the_notes_and_all_readings(tmp_path: Path) -> None:
    """The `mcap` package checks every CRC, and finds each record by the index."""
    path = written(tmp_path)
    assert len(oracle_rows(path)) == COUNT - 101
    with path.open("rb") as file:
        notes = list(make_reader(file).iter_metadata())
    assert [note.name for note in notes] == ["sensord", HOLE, HOLE, "sensord.test"]
    assert notes[1].metadata == {"first": "500", "count": "100", "reason": "missing: the dog"}


def test_a_copy_keeps_the_holes(tmp_path: Path) -> None:
    """As `sensord export` makes one."""
    copy = tmp_path / "copy.mcap"
    with McapOutput(copy, "") as output:
        for item in open_recording(written(tmp_path)).scan(EVERYTHING):
            if isinstance(item, Hole):
                output.hole(item)
            else:
                output.add(item)
        output.complete()
    assert open_recording(copy).contents().holes == HOLES
