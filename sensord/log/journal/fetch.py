"""What a scan gets its parts from: chunks of segment files, their tables, and channel objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from sensord.errors import JournalError
from sensord.log.journal.damage import Damage, Report, ignore
from sensord.log.journal.registry import Sealed
from sensord.log.journal.view import View
from sensord.mcap.batch import Batch, Rows
from sensord.mcap.channels import Described
from sensord.mcap.chunk import ChunkCodec, Columns, columns_of, index_at, pick_messages
from sensord.mcap.segment import Located, sealed_path
from sensord.mcap.table import Table, read_at, read_table
from sensord.model.readings import Channel, Metadata

__all__ = ["ChannelFor", "Source", "own_channels"]

ChannelFor = Callable[[str, Metadata], Channel]
"""Gives the channel object for a topic and its metadata."""

_TABLES_KEPT = 8
"""Segments whose chunk table stays in memory: about 150 KiB each."""
_FEW = 4
"""Picking messages one by one pays while they are less than one in this many."""


def own_channels() -> ChannelFor:
    """Make channels of our own, numbered from 1 on, one for each topic and metadata."""
    count = 0

    def channel_for(topic: str, metadata: Metadata) -> Channel:
        nonlocal count
        count += 1
        return Channel(count, topic, metadata)

    return channel_for


class Source:
    """A journal as seen by a scan; for one thread.

    The ``kept`` most recently used chunks stay decoded: many clients that read the same at about
    the same time have it decoded once. A chunk's 5,000 readings use some 2 MiB.
    """

    def __init__(
        self,
        look: Callable[[], View],
        channel_for: ChannelFor,
        kept: int = 0,
        report: Report = ignore,
    ) -> None:
        self.look = look
        self.report = report
        """Called with each damage found."""
        self.keeps = kept > 0
        """Whether anything stays decoded; else use `rows`, which decodes no more than it must."""
        self._kept = kept
        self._batches: dict[tuple[int, int, tuple[str, ...] | None], Batch] = {}
        self._channel_for = channel_for
        self._codec = ChunkCodec()
        self._tables: dict[tuple[int, int], Table] = {}
        self._channels: dict[Described, Channel] = {}

    def table(self, descriptor: int, part: Sealed) -> Table:
        """Return what is in a sealed segment.

        Raises:
            OSError: It cannot be read.
        """
        key = (part.first, part.bytes)
        table = self._tables.pop(key, None)
        if table is None:
            table = read_table(descriptor, part.first, self._codec)
            if not table.is_indexed:
                name = sealed_path(Path(), part.first).name
                self.report(Damage(name, "a damaged summary; what is whole is read", 0), None)
        self._tables[key] = table
        if len(self._tables) > _TABLES_KEPT:
            del self._tables[next(iter(self._tables))]
        return table

    def channels(self, described: Mapping[int, Described]) -> Mapping[int, Channel]:
        """Return the channel objects for the numbers of one segment."""
        return _Channels(self, described)

    def channel(self, described: Described) -> Channel:
        """Return the channel object for a recording's description."""
        found = self._channels.get(described)
        if found is None:
            found = self._channels[described] = self._channel_for(*described)
        return found

    def batch(
        self,
        descriptor: int,
        located: Located,
        numbers: set[int] | None,
        channels: Mapping[int, Described],
        topics: tuple[str, ...] | None,
    ) -> Batch:
        """Read a whole chunk, or all that it has of some channels, which are those of ``topics``.

        Raises:
            ValueError: It is damaged.
            OSError: It cannot be read.
        """
        # What was written is never written again, and offsets are given once.
        key = (located.first, located.count, topics)
        batch = self._batches.pop(key, None)
        if batch is None:
            rows = self.rows(descriptor, located, numbers)
            batch = rows.parse(located.end, self.channels(channels))
        self._batches[key] = batch
        if len(self._batches) > self._kept:
            del self._batches[next(iter(self._batches))]
        return batch

    def rows(self, descriptor: int, located: Located, numbers: set[int] | None) -> Rows:
        """Read a chunk, or of some channels what its indexes lead to.

        Raises:
            ValueError: It is damaged.
            OSError: It cannot be read.
        """
        entry = located.entry
        raw = self._codec.decode(entry, read_at(descriptor, entry.length, entry.position))
        if numbers is not None and entry.places:
            indexes = read_at(descriptor, entry.index_length, entry.position + entry.length)
            try:
                wanted = _wanted(indexes, located, numbers)
                if len(wanted) * _FEW < located.count:
                    columns = pick_messages(raw, wanted)
                    return Rows(_offsets(columns, located), columns)
            except ValueError:
                pass  # the index is damaged; the chunk itself shows its content
        columns = columns_of(raw)
        if len(columns.texts) != located.count:
            raise ValueError("it has another number of messages than its indexes")
        rows = Rows(_offsets(columns, located), columns)
        return rows if numbers is None else rows.of_channels(numbers)


class _Channels(dict[int, Channel]):
    """Channel objects by number, made when they are first asked for."""

    def __init__(self, source: Source, described: Mapping[int, Described]) -> None:
        super().__init__()
        self._source = source
        self._described = described

    def __missing__(self, number: int) -> Channel:
        found = self._described.get(number)
        if found is None:
            raise JournalError(f"its channel {number} is described nowhere")
        channel = self[number] = self._source.channel(found)
        return channel


def _wanted(indexes: bytes, located: Located, numbers: set[int]) -> list[tuple[int, int, int]]:
    """Look up channel, log time and position of the messages of some channels, in their order.

    Raises:
        ValueError: An index is damaged.
    """
    found: list[tuple[int, int, int]] = []
    base = located.entry.position + located.entry.length
    for number, position in located.entry.channels():
        if number in numbers:
            entries = index_at(indexes, position - base, number)
            found += [(number, time_ns, at) for time_ns, at in entries]
    return sorted(found, key=lambda entry: entry[2])


def _offsets(columns: Columns, located: Located) -> range | list[int]:
    """Return the offsets of messages, from their sequence numbers.

    Raises:
        ValueError: Other messages were expected here.
    """
    first, sequences = located.first, columns.sequences
    if len(sequences) == located.count:
        # Consecutive, or the segment's count of its readings would not be what it is.
        if sequences[0] != first % (1 << 32) or sequences[-1] != (located.end - 1) % (1 << 32):
            raise ValueError("its readings have other offsets")
        return range(first, located.end)
    offsets = [first + (sequence - first) % (1 << 32) for sequence in sequences]
    if offsets and offsets[-1] >= located.end:
        raise ValueError("its readings have other offsets")
    return offsets
