"""Blocks of readings as MCAP chunks, and chunks as columns again.

Pure. This is where the time goes, so nothing here loops over readings in Python: columns run
through C functions. Encoding costs about 0.8 µs a reading, decoding to columns 0.5.

Theory of decoding: messages differ in length, so walking from one to the next costs 0.3 µs each.
But JSON holds no control characters, and nearly every payload begins with ``{"value":``; so one
`bytes.split` at that text parts the chunk into pieces that each end with the 31 bytes of the next
message's header. The headers joined are a table with rows of 31 bytes, from which a slice with
stride 31 takes one byte of a column. The lengths in the headers then prove or refute that the
pieces are the messages; a chunk that refutes it (the text may stand inside a value) is walked.

Source: docs/journal.md, Segments.
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from operator import call
from typing import NamedTuple

import zstandard

from sensord.mcap import records as mcap
from sensord.mcap.block import Block, is_rising
from sensord.mcap.compression import lz4_content, missing
from sensord.mcap.message import FIELDS_BYTES, MESSAGE, SEQUENCES, pack_messages
from sensord.mcap.payload import VALUE, Parsed, parse_inner, parse_payloads
from sensord.mcap.records import HEADER, ChunkEntry, Opcode

__all__ = ["ChunkCodec", "Columns", "EncodedChunk", "columns_of", "index_at", "pick_messages"]

"""Bytes of a message's fields, which its length counts in addition to the payload."""
_INDEX_HEAD = struct.Struct("<BQHI")
_INDEX_MAP = struct.Struct("<HQ")
_ROW = 1 + MESSAGE.size
_LEVEL = 3
"""zstd's level: 5 % smaller than level 1 for 0.05 µs a reading; higher ones gain nothing."""
_CRC_AT = HEADER.size + 24
"""The position of the content's CRC in a chunk's record."""
_MAX_RAW_BYTES = 1 << 28
"""No chunk of any sane writer is larger; bounds what a damaged size can make us allocate."""


class EncodedChunk(NamedTuple):
    """A chunk's record with its message indexes, ready for any place in a file."""

    record: bytes
    indexes: bytes
    entry: ChunkEntry
    """Positions are relative to the record."""
    first: int
    counts: dict[int, int]
    """Messages of each channel."""

    def entry_at(self, position: int) -> ChunkEntry:
        """Return the entry for the record standing at ``position``."""
        moved = [
            (number, at + position) for number, at in _INDEX_MAP.iter_unpack(self.entry.places)
        ]
        places = b"".join([_INDEX_MAP.pack(*pair) for pair in moved])
        return self.entry._replace(position=position, places=places)


class Columns(NamedTuple):
    """The messages of a chunk: header fields, and texts between the parts of a payload."""

    channels: Sequence[int]
    sequences: Sequence[int]
    log_ns: Sequence[int]
    publish_ns: Sequence[int]
    texts: Sequence[bytes]
    is_inner: bool
    """True if ``texts`` are inner texts, False if whole payloads."""

    def parse(self) -> Parsed:
        """Decode the values.

        Raises:
            ValueError: A payload is not JSON.
        """
        return parse_inner(self.texts) if self.is_inner else parse_payloads(self.texts)


