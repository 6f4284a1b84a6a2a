"""A journal of many segments, as a slow device makes them: one an hour."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensord.log.journal import Options, Reader, Writer, scan
from tests.kit.journal import channels, found_in, small_shape, walk_readings

SEGMENTS = 60


def test_a_piece_from_the_end_does_not_look_at_all_segments_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long history is read in many pieces: looking at all in each cost the square of a year."""
    hour_us = 3600 * 10**6
    records = walk_readings(SEGMENTS * 10, rate=10 / 7200, of=channels(1))
    begin_us = records[0].log_us
    shape = small_shape(segment_age_us=hour_us)
    writer = Writer(Options(folder=str(tmp_path)), shape=shape)
    writer.open(begin_us, 0)
    for i in range(0, len(records), 10):
        part = records[i : i + 10]
        writer.commit(part, part[-1].log_us, part[-1].log_us - begin_us)
    writer.close(records[-1].log_us, records[-1].log_us - begin_us)
    reader = Reader(tmp_path)
    assert len(reader.view().sealed) >= SEGMENTS / 3
    looked = []
    extent = scan._extent

    def noted(part: scan._Part) -> tuple[int, int, int]:
        looked.append(part)
        return extent(part)

    monkeypatch.setattr(scan, "_extent", noted)
    rows, holes = found_in(reader.scan(len(records) - 15))
    assert [row.offset for row in rows] == list(range(len(records) - 15, len(records)))
    assert holes == []
    assert len(looked) < 10
