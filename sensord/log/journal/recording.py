"""Write readings to one MCAP file of their own, which is there whole or not at all.

Theory of operation. The file grows under ``<name>.part`` and gets its name when its footer is on
the disk. Unlike in a journal, offsets may have gaps (a recording of some topics) and log times may
go back (a recording across a clock step): both are kept as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

from sensord.errors import JournalError
from sensord.log.journal import registry
from sensord.log.journal.block import Block, make_block
from sensord.log.journal.chunk import ChunkCodec
from sensord.log.journal.disk import Disk
from sensord.log.journal.numbering import Numbering
from sensord.log.journal.segment import SegmentWriter
from sensord.log.journal.shape import CHUNK_BYTES
from sensord.model import Record

__all__ = ["RecordingWriter"]


class RecordingWriter:
    """Writes a recording; as a context manager it finishes the file, or removes it on an error."""

    def __init__(self, path: Path, *, epoch: str = "", chunk_bytes: int = CHUNK_BYTES) -> None:
        self.written = 0
        """Readings so far."""
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._epoch = epoch
        self._chunk_bytes = chunk_bytes
        self._disk = Disk()
        self._codec = ChunkCodec()
        self._numbering = Numbering({})
        self._segment: SegmentWriter | None = None
        self._blocks: list[Block] = []

    def __enter__(self) -> Self:
        self._disk.remove(self._part)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.discard()

    def write(self, records: Sequence[Record]) -> None:
        """Add records, whose offsets rise.

        Raises:
            JournalError: The disk does not take them, or there are more than 65,535 channels.
        """
        if not records:
            return
        if not self._numbering.admit({record.channel for record in records}):
            raise JournalError(f"{self._path} cannot hold more than 65,535 channels")
        for _, run in groupby(enumerate(records), lambda pair: pair[1].offset - pair[0]):
            part = [record for _, record in run]
            times = [max(record.log_us, 0) for record in part]
            self._blocks.append(make_block(part, times, self._numbering.ids))
        self.written += len(records)
        if sum(block.raw_bytes for block in self._blocks) >= self._chunk_bytes:
            self._flush()

    def finish(self) -> int:
        """Complete the file, give it its name, and return its size.

        Raises:
            JournalError: The disk does not take it; there is no file of that name.
        """
        try:
            self._flush()
            segment = self._segment or self._begin(0)
            return segment.seal(self._path)
        except OSError as error:
            self.discard()
            raise JournalError(f"cannot write {self._path}: {error}") from error

    def discard(self) -> None:
        """Remove what was written."""
        if self._segment is not None:
            self._segment.close()
        self._disk.remove(self._part)

    def _begin(self, first: int) -> SegmentWriter:
        facts = {"format": str(registry.FORMAT), "epoch": self._epoch, "first_offset": str(first)}
        self._segment = SegmentWriter(self._disk, self._part, first, facts)
        return self._segment

    def _flush(self) -> None:
        if not self._blocks:
            return
        segment = self._segment or self._begin(self._blocks[0].first)
        chunk = self._codec.encode(self._blocks)
        for number in chunk.counts:
            if not segment.knows(number):
                segment.define(number, self._numbering.channels[number])
        try:
            segment.append(chunk, sync=False)
        except OSError as error:
            raise JournalError(f"cannot write {self._path}: {error}") from error
        self._blocks.clear()