class ChunkCodec:
    """Compresses and decompresses chunks; one a thread, as zstd's contexts are not shared."""

    def __init__(self) -> None:
        # zstd's checksum is independent of the CRC in the chunk's header: if they disagree, the
        # flipped bit is in the header and the content is good. The parameters for the usual size
        # are used for every size: beyond 256 KiB zstd would change to tables that do 4 % worse with
        # messages.
        tuned = zstandard.ZstdCompressionParameters.from_level(
            _LEVEL, source_size=256 << 10, write_checksum=True
        )
        self._compressor = zstandard.ZstdCompressor(compression_params=tuned)
        self._decompressor = zstandard.ZstdDecompressor()

    def encode(self, blocks: Sequence[Block]) -> EncodedChunk:
        """Encode blocks as one chunk; their offsets rise."""
        count = sum([block.count for block in blocks])
        first, end = blocks[0].first, blocks[-1].end
        low = first % SEQUENCES
        sequences: Sequence[int] = range(low, low + count)
        if end - first != count or low + count > SEQUENCES:
            sequences = [i % SEQUENCES for block in blocks for i in range(block.first, block.end)]
        ids = list(chain.from_iterable([block.ids for block in blocks]))
        log_ns = [t * 1000 for block in blocks for t in block.log_us]
        publish_ns = [t * 1000 for block in blocks for t in block.time_us]
        texts = b"\n".join([block.texts for block in blocks])
        payloads = (VALUE + texts.replace(b"\n", b"}\n" + VALUE) + b"}").split(b"\n")
        raw = pack_messages(ids, sequences, log_ns, publish_ns, payloads)
        positions = accumulate([len(payload) + MESSAGE.size for payload in payloads], initial=0)
        span = (log_ns[0], log_ns[-1]) if is_rising(log_ns) else (min(log_ns), max(log_ns))
        return self._seal(raw, first, _index(ids, log_ns, positions), span)

    def reseal(self, raw: bytes, first: int) -> EncodedChunk:
        """Encode messages that are whole, but whose chunk header or indexes are not."""
        columns = columns_of(raw)
        lengths = [message[2] - message[1] + HEADER.size for message in mcap.records(raw)]
        positions = accumulate(lengths, initial=0)
        index = _index(columns.channels, columns.log_ns, positions)
        return self._seal(raw, first, index, (min(columns.log_ns), max(columns.log_ns)))

    def _seal(
        self, raw: bytes, first: int, index: dict[int, list[int]], span: tuple[int, int]
    ) -> EncodedChunk:
        data = self._compressor.compress(raw)
        start, end = span
        head = mcap.chunk_head(start, end, raw, "zstd", len(data))
        length = len(head) + len(data)
        indexes = [_index_record(number, entries) for number, entries in index.items()]
        places = accumulate(map(len, indexes), initial=length)
        # zip ends with the shorter one: the last place is the end of the last index.
        moved = b"".join([_INDEX_MAP.pack(*pair) for pair in zip(index, places, strict=False)])
        joined = b"".join(indexes)
        entry = ChunkEntry(start, end, 0, length, moved, len(joined), "zstd", len(data), len(raw))
        counts = {number: len(entries) // 2 for number, entries in index.items()}
        return EncodedChunk(head + data, joined, entry, first, counts)

    def decode(self, entry: ChunkEntry, record: bytes) -> bytes:
        """Return the messages of a chunk, given its whole record.

        Raises:
            ValueError: It is damaged, or of a compression that sensord does not read.
        """
        data = record[entry.length - entry.compressed_size : entry.length]
        if len(data) != entry.compressed_size or len(record) < _CRC_AT + 4:
            raise ValueError("the chunk is cut off")
        if entry.compression == "zstd":
            raw, is_proven = self.decompress(data, entry.raw_size)
        elif not entry.compression:
            raw, is_proven = data, False
        elif entry.compression == "lz4":
            if entry.raw_size > _MAX_RAW_BYTES:
                raise ValueError("the size is absurd")
            raw, is_proven = lz4_content(data, entry.raw_size), False
        else:
            raise ValueError(missing(entry.compression))
        (crc,) = struct.unpack_from("<I", record, _CRC_AT)
        if not is_proven and crc and zlib.crc32(raw) != crc:
            raise ValueError("the checksum is wrong")
        return raw

    def decompress(self, data: bytes, size: int) -> tuple[bytes, bool]:
        """Decompress one zstd frame; also return whether its own checksum has proven it.

        ``size`` counts if the frame does not say how large it becomes.

        Raises:
            ValueError: It is damaged.
        """
        try:
            frame = zstandard.get_frame_parameters(data)
            known = frame.content_size not in {-1, zstandard.CONTENTSIZE_UNKNOWN}
            if max(frame.content_size if known else 0, size) > _MAX_RAW_BYTES:
                raise ValueError("the size is absurd")
            raw = self._decompressor.decompress(data, size, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise ValueError(f"zstd: {error}") from error
        return raw, frame.has_checksum

    def find_frame(self, data: bytes) -> tuple[bytes, int] | None:
        """Decompress the zstd frame that ``data`` begins with, wherever it ends.

        Return its content and its length, or None if it is incomplete. A zstd frame contains its
        own end, so no data around it is needed.
        """
        frame = self._decompressor.decompressobj()
        try:
            head = zstandard.get_frame_parameters(data)
            if not head.has_checksum or not 0 < head.content_size <= _MAX_RAW_BYTES:
                return None
            raw = frame.decompress(data)
        except zstandard.ZstdError:
            return None
        return (raw, len(data) - len(frame.unused_data)) if frame.eof else None


def _index(
    ids: Sequence[int], log_ns: Sequence[int], positions: Iterator[int]
) -> dict[int, list[int]]:
    index: dict[int, list[int]] = {number: [] for number in dict.fromkeys(ids)}
    extend = {number: entries.extend for number, entries in index.items()}
    pairs = zip(log_ns, positions, strict=False)  # one position more: where the next would be
    deque(map(call, map(extend.__getitem__, ids), pairs), 0)
    return index


def _index_record(number: int, entries: list[int]) -> bytes:
    size = 8 * len(entries)
    return _INDEX_HEAD.pack(Opcode.MESSAGE_INDEX, 6 + size, number, size) + _packed(entries)


def _packed(numbers: list[int]) -> bytes:
    column = array("Q", numbers)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def columns_of(raw: bytes) -> Columns:
    """Split the messages of a chunk into columns.

    Raises:
        ValueError: These are not MCAP records.
    """
    pieces = raw.split(VALUE)
    if len(pieces) > 1:
        # Each row is the brace that closed the payload before, and a message's header.
        table = b"".join([b"}", pieces[0], *[piece[-_ROW:] for piece in pieces[1:-1]]])
        # A piece is a text, its brace and the next header: by chance as long as the message's
        # fields and payload, which is what the length in the message's own header counts.
        spans = array("Q", map(len, pieces[1:]))
        spans[-1] += _ROW - 1
        count = len(spans)
        if (
            len(table) == count * _ROW
            and table[0::_ROW].count(b"}") == count
            and table[1::_ROW].count(Opcode.MESSAGE) == count
            and _column(table, 2, 8) == spans
            and pieces[-1].endswith(b"}")
        ):
            texts = [piece[:-_ROW] for piece in pieces[1:-1]]
            texts.append(pieces[-1][:-1])
            return Columns(
                channels=_column(table, 10, 2),
                sequences=_column(table, 12, 4),
                log_ns=_column(table, 16, 8),
                publish_ns=_column(table, 24, 8),
                texts=texts,
                is_inner=True,
            )
    return _walk(raw)


def _column(table: bytes, at: int, size: int) -> array[int]:
    """Extract a field of ``size`` bytes from each row."""
    data = bytearray(len(table) // _ROW * size)
    for i in range(size):
        data[i::size] = table[at + i :: _ROW]
    column = array({2: "H", 4: "I", 8: "Q"}[size])
    column.frombytes(data)
    if sys.byteorder == "big":
        column.byteswap()
    return column


def _walk(raw: bytes) -> Columns:
    rows, payloads, end = [], [], 0
    for opcode, at, end in mcap.records(raw):
        if opcode == Opcode.MESSAGE and end - at >= FIELDS_BYTES:
            rows.append(MESSAGE.unpack_from(raw, at - HEADER.size))
            payloads.append(raw[at + FIELDS_BYTES : end])
    if end != len(raw):
        raise ValueError("the chunk holds something that is no record")
    columns = list(zip(*rows, strict=True)) if rows else [()] * 6
    return Columns(columns[2], columns[3], columns[4], columns[5], payloads, is_inner=False)


def index_at(block: bytes, at: int, number: int) -> list[tuple[int, int]]:
    """Decode the message index of a channel: time and position of each of its messages.

    ``block`` holds all indexes of a chunk, this one at position ``at``.

    Raises:
        ValueError: It is damaged, as far as that shows.
    """
    try:
        opcode, length, of_channel, size = _INDEX_HEAD.unpack_from(block, at)
    except struct.error as error:
        raise ValueError("the message index is cut off") from error
    begin = at + _INDEX_HEAD.size
    if (opcode, of_channel) != (Opcode.MESSAGE_INDEX, number) or length != size + 6 or size % 16:
        raise ValueError("the message index is damaged")
    if begin + size > len(block):
        raise ValueError("the message index is cut off")
    return list(struct.iter_unpack("<QQ", block[begin : begin + size]))


def pick_messages(raw: bytes, wanted: Sequence[tuple[int, int, int]]) -> Columns:
    """Extract single messages from a chunk: ``wanted`` has channel, log time, position of each.

    Raises:
        ValueError: An index entry does not lead to its message. Each is checked against channel
            and time, and positions must rise, so a flipped bit cannot lead to another message.
    """
    rows, payloads, before = [], [], -1
    limit = len(raw) - MESSAGE.size
    for number, log_ns, at in wanted:
        if not before < at <= limit:
            raise ValueError("the message index is damaged")
        row = MESSAGE.unpack_from(raw, at)
        end = at + HEADER.size + row[1]
        if row[0] != Opcode.MESSAGE or row[2] != number or row[4] != log_ns or end > len(raw):
            raise ValueError("the message index is damaged")
        rows.append(row)
        payloads.append(raw[at + MESSAGE.size : end])
        before = at
    columns = list(zip(*rows, strict=True))
    if all(payload.startswith(VALUE) and payload.endswith(b"}") for payload in payloads):
        texts = [payload[len(VALUE) : -1] for payload in payloads]
        return Columns(columns[2], columns[3], columns[4], columns[5], texts, is_inner=True)
    return Columns(columns[2], columns[3], columns[4], columns[5], payloads, is_inner=False)
