"""MCAP records, encoded and decoded one by one: no file, no knowledge of readings.

Shape: a file is magic, records, magic; a record is an opcode byte, an eight byte length and that
many bytes; numbers are little-endian, texts and maps have four byte lengths, times are nanoseconds.
Source: the MCAP format specification, version 0 (mcap.dev/spec).
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

__all__ = [
    "FOOTER_BYTES",
    "HEADER",
    "MAGIC",
    "ChannelRecord",
    "ChunkEntry",
    "Opcode",
    "Totals",
    "channel",
    "channel_of",
    "chunk_head",
    "chunk_index",
    "chunk_index_of",
    "data_end",
    "footer",
    "footer_of",
    "header",
    "map_of",
    "metadata",
    "metadata_index",
    "metadata_of",
    "records",
    "schema",
    "statistics",
    "statistics_of",
    "summary_offset",
    "text_of",
]

MAGIC = b"\x89MCAP0\r\n"
HEADER = struct.Struct("<BQ")
"""Opcode and length, before every record."""
FOOTER_BYTES = HEADER.size + 20 + len(MAGIC)
"""The end of a file: the footer's record and the magic."""

_IDS = struct.Struct("<HH")
_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_CHUNK = struct.Struct("<QQQI")
_CHUNK_INDEX = struct.Struct("<QQQQI")
_FOOTER = struct.Struct("<QQI")
_STATISTICS = struct.Struct("<QHIIIIQQI")
_COUNTS = struct.Struct("<HQ")


class Opcode(enum.IntEnum):
    """The type of a record."""

    HEADER = 1
    FOOTER = 2
    SCHEMA = 3
    CHANNEL = 4
    MESSAGE = 5
    CHUNK = 6
    MESSAGE_INDEX = 7
    CHUNK_INDEX = 8
    STATISTICS = 11
    METADATA = 12
    METADATA_INDEX = 13
    SUMMARY_OFFSET = 14
    DATA_END = 15


class ChannelRecord(NamedTuple):
    """A channel in a file."""

    id: int
    schema_id: int
    topic: str
    encoding: str
    metadata: dict[str, str]


