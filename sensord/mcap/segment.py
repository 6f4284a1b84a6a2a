"""A segment being written: chunks are appended and synced, and at the end it is sealed.

Memory changes only after the device has the data, so a failed write may be repeated.

Source: docs/journal.md, Segments.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sensord import __version__
from sensord.mcap import records as mcap
from sensord.mcap.channels import SCHEMA_IDS, Described, checked, definition, schema_record
from sensord.mcap.chunk import EncodedChunk
from sensord.mcap.disk import Disk
from sensord.mcap.records import ChannelRecord, ChunkEntry, Opcode
from sensord.model.readings import ValueType

__all__ = ["METADATA", "Located", "SegmentWriter", "open_path", "sealed_path"]

METADATA = "sensord"
"""The name of the metadata record."""
_SCHEMAS = {number: schema_record(kind) for kind, number in SCHEMA_IDS.items()}


def sealed_path(folder: Path, first: int) -> Path:
    """Return the path of the sealed segment that begins at an offset."""
    return folder / f"{first:020}.mcap"


def open_path(folder: Path, first: int) -> Path:
    """Return the path of the open segment that begins at an offset."""
    return folder / f"{first:020}.mcap.open"


@dataclass(frozen=True, slots=True)
class Located:
    """A chunk in a file and the offsets of its readings."""

    first: int
    count: int
    entry: ChunkEntry

    @property
    def end(self) -> int:
        """The offset after its last reading."""
        return self.first + self.count


class SegmentWriter:
    """Writes one MCAP file; the first chunk creates it."""

    def __init__(self, disk: Disk, path: Path, first: int, facts: Mapping[str, str]) -> None:
        self.path = path
        self.first = first
        self.size = 0
        self.chunks: list[Located] = []
        self._disk = disk
        self._facts = dict(facts)
        self._descriptor: int | None = None
        self._channels: dict[int, ChannelRecord] = {}
        self._schemas: dict[int, bytes] = {}
        self._counts: Counter[int] = Counter()
        self._newest: Mapping[int, int] = {}  # counts of the last chunk
        self._unwritten = mcap.MAGIC + mcap.header(f"sensord {__version__}")
        self._noted: list[tuple[int, int, str]] = []  # position, length and name
        self.note(METADATA, self._facts)

    @property
    def end(self) -> int:
        """The offset after the last reading."""
        return self.chunks[-1].end if self.chunks else self.first

    @property
    def start_ns(self) -> int:
        """The first log time."""
        return min((chunk.entry.start_ns for chunk in self.chunks), default=0)

    @property
    def end_ns(self) -> int:
        """The last log time."""
        return max((chunk.entry.end_ns for chunk in self.chunks), default=0)

    def knows(self, number: int) -> bool:
        """Return whether the file describes the channel."""
        return number in self._channels

    def note(self, name: str, facts: Mapping[str, str]) -> None:
        """Add a named fact about the file; the next chunk writes it."""
        record = mcap.metadata(name, facts)
        self._noted.append((self.size + len(self._unwritten), len(record), name))
        self._unwritten += record

    def forget_note(self, name: str) -> None:
        """Drop a named fact that is not on the disk yet."""
        for noted in reversed(self._noted.copy()):
            at, length, noted_name = noted
            begin = at - self.size
            if noted_name == name and begin >= 0:
                self._unwritten = self._unwritten[:begin] + self._unwritten[begin + length :]
                self._noted.remove(noted)
                self._move_notes(at, -length)

    def _move_notes(self, behind: int, by: int) -> None:
        """Record the new positions of the notes from a place on."""
        self._noted = [
            (at + by if at >= behind else at, length, name) for at, length, name in self._noted
        ]

    def define(self, number: int, channel: Described) -> None:
        """Describe a channel; the next chunk writes it."""
        self.define_record(checked(definition(number, channel.topic, channel.metadata)))

    def define_record(self, record: ChannelRecord, schema: bytes = b"") -> None:
        """Describe a channel in MCAP's terms, with a schema that is not one of sensord's."""
        if record.schema_id not in self._schemas:
            schema = schema or _SCHEMAS.get(record.schema_id, _SCHEMAS[SCHEMA_IDS[ValueType.JSON]])
            self._schemas[record.schema_id] = schema
            self._unwritten += schema
        self._channels[record.id] = record
        self._unwritten += mcap.channel(record)

    def append(self, chunk: EncodedChunk, *, sync: bool = True) -> None:
        """Append a chunk.

        Raises:
            OSError: It is not in the segment; the part that was written will be overwritten.
        """
        if self._descriptor is None:
            self._descriptor = self._disk.create(self.path)
        data = self._unwritten + chunk.record + chunk.indexes
        self._write(data, sync=sync)
        if sync and not self.chunks:
            # The readings are only safe once their file has a name.
            self._disk.sync_folder(self.path.parent)
        at = self.size + len(self._unwritten)
        count = sum(chunk.counts.values())
        self.chunks.append(Located(chunk.first, count, chunk.entry_at(at)))
        self._counts.update(chunk.counts)
        self._newest = chunk.counts
        self.size += len(data)
        self._unwritten = b""

    def withdraw(self) -> bool:
        """Remove the last chunk to free its space; return False if that was done already.

        Raises:
            OSError: It cannot be cut off.
        """
        if not self._newest or self._descriptor is None:
            return False
        position = self.chunks[-1].entry.position
        self._disk.truncate(self._descriptor, position)
        self._move_notes(self.size, position - self.size)
        self.size = position
        self.chunks.pop()
        self._counts.subtract(self._newest)
        self._newest = {}
        return True

    def resume(self, size: int, chunks: list[Located], counts: Mapping[int, int]) -> None:
        """Continue after the first ``size`` bytes of a file that was left unsealed.

        Its channels are defined again, which does no harm.

        Raises:
            OSError: The file cannot be opened or cut there.
        """
        self._descriptor = self._disk.open(self.path)
        self._disk.truncate(self._descriptor, size)
        self.size, self.chunks = size, chunks
        self._counts.update(counts)
        at, length, _ = self._noted[0]
        self._unwritten = self._unwritten[at + length :]

    def seal(self, path: Path) -> int:
        """Write summary and footer, give the file its final name, and return its size.

        Raises:
            OSError: The file stays as it was, unsealed.
        """
        end = self._unwritten + mcap.data_end()
        start = self.size + len(end)
        summary, offsets_at = self._summary(start)
        data = end + summary + mcap.footer(summary, start, start + offsets_at)
        if self._descriptor is None:
            self._descriptor = self._disk.create(self.path)
        self._write(data, sync=True)
        self._disk.replace(self.path, path)
        self.path = path  # so that trying again after a failed sync does no harm
        self._disk.sync_folder(path.parent)
        self.close()
        return self.size + len(data)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            self._disk.close(self._descriptor)
            self._descriptor = None

    def _write(self, data: bytes, *, sync: bool) -> None:
        assert self._descriptor is not None
        try:
            self._disk.write(self._descriptor, data, self.size)
            if sync:
                self._disk.sync(self._descriptor)
        except OSError:
            # On a full disk the part that was written would keep space from others.
            with contextlib.suppress(OSError):
                self._disk.truncate(self._descriptor, self.size)
            raise

    def _summary(self, start: int) -> tuple[bytes, int]:
        """Encode the summary for position ``start``; also return where its offsets begin in it."""
        count = sum(self._counts.values())
        totals = mcap.Totals(count, self.start_ns, self.end_ns, dict(self._counts))
        counts = {"schemas": len(self._schemas), "channels": len(self._channels)}
        counts |= {"metadata": len(self._noted), "chunks": len(self.chunks)}
        statistics = mcap.statistics(totals, **counts)
        groups = {
            Opcode.SCHEMA: list(self._schemas.values()),
            Opcode.CHANNEL: [mcap.channel(record) for record in self._channels.values()],
            Opcode.CHUNK_INDEX: [mcap.chunk_index(chunk.entry) for chunk in self.chunks],
            Opcode.METADATA_INDEX: [mcap.metadata_index(*noted) for noted in self._noted],
            Opcode.STATISTICS: [statistics],
        }
        parts, offsets, at = [], [], start
        for opcode, records in groups.items():
            group = b"".join(records)
            if group:
                parts.append(group)
                offsets.append(mcap.summary_offset(opcode, at, len(group)))
                at += len(group)
        summary = b"".join(parts)
        return summary + b"".join(offsets), len(summary)
