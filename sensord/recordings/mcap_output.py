"""Write readings to one sealed MCAP file, like a journal's segment except for its offsets.

Readings that were not asked for leave gaps in the offsets, so each reading's offset is derived from
its sequence number, and the fact `EXPORT` marks the file.

Source: docs/recordings.md, MCAP; docs/journal.md, Segments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from sensord.log.journal import Batch, Hole
from sensord.log.journal.shape import CHUNK_BYTES
from sensord.mcap.channels import Described
from sensord.mcap.chunk import ChunkCodec
from sensord.mcap.disk import Disk
from sensord.mcap.message import MOST_CHANNELS, SEQUENCES, pack_messages
from sensord.mcap.payload import VALUE, inner_texts, recordable
from sensord.mcap.segment import SegmentWriter
from sensord.model.readings import GOOD, Quality, Reading, Value
from sensord.recordings.contents import RecordingError
from sensord.recordings.notes import hole_note
from sensord.recordings.part_file import part_path
from sensord.recordings.segment_file import EXPORT, FORMAT

__all__ = ["McapOutput"]

LastNote = Callable[[int], tuple[str, dict[str, str]]]
"""Returns the facts added when a file is sealed, from its number of readings."""


class McapOutput:
    """Gathers readings to chunks, and seals the file when it is complete."""

    def __init__(self, path: Path, epoch: str) -> None:
        self._path = path
        self._part = part_path(path)
        self._epoch = epoch
        self._disk = Disk()
        self._codec = ChunkCodec()
        self._file: SegmentWriter | None = None
        self._numbers: dict[Described, int] = {}
        self._raw: list[bytes] = []
        self._raw_bytes = 0
        self._gathered = 0
        """Readings in ``_raw``."""
        self._first = 0
        """The offset of the first reading in ``_raw``."""
        self._next = 0
        self._shift = 0
        self._log_ns = 0
        self._notes: list[tuple[str, dict[str, str]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        self._part.unlink(missing_ok=True)

    def add(self, batch: Batch) -> None:
        """Append readings.

        Raises:
            OSError: The disk fails.
            RecordingError: There are more channels than MCAP can number.
        """
        file = self._file_from(batch.offsets[0])
        # Offsets only rise in a file; another log's are moved after those of the previous one.
        self._shift = max(self._shift, self._next - batch.offsets[0])
        offsets = [offset + self._shift for offset in batch.offsets]
        self._next = offsets[-1] + 1
        numbers = {number: self._number(batch, number, file) for number in set(batch.numbers)}
        if batch.log_ns[0] < self._log_ns:
            self._flush()  # chunks that do not overlap in time are read without sorting
        if not self._raw:
            self._first = offsets[0]
        ids = [numbers[number] for number in batch.numbers]
        raw = _messages(batch, ids, offsets)
        self._raw.append(raw)
        self._raw_bytes += len(raw)
        self._gathered += len(batch)
        self._log_ns = batch.log_ns[-1]
        if self._raw_bytes >= CHUNK_BYTES:
            self._flush()

    @property
    def bytes(self) -> int:
        """What was written so far, and what is gathered for the next chunk."""
        return self._raw_bytes + (0 if self._file is None else self._file.size)

    @property
    def readings(self) -> int:
        """Readings that are in it: those that the disk did not accept are not."""
        written = [] if self._file is None else self._file.chunks
        return sum(chunk.count for chunk in written) + self._gathered

    def hole(self, hole: Hole) -> None:
        """Note that readings are missing here; with the file complete, its readers know it."""
        moved = replace(hole, first=hole.first + self._shift)
        self.note(*hole_note(moved))

    def note(self, name: str, facts: dict[str, str]) -> None:
        """Add a fact about the file besides its readings."""
        self._notes.append((name, facts))
        self._write_notes()

    def _write_notes(self) -> None:
        if self._file is not None:
            for note in self._notes:
                self._file.note(*note)
            self._notes = []

    def flush(self) -> None:
        """Write what is gathered, so that it outlives this process.

        Raises:
            OSError: The disk fails.
        """
        self._flush()

    def salvage(self, last: LastNote | None = None) -> None:
        """Seal what fits when the disk is full.

        Raises:
            OSError: Even that fails.
        """
        self.drop()
        try:
            self.complete(last)
        except OSError:
            if self._file is None or not self._file.withdraw():
                raise
            self.complete(last)

    def drop(self) -> None:
        """Forget what is gathered; what was written is kept."""
        self._raw, self._raw_bytes, self._gathered = [], 0, 0

    def complete(self, last: LastNote | None = None) -> None:
        """Seal the file and give it its name, in place of any that has it.

        Raises:
            OSError: It has not got it.
        """
        file = self._file_from(0)
        self._flush()
        if last is not None:
            name, facts = last(self.readings)
            file.forget_note(name)
            file.note(name, facts)
        file.seal(self._path)

    def _file_from(self, first: int) -> SegmentWriter:
        if self._file is None:
            facts = {"format": str(FORMAT), "epoch": self._epoch, "first_offset": str(first)}
            facts[EXPORT] = "1"
            known = {key: value for key, value in facts.items() if value}
            self._file = SegmentWriter(self._disk, self._part, first, known)
            self._next = first
            self._write_notes()
        return self._file

    def _number(self, batch: Batch, number: int, file: SegmentWriter) -> int:
        channel = batch.channel(number)
        described = Described(channel.topic, channel.metadata)
        found = self._numbers.get(described)
        if found is None:
            found = len(self._numbers) + 1
            if found > MOST_CHANNELS:
                raise RecordingError(self._path, "MCAP cannot number so many channels")
            self._numbers[described] = found
            file.define(found, described)
        return found

    def _flush(self) -> None:
        if self._raw:
            assert self._file is not None
            chunk = self._codec.reseal(b"".join(self._raw), self._first)
            self._file.append(chunk, sync=False)
            self.drop()


def _messages(batch: Batch, ids: Sequence[int], offsets: Sequence[int]) -> bytes:
    """Encode readings as MCAP messages."""
    count = len(batch)
    texts = _texts(batch.values, batch.qualities or [GOOD] * count, batch.restates)
    payloads = [VALUE + text + b"}" for text in texts.split(b"\n")]
    sequences = [offset % SEQUENCES for offset in offsets]
    return pack_messages(ids, sequences, batch.log_ns, batch.publish_ns, payloads)


def _texts(
    values: Sequence[Value], qualities: Sequence[Quality], restates: Sequence[bool] | None
) -> bytes:
    flags = restates or [False] * len(values)
    try:
        return inner_texts(values, qualities, flags)
    except (ValueError, TypeError, RecursionError):
        # Others' files may hold what JSON cannot, such as NaN.
        rows = zip(values, qualities, flags, strict=True)
        sound = [recordable(Reading(0, *row)) for row in rows]
        _, *columns = (list(column) for column in zip(*sound, strict=True))
        return inner_texts(columns[0], columns[1], columns[2])
