"""Read recordings off the loop, in pieces, one piece ahead of what is being played."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from sensord.log.journal import Batch, Hole
from sensord.model.readings import Record
from sensord.recordings import Recording, Selection, Span, scan_all

__all__ = ["Piece", "Pieces"]


STOP_S = 1.0


class Piece(NamedTuple):
    """What was read next: readings, or a hole. Both may be missing where none was asked for."""

    path: Path
    records: list[Record]
    hole: Hole | None


class _Noted:
    """A recording that notes when it is its turn."""

    def __init__(self, recording: Recording, pieces: Pieces) -> None:
        self._recording = recording
        self._pieces = pieces
        self.path = recording.path
        self.span = recording.span
        self.contents = recording.contents
        self.notes = recording.notes

    def scan(self, selection: Selection) -> Iterator[Batch | Hole]:
        self._pieces.path = self.path
        yield from self._recording.scan(selection)


class Pieces:
    """One way through some recordings.

    Entering it begins to read; leaving it stops the thread and closes what it had open.
    """

    def __init__(self, recordings: Sequence[tuple[Recording, Span]], selection: Selection) -> None:
        self.path = recordings[0][0].path
        noted: list[tuple[Recording, Span]] = [
            (_Noted(recording, self), span) for recording, span in recordings
        ]
        self._scan = scan_all(noted, selection)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="replay-read")
        self._coming: asyncio.Future[Piece | None] | None = None

    async def __aenter__(self) -> Self:
        self._ask()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # After a piece that is being read: that needs milliseconds, but a dead disk may block
        # without end. The scan has a file open, and would keep it until garbage is collected.
        closing = asyncio.get_running_loop().run_in_executor(self._pool, self._scan.close)
        self._pool.shutdown(wait=False)
        await asyncio.wait((closing,), timeout=STOP_S)
        for done in (closing, self._coming):
            if done is not None and done.done() and not done.cancelled():
                done.exception()  # retrieved here, as no other code will

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Piece:
        """Return the next piece, and read the one after it meanwhile.

        Raises:
            RecordingError, JournalError, OSError: A recording cannot be read further.
        """
        assert self._coming is not None
        piece = await self._coming
        if piece is None:
            raise StopAsyncIteration
        self._ask()
        return piece

    def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        self._coming = loop.run_in_executor(self._pool, self._next)

    def _next(self) -> Piece | None:
        item = next(self._scan, None)
        if item is None:
            return None
        if isinstance(item, Hole):
            return Piece(self.path, [], item)
        return Piece(self.path, item.records(), None)
