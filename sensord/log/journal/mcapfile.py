"""Read one MCAP file: a recording, a segment, or what another program wrote with JSON payloads.

Payloads that are objects with a ``value`` are readings as sensord writes them; any other JSON is a
value itself. Channels of other encodings are passed over.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sensord.errors import JournalError
from sensord.log.journal import mcap
from sensord.log.journal.batch import Batch, Rows
from sensord.log.journal.channels import Described, described
from sensord.log.journal.chunk import ChunkCodec, columns_of
from sensord.log.journal.fetch import ChannelFor, own_channels
from sensord.log.journal.mcap import HEADER, ChunkEntry, Opcode
from sensord.log.journal.registry import Hole
from sensord.log.journal.segment import METADATA
from sensord.log.journal.table import read_at, read_summary
from sensord.log.journal.walk import walk
from sensord.model import Channel
from sensord.topics import matches

__all__ = ["McapFile"]


class _Content(NamedTuple):
    """What a file says of itself."""

    entries: Sequence[ChunkEntry]
    loose: bytes
    """Messages that stand in no chunk."""
    channels: Mapping[int, Described]
    facts: Mapping[str, str]
    findings: Sequence[str]


class McapFile:
    """One file. It is opened for each scan and closed behind it."""

    def __init__(self, path: Path, channel_for: ChannelFor | None = None) -> None:
        """Look at the file.

        Raises:
            JournalError: It cannot be read, or is no MCAP file.
        """
        self.path = path
        self._codec = ChunkCodec()
        self._channel_for = channel_for or own_channels()
        self._channels: dict[Described, Channel] = {}
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._content = _look(descriptor, self._codec)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise JournalError(f"cannot read {path}: {error.strerror}") from error
        except ValueError as error:
            raise JournalError(f"cannot read {path}: {error}") from error

    @property
    def findings(self) -> Sequence[str]:
        """What is wrong with the file, as sentences."""
        return self._content.findings

    @property
    def epoch(self) -> str:
        """The epoch of the log that the offsets are of, empty if the file does not say."""
        return self._content.facts.get("epoch", "")

    @property
    def channels(self) -> Sequence[Described]:
        """The topics in the file and what is known of them."""
        return tuple(self._content.channels.values())

    def scan(
        self,
        *,
        since_us: int | None = None,
        until_us: int | None = None,
        topics: Sequence[str] | None = None,
    ) -> Iterator[Batch | Hole]:
        """Read the readings in the file's order, a chunk at a time; damaged chunks are holes.

        Offsets are those of the log if sensord wrote the file, else they count from 0.

        Raises:
            JournalError: The disk fails.
        """
        content, position = self._content, int(self._content.facts.get("first_offset", "0"))
        numbers = {
            number
            for number, found in content.channels.items()
            if topics is None or any(matches(pattern, found.topic) for pattern in topics)
        }
        channels = _Channels(self, content.channels)
        since_ns = None if since_us is None else since_us * 1000
        until_ns = None if until_us is None else until_us * 1000
        for part in self._parts():
            if isinstance(part, Hole):
                yield Hole(position, part.count, part.reason)
                position += part.count
                continue
            rows = _rows(part, position, is_ours=bool(content.facts))
            if not len(rows):
                continue
            position = rows.offsets[-1] + 1
            if topics is not None or not numbers >= set(rows.numbers):
                rows = rows.of_channels(numbers)
            rows = rows.within(since_ns, until_ns)
            try:
                if len(rows):
                    yield rows.parse(position, channels)
            except ValueError as error:
                yield Hole(rows.offsets[0], len(rows), f"a payload is not JSON: {error}")

    def described(self, number: int) -> Described:
        """Say what a channel's number means in this file."""
        return self._content.channels[number]

    def _parts(self) -> Iterator[bytes | Hole]:
        """Yield the messages of each chunk, then those in none."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise JournalError(f"cannot read {self.path}: {error.strerror}") from error
        try:
            for entry in self._content.entries:
                try:
                    record = read_at(descriptor, entry.length, entry.position)
                    yield self._codec.decode(entry, record)
                except ValueError as error:
                    yield Hole(0, entry.messages or 0, f"a damaged chunk: {error}")
                except OSError as error:
                    raise JournalError(f"cannot read {self.path}: {error.strerror}") from error
        finally:
            os.close(descriptor)
        yield self._content.loose

    def channel(self, found: Described) -> Channel:
        """Return the channel object for what the file says of a channel."""
        channel = self._channels.get(found)
        if channel is None:
            channel = self._channels[found] = self._channel_for(*found)
        return channel


class _Channels(dict[int, Channel]):
    def __init__(self, file: McapFile, known: Mapping[int, Described]) -> None:
        super().__init__()
        self._file = file
        self._known = known

    def __missing__(self, number: int) -> Channel:
        channel = self[number] = self._file.channel(self._known[number])
        return channel


def _rows(raw: bytes, position: int, *, is_ours: bool) -> Rows:
    columns = columns_of(raw)
    count = len(columns.texts)
    if not is_ours:
        return Rows(range(position, position + count), columns)
    offsets = []
    for sequence in columns.sequences:
        position += (sequence - position) % (1 << 32)
        offsets.append(position)
    return Rows(offsets, columns)


def _look(descriptor: int, codec: ChunkCodec) -> _Content:
    size = os.fstat(descriptor).st_size
    if read_at(descriptor, len(mcap.MAGIC), 0) != mcap.MAGIC:
        raise ValueError("it is no MCAP file")
    facts = _facts(descriptor)
    summary = read_summary(descriptor, size)
    if summary is not None:
        channels: dict[int, Described] = {}
        entries = []
        for opcode, start, end in mcap.records(summary):
            body = summary[start:end]
            if opcode == Opcode.CHANNEL:
                _add_channel(channels, body)
            elif opcode == Opcode.CHUNK_INDEX:
                entries.append(mcap.chunk_index_of(body))
        if entries and channels:
            entries.sort(key=lambda entry: entry.position)
            return _Content(entries, b"", channels, facts, ())
    data = read_at(descriptor, size, 0)
    if facts:
        channels = {}
        found = walk(data, int(facts.get("first_offset", "0")), codec)
        for record in found.channels.values():
            channels[record.id] = described(record.topic, record.metadata)
        entries = [located.entry for located in found.located()]
        return _Content(entries, b"", channels, facts, ("the summary is missing or damaged",))
    return _linear(data, codec)


def _linear(data: bytes, codec: ChunkCodec) -> _Content:
    """Take a file without an index from end to end."""
    entries: list[ChunkEntry] = []
    channels: dict[int, Described] = {}
    loose, findings, last = [], [], len(mcap.MAGIC)
    for opcode, start, end in mcap.records(data, len(mcap.MAGIC)):
        last = end
        if opcode == Opcode.CHUNK:
            entry = _entry(data, start, end)
            entries.append(entry)
            try:
                raw = codec.decode(entry, data[entry.position : end])
            except ValueError:
                continue
            for inner, begin, stop in mcap.records(raw):
                if inner == Opcode.CHANNEL:
                    _add_channel(channels, raw[begin:stop])
        elif opcode == Opcode.CHANNEL:
            _add_channel(channels, data[start:end])
        elif opcode == Opcode.MESSAGE:
            loose.append(data[start - HEADER.size : end])
        elif opcode == Opcode.DATA_END:
            break
    else:
        findings.append(f"the file ends in the middle: {len(data) - last} bytes are left over")
    return _Content(entries, b"".join(loose), channels, {}, findings)


def _entry(data: bytes, start: int, end: int) -> ChunkEntry:
    try:
        start_ns, end_ns, raw_size, _ = struct.unpack_from("<QQQI", data, start)
        compression, at = mcap.text_of(data, start + 28)
        (size,) = struct.unpack_from("<Q", data, at)
    except struct.error as error:
        raise ValueError("a chunk is damaged") from error
    position = start - HEADER.size
    return ChunkEntry(
        start_ns, end_ns, position, end - position, b"", 0, compression, size, raw_size
    )


def _add_channel(channels: dict[int, Described], body: bytes) -> None:
    record = mcap.channel_of(body)
    if record.encoding == "json":
        channels[record.id] = described(record.topic, record.metadata)


def _facts(descriptor: int) -> dict[str, str]:
    """Read sensord's metadata record, which stands in front."""
    head = read_at(descriptor, 4096, 0)
    for opcode, start, end in mcap.records(head, len(mcap.MAGIC)):
        if opcode == Opcode.METADATA:
            name, facts = mcap.metadata_of(head[start:end])
            return facts if name == METADATA else {}
    return {}
