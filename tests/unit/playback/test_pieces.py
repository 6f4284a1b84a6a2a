"""Pieces of recordings, read ahead in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

from sensord.log.journal import Batch, Hole
from sensord.playback.pieces import Pieces
from sensord.recordings import Recording, Selection, in_order, open_recording
from tests.kit.journal import START_US, channels, open_writer, small_shape, walk_readings
from tests.kit.loops import on_each_loop


class Slow:
    """A recording whose second piece takes until ``go``."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.path = recording.path
        self.span = recording.span
        self.contents = recording.contents
        self.notes = recording.notes
        self.go, self.is_reading, self.is_closed = (threading.Event() for _ in range(3))

    def scan(self, selection: Selection) -> Iterator[Batch | Hole]:
        try:
            for item in self._recording.scan(selection):
                yield item
                self.is_reading.set()
                self.go.wait()
        finally:
            self.is_closed.set()


@on_each_loop
async def test_who_leaves_in_the_middle_of_a_piece_leaves_nothing_open(tmp_path: Path) -> None:
    """Also where whoever waited for the piece has been cancelled."""
    writer = open_writer(tmp_path, small_shape())
    records = walk_readings(200, of=channels(5))
    for i in (0, 100):
        writer.commit(records[i : i + 100], START_US, i)
    writer.close(START_US, 200)
    ((recording, span),) = in_order([open_recording(tmp_path)])
    slow = Slow(recording)
    async with Pieces([(slow, span)], Selection()) as pieces:
        await anext(pieces)
        await asyncio.to_thread(slow.is_reading.wait)
        waiting = asyncio.create_task(anext(pieces))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
        asyncio.get_running_loop().call_soon(slow.go.set)
    assert slow.is_closed.is_set()
