"""The content of one segment file: its chunks, its channels, its counts.

It is read from the summary if its CRC is right; otherwise the file is walked.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from sensord.mcap import records as mcap
from sensord.mcap.channels import Described, described
from sensord.mcap.chunk import ChunkCodec
from sensord.mcap.records import FOOTER_BYTES, HEADER, Opcode
from sensord.mcap.segment import METADATA, Located
from sensord.mcap.walk import Walk, walk

__all__ = ["Table", "read_at", "read_facts", "read_summary", "read_table", "walk_file"]


HEAD_BYTES = 4096
"""The header and the first facts fit many times."""


class Table(NamedTuple):
    """The content of a segment, without the readings."""

    chunks: tuple[Located, ...]
    channels: Mapping[int, Described]
    counts: Mapping[int, int]
    start_ns: int
    end_ns: int
    size: int
    is_indexed: bool
    """False if the file was walked because it has no whole summary."""

    @property
    def end(self) -> int | None:
        """The offset after the last reading, if there is one."""
        return self.chunks[-1].end if self.chunks else None


def read_at(descriptor: int, size: int, position: int) -> bytes:
    """Read ``size`` bytes at ``position``, fewer at the end of the file."""
    parts = []
    while size and (part := os.pread(descriptor, size, position)):
        parts.append(part)
        size, position = size - len(part), position + len(part)
    return b"".join(parts)


def read_table(descriptor: int, first: int, codec: ChunkCodec) -> Table:
    """Read the table of the segment that begins at offset ``first``.

    Raises:
        OSError: The disk fails. Damage is no error: the table has what is whole.
    """
    size = os.fstat(descriptor).st_size
    summary = read_summary(descriptor, size)
    if summary is not None:
        try:
            return _from_summary(summary, first, size)
        except (ValueError, struct.error):
            pass  # a summary of another's making that we cannot read
    return _from_walk(walk_file(descriptor, first, codec))


def walk_file(descriptor: int, first: int, codec: ChunkCodec) -> Walk:
    """Walk a segment.

    Raises:
        OSError: The disk fails.
    """
    # Read and not mapped: a writer that truncates the file would kill this process.
    return walk(read_at(descriptor, os.fstat(descriptor).st_size, 0), first, codec)


def read_facts(descriptor: int) -> dict[str, str] | None:
    """Read the facts that sensord notes at the head of a segment; None if they are missing.

    Raises:
        OSError: The disk fails.
    """
    head = read_at(descriptor, HEAD_BYTES, 0)
    if not head.startswith(mcap.MAGIC):
        return None
    try:
        for opcode, start, end in mcap.records(head, len(mcap.MAGIC)):
            if opcode == Opcode.METADATA:
                name, facts = mcap.metadata_of(head[start:end])
                return facts if name == METADATA else None
            if opcode != Opcode.HEADER:
                return None
    except (ValueError, struct.error):
        pass
    return None


def read_summary(descriptor: int, size: int) -> bytes | None:
    """Read the summary of a file of ``size`` bytes, or None if there is no whole one.

    Raises:
        OSError: The disk fails.
    """
    tail = read_at(descriptor, FOOTER_BYTES, max(0, size - FOOTER_BYTES))
    found = mcap.footer_of(tail) if len(tail) == FOOTER_BYTES else None
    if found is None:
        return None
    start, crc = found
    if not 0 < start <= size - FOOTER_BYTES:
        return None
    summary = read_at(descriptor, size - FOOTER_BYTES - start, start)
    if crc and zlib.crc32(tail[: HEADER.size + 16], zlib.crc32(summary)) != crc:
        return None
    return summary


def _from_summary(summary: bytes, first: int, size: int) -> Table:
    entries, channels = [], {}
    totals = mcap.Totals(0, 0, 0, {})
    for opcode, start, end in mcap.records(summary):
        body = summary[start:end]
        if opcode == Opcode.CHANNEL:
            number, channel = _described(body)
            channels[number] = channel
        elif opcode == Opcode.CHUNK_INDEX:
            entries.append(mcap.chunk_index_of(body))
        elif opcode == Opcode.STATISTICS:
            totals = mcap.statistics_of(body)
    chunks = []
    for entry in sorted(entries, key=lambda entry: entry.position):
        if entry.messages is None:
            raise ValueError("there are no message indexes")
        chunks.append(Located(first, entry.messages, entry))
        first += entry.messages
    times = (totals.start_ns, totals.end_ns)
    return Table(tuple(chunks), channels, totals.counts, *times, size, is_indexed=True)


@lru_cache(maxsize=4096)
def _described(body: bytes) -> tuple[int, Described]:
    """Decode a channel; every segment repeats its description."""
    record = mcap.channel_of(body)
    return record.id, described(record.topic, record.metadata)


def _from_walk(found: Walk) -> Table:
    channels = {
        number: described(record.topic, record.metadata)
        for number, record in found.channels.items()
    }
    chunks = tuple(found.located())
    start = min((chunk.entry.start_ns for chunk in chunks), default=0)
    end = max((chunk.entry.end_ns for chunk in chunks), default=0)
    return Table(chunks, channels, found.counts(), start, end, found.size, is_indexed=False)