class ChunkEntry(NamedTuple):
    """Where a chunk is and what is in it: the content of its chunk index.

    ``places`` is the chunk index's map as bytes: for each channel two bytes of id and eight of
    where its message index is in the file. A file has thousands of those and few are looked up.
    """

    start_ns: int
    end_ns: int
    position: int
    length: int
    places: bytes
    index_length: int
    compression: str
    compressed_size: int
    raw_size: int

    @property
    def messages(self) -> int | None:
        """Return the number of messages, from the length of its message indexes, if it has any."""
        if not self.places:
            return None
        heads = 15 * (len(self.places) // _COUNTS.size)
        return (self.index_length - heads) // 16

    def channels(self) -> Iterator[tuple[int, int]]:
        """Yield each channel with the position of its message index."""
        return _COUNTS.iter_unpack(self.places)


class Totals(NamedTuple):
    """The fields of a statistics record that sensord uses."""

    messages: int
    start_ns: int
    end_ns: int
    counts: dict[int, int]


def _record(opcode: Opcode, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return HEADER.pack(opcode, len(body)) + body


def _text(text: str) -> bytes:
    data = text.encode()
    return _U32.pack(len(data)) + data


def _map(entries: Mapping[str, str]) -> bytes:
    body = b"".join([_text(key) + _text(value) for key, value in entries.items()])
    return _U32.pack(len(body)) + body


def header(library: str) -> bytes:
    """Encode the header, which follows the magic."""
    return _record(Opcode.HEADER, _text(""), _text(library))


def metadata(name: str, entries: Mapping[str, str]) -> bytes:
    """Encode named facts about the file."""
    return _record(Opcode.METADATA, _text(name), _map(entries))


def schema(number: int, name: str, encoding: str, data: bytes) -> bytes:
    """Encode a description of payloads."""
    parts = (_U16.pack(number), _text(name), _text(encoding), _U32.pack(len(data)), data)
    return _record(Opcode.SCHEMA, *parts)


def channel(found: ChannelRecord) -> bytes:
    """Encode a channel."""
    numbers = _IDS.pack(found.id, found.schema_id)
    texts = (_text(found.topic), _text(found.encoding), _map(found.metadata))
    return _record(Opcode.CHANNEL, numbers, *texts)


def chunk_head(
    start_ns: int, end_ns: int, raw: bytes, compression: str, compressed_size: int
) -> bytes:
    """Encode the part of a chunk's record before its compressed data."""
    fields = _CHUNK.pack(start_ns, end_ns, len(raw), zlib.crc32(raw)) + _text(compression)
    length = len(fields) + _U64.size + compressed_size
    return HEADER.pack(Opcode.CHUNK, length) + fields + _U64.pack(compressed_size)


def data_end() -> bytes:
    """Encode the end of the data section; its CRC is not computed."""
    return _record(Opcode.DATA_END, _U32.pack(0))


def chunk_index(entry: ChunkEntry) -> bytes:
    """Encode the place of a chunk."""
    fields = _CHUNK_INDEX.pack(*entry[:4], len(entry.places))
    sizes = struct.pack("<QQ", entry.compressed_size, entry.raw_size)
    indexed = (entry.places, _U64.pack(entry.index_length))
    return _record(Opcode.CHUNK_INDEX, fields, *indexed, _text(entry.compression), sizes)


def metadata_index(position: int, length: int, name: str) -> bytes:
    """Encode the place of a metadata record."""
    return _record(Opcode.METADATA_INDEX, struct.pack("<QQ", position, length), _text(name))


def statistics(totals: Totals, *, schemas: int, channels: int, metadata: int, chunks: int) -> bytes:
    """Encode the counts of what is in the file."""
    counts = b"".join([_COUNTS.pack(*entry) for entry in sorted(totals.counts.items())])
    numbers = (schemas, channels, 0, metadata, chunks, totals.start_ns, totals.end_ns)
    fields = _STATISTICS.pack(totals.messages, *numbers, len(counts))
    return _record(Opcode.STATISTICS, fields, counts)


def summary_offset(opcode: Opcode, position: int, length: int) -> bytes:
    """Encode the place of a group of the summary."""
    return _record(Opcode.SUMMARY_OFFSET, struct.pack("<BQQ", opcode, position, length))


def footer(summary: bytes, summary_start: int, offsets_start: int) -> bytes:
    """Encode the footer and the magic that end a file whose summary is ``summary``."""
    start = HEADER.pack(Opcode.FOOTER, 20) + struct.pack("<QQ", summary_start, offsets_start)
    return start + _U32.pack(zlib.crc32(start, zlib.crc32(summary))) + MAGIC


def footer_of(data: bytes) -> tuple[int, int] | None:
    """Decode the last `FOOTER_BYTES` of a file: where its summary starts, and the CRC.

    None if this is no footer.
    """
    if data[:9] != HEADER.pack(Opcode.FOOTER, 20) or data[-8:] != MAGIC:
        return None
    start, _, crc = _FOOTER.unpack_from(data, HEADER.size)
    return start, crc


def records(data: bytes, at: int = 0) -> Iterator[tuple[int, int, int]]:
    """Yield opcode, start and end of the content of each whole record in ``data``."""
    end = len(data)
    while at + HEADER.size <= end:
        opcode, length = HEADER.unpack_from(data, at)
        at += HEADER.size
        if at + length > end:
            return
        yield opcode, at, at + length
        at += length


def text_of(data: bytes, at: int) -> tuple[str, int]:
    """Decode a text and return it with the position after it.

    Raises:
        ValueError: It is cut off or no UTF-8.
    """
    if at + 4 > len(data):
        raise ValueError("cut off")
    end = at + 4 + _U32.unpack_from(data, at)[0]
    if end > len(data):
        raise ValueError("cut off")
    return str(data[at + 4 : end], "utf-8"), end


def map_of(data: bytes, at: int) -> tuple[dict[str, str], int]:
    """Decode a map of texts and return it with the position after it.

    Raises:
        ValueError: It is cut off or no UTF-8.
    """
    if at + 4 > len(data):
        raise ValueError("cut off")
    end = at + 4 + _U32.unpack_from(data, at)[0]
    at, found = at + 4, {}
    while at < end:
        key, at = text_of(data, at)
        found[key], at = text_of(data, at)
    return found, at


def channel_of(body: bytes) -> ChannelRecord:
    """Decode a channel.

    Raises:
        ValueError: The record is not one.
    """
    if len(body) < _IDS.size:
        raise ValueError("cut off")
    number, schema_id = _IDS.unpack_from(body)
    topic, at = text_of(body, _IDS.size)
    encoding, at = text_of(body, at)
    return ChannelRecord(number, schema_id, topic, encoding, map_of(body, at)[0])


def metadata_of(body: bytes) -> tuple[str, dict[str, str]]:
    """Decode named facts.

    Raises:
        ValueError: The record holds none.
    """
    name, at = text_of(body, 0)
    return name, map_of(body, at)[0]


def chunk_index_of(body: bytes) -> ChunkEntry:
    """Decode the place of a chunk.

    Raises:
        ValueError, struct.error: The record is invalid.
    """
    *times, size = _CHUNK_INDEX.unpack_from(body)
    at = _CHUNK_INDEX.size + size
    places = body[_CHUNK_INDEX.size : at]
    (index_length,) = _U64.unpack_from(body, at)
    compression, at = text_of(body, at + 8)
    compressed_size, raw_size = struct.unpack_from("<QQ", body, at)
    start, end, position, length = times
    return ChunkEntry(
        start, end, position, length, places, index_length, compression, compressed_size, raw_size
    )


def statistics_of(body: bytes) -> Totals:
    """Decode the counts of what is in a file.

    Raises:
        struct.error: The record is invalid.
    """
    messages, _, _, _, _, _, start, end, size = _STATISTICS.unpack_from(body)
    at = _STATISTICS.size
    counts = dict(_COUNTS.iter_unpack(body[at : at + size]))
    return Totals(messages, start, end, counts)
