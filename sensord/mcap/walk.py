"""Find the whole chunks of a segment that has no footer, or whose summary is damaged.

Pure: bytes in, findings out. The walk jumps from record to record over their contents. At anything
that is not a record it looks for the next chunk by zstd's magic number: a frame whose own checksum
is right is a chunk, even if the numbers around it are damaged. At the end each chunk is
decompressed and compared with its surroundings: no index of an open segment has a checksum.

Source: docs/journal.md, Start-up.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import NamedTuple

from sensord.mcap import records as mcap
from sensord.mcap.channels import proof, unchecked
from sensord.mcap.chunk import ChunkCodec, columns_of
from sensord.mcap.records import HEADER, ChannelRecord, ChunkEntry, Opcode
from sensord.mcap.segment import METADATA, Located

__all__ = ["Found", "Walk", "walk"]

_DATA_END_BYTES = 4
_LARGEST_FACT_BYTES = 1 << 20
"""No record other than a chunk comes near; bounds what a damaged length makes us read."""
_LARGEST_CHUNK_BYTES = 32 << 20
_LARGEST_GAP = 1 << 24
"""More readings than damage can take from one segment; a chunk that seems further off is a relic
of another file in the same blocks of the disk."""
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_CHUNK_HEAD = struct.Struct("<BQQQQII4sQ")
"""The part of a chunk that sensord writes before the data."""
_INDEX_HEAD = struct.Struct("<BQHI")
_INDEX_START = struct.Struct("<BQHIQ")
"""An index with the time of its first entry."""
_TIME = struct.Struct("<Q")
_MAP_ENTRY = struct.Struct("<HQ")


class Found(NamedTuple):
    """A whole chunk; if it is sound, its header and indexes agree with it and may be copied."""

    located: Located
    counts: list[tuple[int, int]]
    """Messages of each channel; empty if the chunk is not sound."""

    @property
    def is_sound(self) -> bool:
        """Whether the chunk has indexes that agree with it."""
        return bool(self.counts)


class Walk(NamedTuple):
    """The content of a segment."""

    facts: dict[str, str]
    channels: dict[int, ChannelRecord]
    chunks: list[Found]
    sound_chunks: int
    """How many chunks precede the first damage."""
    sound_bytes: int
    """Where the first damage, or what is not data, begins."""
    size: int
    broken: frozenset[int] = frozenset()
    """The first offsets of chunks that are in place, but whose content is damaged."""
    numbers: frozenset[int] = frozenset()
    """The channels of the readings that are whole."""
    damaged_channels: tuple[int, ...] = ()
    """Where channel records are damaged."""

    @property
    def is_clean(self) -> bool:
        """Whether everything whole precedes the first damage."""
        return self.sound_chunks == len(self.chunks)

    def located(self) -> list[Located]:
        """Return the chunks."""
        return [found.located for found in self.chunks]

    @property
    def is_cut_behind_chunk(self) -> bool:
        """Whether the only damage may be that the last chunk's indexes were not all written."""
        return bool(self.chunks) and self.chunks[-1].located.entry.position == self.sound_bytes

    @property
    def readings(self) -> int:
        """How many readings are whole."""
        found = (found.located for found in self.chunks)
        return sum(located.count for located in found if located.first not in self.broken)

    def counts(self) -> Counter[int]:
        """Count the messages of each channel in the chunks before the first damage."""
        total: Counter[int] = Counter()
        for found in self.chunks[: self.sound_chunks]:
            for number, count in found.counts:
                total[number] += count
        return total


class _Indexes(NamedTuple):
    """The message indexes after a chunk."""

    end: int
    places: bytes
    start_ns: int
    end_ns: int
    counts: list[tuple[int, int]]


def walk(data: bytes, first: int, codec: ChunkCodec) -> Walk:
    """Find the whole chunks of a segment whose first offset is ``first``."""
    return _Walker(data, first, codec).run()


