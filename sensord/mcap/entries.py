"""The records of an MCAP file one after the other, without its index or footer."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from sensord.mcap import records as mcap
from sensord.mcap.chunk import ChunkCodec
from sensord.mcap.records import HEADER, MAGIC, ChunkEntry, Opcode

__all__ = ["INDEX", "MESSAGE", "Entry", "chunk_at", "content", "entries", "part", "raw_of"]

MESSAGE = struct.Struct("<HIQQ")
"""Channel, sequence, log time and publish time, before the payload."""
INDEX = struct.Struct("<HI")
"""Channel and size of a message index, before its entries."""
_CHUNK = struct.Struct("<QQQI")
_SMALLEST = {Opcode.MESSAGE: MESSAGE.size, Opcode.MESSAGE_INDEX: INDEX.size}
"""Anything shorter is not a record, and nothing after it can be found."""
_LARGEST_RECORD_BYTES = 1 << 30
"""Bounds what a damaged length makes us read; jumping over a record needs no such bound."""


class Entry(NamedTuple):
    """A record in the file."""

    opcode: int
    at: int
    """Where its content begins."""
    length: int


def entries(file: BinaryIO, at: int = len(MAGIC)) -> Iterator[Entry]:
    """Yield the whole records from a position on, jumping over their contents."""
    size = file.seek(0, 2)
    while at + HEADER.size <= size:
        file.seek(at)
        opcode, length = HEADER.unpack(file.read(HEADER.size))
        at += HEADER.size
        if at + length > size or length < _SMALLEST.get(opcode, 0):
            return
        yield Entry(opcode, at, length)
        if opcode == Opcode.FOOTER:
            return
        at += length


def part(file: BinaryIO, entry: Entry, size: int) -> bytes:
    """Read the beginning of a record's content."""
    file.seek(entry.at)
    return file.read(size)


def content(file: BinaryIO, entry: Entry) -> bytes:
    """Read a record's content."""
    return part(file, entry, min(entry.length, _LARGEST_RECORD_BYTES))


def chunk_at(file: BinaryIO, entry: Entry) -> ChunkEntry:
    """Read the part of a chunk's record before its data.

    Raises:
        ValueError: It is damaged.
    """
    head = part(file, entry, min(entry.length, _CHUNK.size + 64))
    try:
        start, end, raw_size, _ = _CHUNK.unpack_from(head)
        compression, at = mcap.text_of(head, _CHUNK.size)
        (size,) = struct.unpack_from("<Q", head, at)
    except (struct.error, ValueError) as error:
        raise ValueError(f"its chunk at byte {entry.at} is damaged: {error}") from error
    length = HEADER.size + entry.length
    position = entry.at - HEADER.size
    return ChunkEntry(start, end, position, length, b"", 0, compression, size, raw_size)


def raw_of(file: BinaryIO, chunk: ChunkEntry, codec: ChunkCodec) -> bytes:
    """Return the records of a chunk.

    Raises:
        ValueError: It is damaged, or its compression is not known.
    """
    if chunk.length > _LARGEST_RECORD_BYTES:
        raise ValueError("its size is absurd")
    file.seek(chunk.position)
    return codec.decode(chunk, file.read(chunk.length))
