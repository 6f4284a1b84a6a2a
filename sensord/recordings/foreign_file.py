"""One MCAP file of another program, such as the `mcap` package.

Its records are read one after the other, so neither chunks nor an index nor a footer are needed.
Readings are the messages whose encoding is JSON; they are numbered from 0 in the file's order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import BinaryIO

from sensord.log.journal import Batch, Hole
from sensord.mcap import records as mcap
from sensord.mcap.batch import Rows
from sensord.mcap.channels import described
from sensord.mcap.chunk import ChunkCodec, Columns, columns_of
from sensord.mcap.compression import missing
from sensord.mcap.entries import (
    INDEX,
    MESSAGE,
    Entry,
    chunk_at,
    content,
    entries,
    part,
    raw_of,
)
from sensord.mcap.records import ChannelRecord, ChunkEntry, Opcode
from sensord.mcap.regular import open_binary
from sensord.model.readings import Channel
from sensord.recordings.contents import Contents, Recording, RecordingError, Selection, Span, Topic

__all__ = ["ForeignFile", "lacking_of"]

_ENTRY_BYTES = 16
_BATCH = 1024
"""Messages outside chunks are gathered to so many."""
JSON = "json"


class _Seen:
    """What was learned of a file on one way through it."""

    def __init__(self) -> None:
        self.channels: dict[int, ChannelRecord] = {}
        self.counts: Counter[int] = Counter()
        self.start_ns = 1 << 64
        self.end_ns = 0
        self.is_whole = False
        self.lacking = ""

    def note_times(self, times: Sequence[int]) -> None:
        if times:
            self.start_ns = min(self.start_ns, *times)
            self.end_ns = max(self.end_ns, *times)


class ForeignFile:
    """A file of anybody's making."""

    def __init__(self, path: Path, library: str) -> None:
        self.path = path
        self._library = library
        self._codec = ChunkCodec()
        self._channels: dict[int, Channel] = {}
        self._seen: _Seen | None = None

    # -- what is in it ----------------------------------------------------------------------------

    def span(self) -> Span:
        """Return where it begins and ends: its readings, whatever else is in it."""
        seen = self._look()
        count = sum(n for number, n in seen.counts.items() if self._is_json(seen, number))
        start_us = 0 if seen.end_ns < seen.start_ns else seen.start_ns // 1000
        return Span("", 0, count, start_us, seen.end_ns // 1000)

    def contents(self) -> Contents:
        """Describe its content."""
        seen = self._look()
        what = f"MCAP file of {self._library}" if self._library else "MCAP file"
        found = Contents(what, self.span(), self.path.stat().st_size)
        total: Counter[tuple[str, str, str]] = Counter()
        for number, record in seen.channels.items():
            metadata = described(record.topic, record.metadata).metadata
            kind = metadata.type.value if record.encoding == JSON else record.encoding or "unknown"
            total[record.topic, kind, metadata.unit] += seen.counts[number]
        found.topics = [Topic(*key, count) for key, count in sorted(total.items())]
        found.holes = self._holes()
        found.unread = sum(hole.count for hole in found.holes)
        found.notes = self.notes()
        return found

    def lacking(self) -> str:
        """Return the package needed to read all of it, empty if nothing is missing."""
        return self._look().lacking

    def _holes(self) -> list[Hole]:
        """Check each chunk: one with an index may still be unreadable."""
        holes, position = [], 0
        for item in self._items():
            count = item.count if isinstance(item, Hole) else len(item.sequences)
            if isinstance(item, Hole):
                holes.append(Hole(position, count, item.reason))
            position += count
        return holes

    def notes(self) -> list[str]:
        """Report messages that cannot be read, and whether the end is missing."""
        seen, notes = self._look(), []
        others = sum(n for number, n in seen.counts.items() if not self._is_json(seen, number))
        if others:
            notes.append(f"{others} messages are not JSON: sensord cannot read their values")
        if seen.lacking:
            notes.append(seen.lacking)
        if not seen.is_whole:
            notes.append("it has no footer: it is being written, or was cut off")
        return notes

    @staticmethod
    def _is_json(seen: _Seen, number: int) -> bool:
        record = seen.channels.get(number)
        return record is not None and record.encoding == JSON

    def _look(self) -> _Seen:
        if self._seen is None:
            self._seen = self._look_through()
        return self._seen

    def _look_through(self) -> _Seen:
        """Count by the message indexes; read chunks only where these do not suffice."""
        seen = _Seen()
        chunk: ChunkEntry | None = None
        indexed: list[int] = []
        with self._open() as file:
            for entry in entries(file):
                if chunk is not None and entry.opcode != Opcode.MESSAGE_INDEX:
                    self._look_into(file, chunk, indexed, seen)
                    chunk = None
                match entry.opcode:
                    case Opcode.CHUNK:
                        chunk, indexed = self._chunk_at(file, entry), []
                        seen.note_times((chunk.start_ns, chunk.end_ns))
                        seen.lacking = seen.lacking or missing(chunk.compression)
                    case Opcode.MESSAGE_INDEX:
                        number, size = INDEX.unpack(part(file, entry, INDEX.size))
                        seen.counts[number] += size // _ENTRY_BYTES
                        indexed.append(number)
                    case Opcode.MESSAGE:
                        number, _, log_ns, _ = MESSAGE.unpack(part(file, entry, MESSAGE.size))
                        seen.counts[number] += 1
                        seen.note_times((log_ns,))
                    case Opcode.CHANNEL:
                        self._note_channel(content(file, entry), seen)
                    case Opcode.FOOTER:
                        seen.is_whole = True
            if chunk is not None:
                self._look_into(file, chunk, indexed, seen)
        return seen

    def _look_into(
        self, file: BinaryIO, chunk: ChunkEntry, indexed: list[int], seen: _Seen
    ) -> None:
        """Read from a chunk what its message indexes lack: its channels, or all."""
        if indexed and all(number in seen.channels for number in indexed):
            return
        try:
            raw = raw_of(file, chunk, self._codec)
            if not indexed:
                seen.counts.update(columns_of(raw).channels)
        except ValueError:
            return  # the scan names it
        for opcode, at, end in mcap.records(raw):
            if opcode == Opcode.CHANNEL:
                self._note_channel(raw[at:end], seen)

    def _note_channel(self, body: bytes, seen: _Seen) -> None:
        try:
            record = mcap.channel_of(body)
        except ValueError:
            return
        seen.channels[record.id] = record

    # -- its readings -----------------------------------------------------------------------------

    def scan(self, selection: Selection) -> Iterator[Batch | Hole]:
        """Read it; a damaged chunk is a hole, what is not JSON is passed over."""
        position = 0
        left = (1 << 64) if selection.limit is None else selection.limit
        for item in self._items():
            if isinstance(item, Hole):
                yield Hole(position, item.count, item.reason)
                position += item.count
                continue
            columns = item
            count = len(columns.sequences)
            rows = selection.narrow(Rows(range(position, position + count), columns))
            wanted = {n for n, c in self._channels.items() if selection.wants(c.topic)}
            rows = rows.of_channels(wanted)
            rows = rows.first(left) if len(rows) > left else rows
            if len(rows):
                try:
                    batch = rows.parse(position + count, self._channels)
                except ValueError as error:
                    yield Hole(position, count, f"a payload is not JSON: {error}")
                else:
                    left -= len(batch)
                    yield batch
            position += count
            if left <= 0 or (selection.stop is not None and position >= selection.stop):
                return

    def _items(self) -> Iterator[Columns | Hole]:
        """Yield the JSON messages of each chunk, and those between chunks."""
        known = dict(self._look().channels)  # by their last meaning; scanning corrects it
        self._channels = {number: _channel(record) for number, record in known.items()}
        loose: list[tuple[int, int, int, int, bytes]] = []
        with self._open() as file:
            for entry in entries(file):
                if loose and (entry.opcode != Opcode.MESSAGE or len(loose) >= _BATCH):
                    yield self._json_of(_columns(loose), known)
                    loose = []
                match entry.opcode:
                    case Opcode.MESSAGE:
                        body = content(file, entry)
                        fields = MESSAGE.unpack_from(body)
                        loose.append((*fields, body[MESSAGE.size :]))
                    case Opcode.CHUNK:
                        chunk = self._chunk_at(file, entry)
                        try:
                            columns = columns_of(raw_of(file, chunk, self._codec))
                        except ValueError as error:
                            yield Hole(0, self._lost(file, chunk, known), f"a chunk: {error}")
                            continue
                        yield self._json_of(columns, known)
                    case Opcode.DATA_END:
                        break
        if loose:
            yield self._json_of(_columns(loose), known)

    def _json_of(self, columns: Columns, known: dict[int, ChannelRecord]) -> Columns:
        """Keep the messages whose encoding is JSON."""
        good = {number for number, record in known.items() if record.encoding == JSON}
        chosen = [number in good for number in columns.channels]
        if all(chosen):
            return columns
        cut = [list(compress(column, chosen)) for column in columns[:4]]
        texts = list(compress(columns.texts, chosen))
        return Columns(cut[0], cut[1], cut[2], cut[3], texts, columns.is_inner)

    def _lost(self, file: BinaryIO, chunk: ChunkEntry, known: dict[int, ChannelRecord]) -> int:
        """Count the readings of a chunk that cannot be read, as far as its indexes show."""
        count, at = 0, chunk.position + chunk.length
        for entry in entries(file, at):
            if entry.opcode != Opcode.MESSAGE_INDEX:
                break
            number, size = INDEX.unpack(part(file, entry, INDEX.size))
            if number in known and known[number].encoding == JSON:
                count += size // _ENTRY_BYTES
        return count

    # -- the file ---------------------------------------------------------------------------------

    def _open(self) -> BinaryIO:
        try:
            return open_binary(self.path)
        except OSError as error:
            raise RecordingError(self.path, f"cannot be opened: {error.strerror}") from error

    def _chunk_at(self, file: BinaryIO, entry: Entry) -> ChunkEntry:
        try:
            return chunk_at(file, entry)
        except ValueError as error:
            raise RecordingError(self.path, str(error)) from error


def lacking_of(recording: Recording) -> str:
    """Return the package needed to read all of a recording, empty if nothing is missing."""
    return recording.lacking() if isinstance(recording, ForeignFile) else ""


def _channel(record: ChannelRecord) -> Channel:
    return Channel(record.id, *described(record.topic, record.metadata))


def _columns(messages: Sequence[tuple[int, int, int, int, bytes]]) -> Columns:
    numbers, sequences, log_ns, publish_ns, payloads = zip(*messages, strict=True)
    return Columns(numbers, sequences, log_ns, publish_ns, payloads, is_inner=False)