class _Walker:
    def __init__(self, data: bytes, first: int, codec: ChunkCodec) -> None:
        self._data = data
        self._size = len(data)
        self._next = first
        self._codec = codec
        self._facts: dict[str, str] = {}
        self._channels: dict[int, ChannelRecord] = {}
        self._chunks: list[Found] = []
        self._sound: tuple[int, int] | None = None
        self._is_counting = True
        """False after damage, where offsets are read from the chunks."""
        self._broken: set[int] = set()
        self._numbers: set[int] = set()
        self._damaged_channels: list[int] = []
        self._proven: set[int] = set()
        self._ambiguous: set[int] = set()
        """Channels that the file describes in two ways: one of them is damaged."""

    def run(self) -> Walk:
        at = len(mcap.MAGIC)
        if self._data[:at] != mcap.MAGIC:
            self._note_damage(0)
        while at < self._size:
            after = self._step(at)
            if after == at:
                break
            if after is None:
                self._note_damage(at)
                self._verify_last()
                after = self._resync(at)
                if after is None:
                    break
            at = after
        if self._chunks and self._chunks[-1].is_sound:
            self._verify_last()
        for i in range(len(self._chunks)):
            self._verify(i)
        chunks, size = self._sound or (len(self._chunks), min(at, self._size))
        return Walk(
            self._facts,
            self._channels,
            self._chunks,
            chunks,
            size,
            self._size,
            frozenset(self._broken),
            frozenset(self._numbers),
            tuple(self._damaged_channels),
        )

    def _note_damage(self, at: int) -> None:
        """Record the first damage; from here on offsets cannot be counted."""
        if self._sound is None or at < self._sound[1]:
            self._sound = (len(self._chunks), at)
        self._is_counting = False

    def _step(self, at: int) -> int | None:
        """Process a record; return where the next is, ``at`` at the data's end, None if invalid."""
        if at + HEADER.size > self._size:
            return None
        opcode, length = HEADER.unpack_from(self._data, at)
        after = at + HEADER.size + length
        if after > self._size:
            return None
        if opcode == Opcode.CHUNK:
            return self._chunk(at, after)
        if opcode == Opcode.DATA_END and length == _DATA_END_BYTES:
            return at
        if length > _LARGEST_FACT_BYTES:
            return None
        if opcode == Opcode.CHANNEL:
            return after if self._channel(at, self._data[at + HEADER.size : after]) else None
        return after if self._fact(opcode, self._data[at + HEADER.size : after]) else None

    def _fact(self, opcode: int, body: bytes) -> bool:
        """Process a record that is no chunk; False if its length is not that of its content."""
        try:
            match opcode:
                case Opcode.METADATA:
                    name, facts = mcap.metadata_of(body)
                    if name == METADATA:
                        self._facts = facts
                    return mcap.metadata(name, facts)[HEADER.size :] == body
                case Opcode.HEADER:
                    return mcap.text_of(body, mcap.text_of(body, 0)[1])[1] == len(body)
                case Opcode.SCHEMA:
                    at = mcap.text_of(body, mcap.text_of(body, 2)[1])[1]
                    return mcap.text_of(body, at)[1] == len(body)
        except ValueError:
            pass
        return False

    def _channel(self, at: int, body: bytes) -> bool:
        """Process a channel; False if its length is not that of its content."""
        try:
            record = mcap.channel_of(body)
        except ValueError:
            return False
        if mcap.channel(record)[HEADER.size :] != body:
            return False
        is_proven, bare = proof(record), unchecked(record)
        known = self._channels.get(bare.id, bare)
        if is_proven is False or known != bare or bare.id in self._ambiguous:
            # Another program that reads this file would trust it: it must be rewritten.
            self._note_damage(at)
            self._damaged_channels.append(at)
        if is_proven:
            self._channels[bare.id] = bare
            self._proven.add(bare.id)
        elif is_proven is None and bare.id not in self._proven:
            if known != bare:
                self._ambiguous.add(bare.id)
                del self._channels[bare.id]
            elif bare.id not in self._ambiguous:
                self._channels[bare.id] = bare
        return True

    def _chunk(self, at: int, after: int) -> int | None:
        if after - at < _CHUNK_HEAD.size:
            return None
        head = _CHUNK_HEAD.unpack_from(self._data, at)
        _, _, start, end, raw_size, _, _, compression, size = head
        if compression != b"zstd" or at + _CHUNK_HEAD.size + size != after:
            return None
        indexes = self._indexes(after)
        if indexes is None or (indexes.start_ns, indexes.end_ns) != (start, end):
            # Header and indexes contradict each other, or something else follows: look inside.
            return None
        length, index_length = after - at, indexes.end - after
        entry = ChunkEntry(
            start, end, at, length, indexes.places, index_length, "zstd", size, raw_size
        )
        first = self._next if self._is_counting else self._first_offset(entry)
        if first is None:
            return None
        count = sum([count for _, count in indexes.counts])
        self._add(Found(Located(first, count, entry), indexes.counts))
        self._is_counting = True
        return indexes.end

    def _first_offset(self, entry: ChunkEntry) -> int | None:
        try:
            return self._offset_of(columns_of(self._content(entry)).sequences[0])
        except (ValueError, IndexError):
            return None

    def _content(self, entry: ChunkEntry) -> bytes:
        record = self._data[entry.position : entry.position + entry.length]
        return self._codec.decode(entry, record)

    def _offset_of(self, sequence: int) -> int:
        """Raises: ValueError: What came before cannot be this far back; another file wrote it."""
        skipped = (sequence - self._next) % (1 << 32)
        if skipped > _LARGEST_GAP:
            raise ValueError("the chunk is not of this segment")
        return self._next + skipped

    def _add(self, found: Found) -> None:
        self._chunks.append(found)
        self._next = found.located.end

    def _indexes(self, at: int) -> _Indexes | None:
        """Read the message indexes at ``at``; return None if one is damaged or missing."""
        data, size = self._data, self._size
        places, counts = [], []
        start, end = 1 << 64, 0
        unpack, last_time = _INDEX_START.unpack_from, _TIME.unpack_from
        # One step for each channel of each chunk: 50,000 in a segment of 64 MiB.
        while at + _INDEX_START.size <= size and data[at] == Opcode.MESSAGE_INDEX:
            _, length, number, entries, first_ns = unpack(data, at)
            after = at + HEADER.size + length
            if length != 6 + entries or entries % 16 or not entries or after > size:
                return None
            start = min(start, first_ns)
            (last_ns,) = last_time(data, after - 16)
            end = max(end, last_ns)
            places.append(_MAP_ENTRY.pack(number, at))
            counts.append((number, entries // 16))
            at = after
        return _Indexes(at, b"".join(places), start, end, counts) if places else None

    def _resync(self, at: int) -> int | None:
        """Find the next chunk by its content; return the position after it, or None."""
        while (at := self._data.find(_ZSTD_MAGIC, at)) >= 0:
            found = self._codec.find_frame(self._data[at : at + _LARGEST_CHUNK_BYTES])
            if found is not None and self._rescue(at, *found):
                return self._behind_indexes(at + found[1])
            at += 1
        return None

    def _rescue(self, place: int, raw: bytes, size: int) -> bool:
        """Accept a chunk whose content is whole, though what surrounds it is not."""
        try:
            columns = columns_of(raw)
            first = self._offset_of(columns.sequences[0])
        except (ValueError, IndexError):
            return False
        position = place - _CHUNK_HEAD.size
        start, end = min(columns.log_ns), max(columns.log_ns)
        length = _CHUNK_HEAD.size + size
        entry = ChunkEntry(start, end, position, length, b"", 0, "zstd", size, len(raw))
        self._add(Found(Located(first, len(columns.texts), entry), []))
        self._numbers.update(columns.channels)
        return True

    def _behind_indexes(self, at: int) -> int:
        """Skip the indexes of a chunk whose indexes are rebuilt."""
        while at + _INDEX_HEAD.size <= self._size and self._data[at] == Opcode.MESSAGE_INDEX:
            _, length, _, entries = _INDEX_HEAD.unpack_from(self._data, at)
            after = at + HEADER.size + int(length)
            if length != 6 + entries or after > self._size:
                break
            at = after
        return at

    def _verify(self, i: int) -> None:
        """Compare a chunk with its indexes; mark those that differ to be rebuilt."""
        found = self._chunks[i]
        if not found.is_sound:
            return
        located = found.located
        try:
            columns = columns_of(self._content(located.entry))
        except ValueError:
            self._broken.add(located.first)
            return
        counts, sequences = Counter(columns.channels), columns.sequences
        self._numbers.update(counts)
        if not sequences or sequences[0] != located.first % (1 << 32):
            self._broken.add(located.first)
        elif counts != Counter(dict(found.counts)):
            bare = located.entry._replace(places=b"", index_length=0)
            count = len(sequences)
            self._chunks[i] = Found(Located(located.first, count, bare), [])
            if self._sound is None or located.entry.position < self._sound[1]:
                self._sound = (i, located.entry.position)

    def _verify_last(self) -> None:
        """Check the last chunk: drop it if it is incomplete, and record whether it is sound.

        It may have been cut off while it was written, and what follows it may be a damaged index of
        its own.
        """
        if not self._chunks or not self._chunks[-1].is_sound:
            return
        found = self._chunks.pop()
        entry = found.located.entry
        count = 0
        try:
            columns = columns_of(self._content(entry))
            if columns.sequences[0] == found.located.first % (1 << 32):
                count = len(columns.texts)
        except (ValueError, IndexError):
            pass
        if not count:
            self._next = found.located.first
            self._note_damage(entry.position)
        elif count == found.located.count:
            self._chunks.append(found)
        else:
            self._note_damage(entry.position)
            bare = entry._replace(places=b"", index_length=0)
            self._add(Found(Located(found.located.first, count, bare), []))
