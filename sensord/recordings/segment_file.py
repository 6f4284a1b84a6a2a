"""One MCAP file that sensord wrote: a segment of a journal, or an export.

A segment has every offset from its first on; an export may lack those that were not asked for, so
each reading's offset is derived from its sequence number, counted on from the one before.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sensord.log.journal import Batch, Hole
from sensord.mcap.batch import Rows
from sensord.mcap.channels import Described
from sensord.mcap.chunk import ChunkCodec, columns_of
from sensord.mcap.message import SEQUENCES
from sensord.mcap.regular import open_regular
from sensord.mcap.segment import Located
from sensord.mcap.table import Table, read_at, read_table
from sensord.model.readings import Channel, Metadata, ValueType
from sensord.recordings.contents import Contents, RecordingError, Selection, Span, topics_of
from sensord.recordings.notes import holes_of

__all__ = ["EXPORT", "FORMAT", "SegmentFile"]

EXPORT = "export"
"""The fact of an export whose offsets may have gaps."""

FORMAT = 1
"""The newest format of segments that this version reads."""
_NO_MORE = Hole(1 << 64, 0, "")


class SegmentFile:
    """A file of sensord's own; one without a footer is walked and read as far as it is whole."""

    def __init__(self, path: Path, facts: Mapping[str, str]) -> None:
        self.path = path
        if int(facts.get("format", FORMAT)) > FORMAT:
            raise RecordingError(path, f"was written by a newer sensord (format {facts['format']})")
        self._epoch = facts.get("epoch", "")
        self._first = int(facts.get("first_offset", 0))
        self._is_export = EXPORT in facts
        self._codec = ChunkCodec()
        self._holes: list[Hole] = []
        self._table = self._read_table()
        self._channels = _Channels(
            (number, Channel(number, *described))
            for number, described in self._table.channels.items()
        )

    def _read_table(self) -> Table:
        descriptor = self._open()
        try:
            if self._is_export:
                self._holes = holes_of(descriptor)
            return read_table(descriptor, self._first, self._codec)
        except OSError as error:
            raise RecordingError(self.path, f"cannot be read: {error.strerror}") from error
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        try:
            return open_regular(self.path)
        except OSError as error:
            raise RecordingError(self.path, f"cannot be opened: {error.strerror}") from error

    def span(self) -> Span:
        """Return where it begins and ends."""
        table = self._table
        times = (table.start_ns // 1000, table.end_ns // 1000)
        return Span(self._epoch, self._first, self._end(), *times)

    def _end(self) -> int:
        """Find the offset after the last reading: in an export only its sequence shows it."""
        for located in reversed(self._table.chunks):
            try:
                sequences = self._sequences(located)
            except (ValueError, OSError):
                continue
            # Some 2^32 readings between two chunks are beyond what a sequence can express.
            low = located.first
            return low + (sequences[-1] - low) % SEQUENCES + 1
        return self._first

    def _sequences(self, located: Located) -> Sequence[int]:
        descriptor = self._open()
        try:
            return columns_of(self._raw(descriptor, located)).sequences
        finally:
            os.close(descriptor)

    def _raw(self, descriptor: int, located: Located) -> bytes:
        entry = located.entry
        return self._codec.decode(entry, read_at(descriptor, entry.length, entry.position))

    def contents(self) -> Contents:
        """Describe its content from its summary."""
        table = self._table
        found = Contents("MCAP file of sensord", self.span(), table.size)
        counts: Counter[Described] = Counter()
        for number, count in table.counts.items():
            if number in table.channels:
                counts[table.channels[number]] += count
        found.topics = topics_of(counts)
        found.holes = list(self._holes)
        found.notes = self.notes()
        return found

    def notes(self) -> list[str]:
        """Report whether the file was found without its summary."""
        if self._table.is_indexed:
            return []
        reasons = "it is being written, or was cut off or damaged"
        return [f"it has no whole footer: {reasons}; sensord export makes a whole file of it"]

    def scan(self, selection: Selection) -> Iterator[Batch | Hole]:
        """Read it chunk by chunk."""
        wanted = None
        if selection.topics is not None:
            wanted = {n for n, channel in self._channels.items() if selection.wants(channel.topic)}
        left = (1 << 64) if selection.limit is None else selection.limit
        stop = (1 << 64) if selection.stop is None else selection.stop
        descriptor = self._open()
        position = self._first
        noted = iter([*self._holes, _NO_MORE])
        hole = next(noted)
        try:
            for located in self._table.chunks:
                if left <= 0 or position >= stop:
                    return
                if not _may_have(located, selection, wanted):
                    position = self._behind(located, position)
                    continue
                try:
                    rows = self._rows(descriptor, located, position)
                    first, end = rows.offsets[0], rows.offsets[-1] + 1
                    rows = rows if wanted is None else rows.of_channels(wanted)
                    rows = selection.narrow(rows)
                    rows = rows.first(left) if len(rows) > left else rows
                    batch = rows.parse(end, self._channels) if len(rows) else None
                except (ValueError, IndexError, OSError) as error:
                    yield Hole(position, located.count, f"a damaged chunk: {error}")
                    position = self._behind(located, position)
                    continue
                if first > position and not self._is_export:
                    yield Hole(position, first - position, "damaged")
                while hole.first < min(end, stop):
                    if hole.end > (selection.start or 0):
                        yield hole
                    hole = next(noted)
                position = end
                if batch is not None:
                    left -= len(batch)
                    yield batch
            while hole.first < stop:
                yield hole
                hole = next(noted)
        finally:
            os.close(descriptor)

    def _behind(self, located: Located, position: int) -> int:
        """Return a lower bound of the offsets after a chunk."""
        return position + located.count if self._is_export else max(position, located.end)

    def _rows(self, descriptor: int, located: Located, position: int) -> Rows:
        """Read a chunk none of whose readings is before ``position``.

        Raises:
            ValueError, IndexError: It is damaged.
            OSError: It cannot be read.
        """
        columns = columns_of(self._raw(descriptor, located))
        first = position + (columns.sequences[0] - position) % SEQUENCES
        return Rows(_offsets(columns.sequences, first), columns)


class _Channels(dict[int, Channel]):
    """The channels of a file; a number that damage has robbed of its channel gets one too."""

    def __missing__(self, number: int) -> Channel:
        metadata = Metadata(type=ValueType.JSON)
        found = self[number] = Channel(number, f"unknown/{number}", metadata)
        return found


def _may_have(located: Located, selection: Selection, wanted: set[int] | None) -> bool:
    """Return whether a chunk may have readings that are asked for."""
    entry = located.entry
    if not selection.is_within(entry.start_ns, entry.end_ns):
        return False
    if wanted is None or not entry.places:
        return True
    return any(number in wanted for number, _ in entry.channels())


def _offsets(sequences: Sequence[int], first: int) -> Sequence[int]:
    """Return the offsets of messages, the first of which has the offset ``first``."""
    count = len(sequences)
    if sequences[-1] == (first + count - 1) % SEQUENCES:
        return range(first, first + count)
    low = sequences[0]
    return [first + (sequence - low) % SEQUENCES for sequence in sequences]
