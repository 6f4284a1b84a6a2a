"""The corpus: what devices said is decoded to what was written down once, and looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from sensord.recordings import open_recording
from sensord.recordings.capture import Arrival, Capture, CaptureFile, Piece
from sensord.recordings.text_rows import read_json_lines
from tests.kit.capture import readings_of, write_capture
from tests.kit.daemon import REPOSITORY
from tests.recordings.make import CASES, made_of

FOLDER = REPOSITORY / "tests" / "recordings"
FOUND = sorted(str(path.parent.relative_to(FOLDER)) for path in FOLDER.glob("*/*/capture.mcap"))

each_case = pytest.mark.parametrize("case", FOUND)


def test_every_case_is_whole() -> None:
    """Capture, readings, faults and provenance; and each that can be played anew is there."""
    assert set(CASES) <= set(FOUND)
    assert {path.parent for path in FOLDER.glob("*/*/*")} == {FOLDER / case for case in FOUND}
    for case in FOUND:
        names = {path.name for path in (FOLDER / case).iterdir()}
        assert names == {"capture.mcap", "readings.jsonl", "faults.json", "README.md"}
        assert "Where it is from: " in (FOLDER / case / "README.md").read_text()


@each_case
def test_a_capture_makes_the_readings_that_were_written_down(case: str) -> None:
    """Byte for byte, and what could not be understood too; twice the same."""
    there = FOLDER / case
    capture = Capture(there / "capture.mcap")
    made = made_of(capture)
    assert made.readings == (there / "readings.jsonl").read_text(encoding="utf-8")
    assert made.faults == json.loads((there / "faults.json").read_text())
    assert made_of(capture) == made
    with (there / "readings.jsonl").open(encoding="utf-8") as lines:
        assert (
            len(list(read_json_lines(lines))) == open_recording(there / "readings.jsonl").span().end
        )


def cut(arrivals: Iterator[object], random: Random) -> Iterator[Arrival]:
    """Cut the pieces of a stream anywhere; all parts came when the whole came."""
    for arrival in arrivals:
        assert isinstance(arrival, Arrival)
        if not isinstance(arrival.what, Piece):
            yield arrival
            continue
        data = arrival.what.data
        edges = sorted({0, len(data), *random.sample(range(len(data)), len(data) // 3)})
        for begin, end in pairwise(edges):
            yield arrival._replace(what=Piece(data[begin:end]))


@each_case
def test_any_cut_of_it_makes_the_same_readings(case: str, tmp_path: Path) -> None:
    """As the operating system may have delivered it."""
    path = FOLDER / case / "capture.mcap"
    file, expected = CaptureFile(path), readings_of(Capture(path))
    for seed in range(3):
        again = cut(iter(file.arrivals()), Random(seed))
        other = write_capture(tmp_path / f"{seed}.mcap", file.table, again, file.device)
        assert readings_of(Capture(other)) == expected
