"""Readings as they come out of the journal: columns, and records on demand.

A batch stays in columns because making records costs more than reading them: 0.5 µs a reading to
here, 0.5 to 1.2 more for `records`, most of it in Python's garbage collector.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Mapping, Sequence
from functools import partial
from itertools import compress, repeat

from sensord.mcap.block import Block, is_rising
from sensord.mcap.chunk import Columns
from sensord.model.readings import GOOD, Channel, Quality, Reading, Record, Value

__all__ = ["Batch", "Rows", "rows_of_block"]

# Named tuples made without their Python-level constructor: 0.1 µs instead of 0.25.
_new_reading = partial(tuple.__new__, Reading)
_new_record = partial(tuple.__new__, Record)


class Batch:
    """Consecutive readings of the log, narrowed to what was asked for."""

    __slots__ = (
        "_channels",
        "_records",
        "log_ns",
        "next_offset",
        "numbers",
        "offsets",
        "publish_ns",
        "qualities",
        "restates",
        "values",
    )

    def __init__(  # columns, all of one length
        self,
        next_offset: int,
        offsets: Sequence[int],
        numbers: Sequence[int],
        log_ns: Sequence[int],
        publish_ns: Sequence[int],
        values: Sequence[Value],
        qualities: Sequence[Quality] | None,
        restates: Sequence[bool] | None,
        channels: Mapping[int, Channel],
    ) -> None:
        self.next_offset = next_offset
        """The offset to continue reading from."""
        self.offsets = offsets
        self.numbers = numbers
        """Resolved by `channel`; the numbers are valid in this batch only."""
        self.log_ns = log_ns
        self.publish_ns = publish_ns
        self.values = values
        self.qualities = qualities
        """None if all are good."""
        self.restates = restates
        """None if none restates."""
        self._channels = channels
        self._records: list[Record] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def channel(self, number: int) -> Channel:
        """Return the channel with a number of this batch."""
        return self._channels[number]

    def records(self) -> list[Record]:
        """Return the readings as records. The list is cached: do not change it."""
        if self._records is None:
            self._records = self._make_records()
        return self._records

    def part(
        self, start: int, stop: int, since_ns: int | None, until_ns: int | None, most: int
    ) -> Batch:
        """Return the first ``most`` with ``start <= offset < stop`` logged in a span of time.

        Within a segment log times never fall.
        """
        begin = bisect_left(self.offsets, start)
        end = bisect_left(self.offsets, stop, begin)
        if since_ns is not None:
            begin = bisect_left(self.log_ns, since_ns, begin, end)
        if until_ns is not None:
            end = bisect_left(self.log_ns, until_ns, begin, end)
        if end - begin > most:
            end = begin + most
            stop = self.offsets[end - 1] + 1
        if begin == 0 and end == len(self) and stop == self.next_offset:
            return self
        columns = (self.offsets, self.numbers, self.log_ns, self.publish_ns, self.values)
        cut = [column[begin:end] for column in columns]
        flags = [None if c is None else c[begin:end] for c in (self.qualities, self.restates)]
        batch = Batch(stop, *cut, *flags, self._channels)  # type: ignore[call-arg, arg-type]  # columns, each of its kind
        batch._records = self.records()[begin:end]
        return batch

    def of_records(self, records: list[Record]) -> Batch:
        """Return a batch of some of its readings, optionally with other times and qualities."""
        batch = Batch(
            self.next_offset,
            [record.offset for record in records],
            [record.channel.number for record in records],
            [record.log_us * 1000 for record in records],
            [record.reading.time_us * 1000 for record in records],
            [record.reading.value for record in records],
            [record.reading.quality for record in records],
            [record.reading.restates for record in records],
            {record.channel.number: record.channel for record in records},
        )
        batch._records = records
        return batch

    def _make_records(self) -> list[Record]:
        times = [time_ns // 1000 for time_ns in self.publish_ns]
        qualities = self.qualities or repeat(GOOD)
        restates = self.restates or repeat(False)  # noqa: FBT003  # a column of it
        readings = map(_new_reading, zip(times, self.values, qualities, restates, strict=False))
        logged = [time_ns // 1000 for time_ns in self.log_ns]
        channels = map(self._channels.__getitem__, self.numbers)
        return list(map(_new_record, zip(self.offsets, logged, channels, readings, strict=True)))


class Rows:
    """The messages of a chunk or ring frame with their offsets, to be narrowed and then parsed."""

    def __init__(self, offsets: Sequence[int], columns: Columns) -> None:
        self.offsets = offsets
        self._columns = columns

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def numbers(self) -> Sequence[int]:
        """The channel number of each."""
        return self._columns.channels

    def between(self, start: int, stop: int) -> Rows:
        """Keep the offsets from ``start`` up to ``stop``."""
        return self._part(bisect_left(self.offsets, start), bisect_left(self.offsets, stop))

    def within(self, since_ns: int | None, until_ns: int | None) -> Rows:
        """Keep the log times from ``since_ns`` up to ``until_ns``."""
        times = self._columns.log_ns
        if not times:
            return self
        low = times[0] if since_ns is None else since_ns
        high = (1 << 64) if until_ns is None else until_ns
        if is_rising(times):
            return self._part(
                0 if since_ns is None else bisect_left(times, low), bisect_left(times, high)
            )
        low = 0 if since_ns is None else since_ns
        return self._chosen([low <= time_ns < high for time_ns in times])

    def of_channels(self, numbers: Container[int]) -> Rows:
        """Keep the readings of some channels."""
        return self._chosen([number in numbers for number in self._columns.channels])

    def last_of_each(self) -> Rows:
        """Keep the last reading of each channel."""
        last = {number: i for i, number in enumerate(self._columns.channels)}
        return self._chosen([last[number] == i for i, number in enumerate(self.numbers)])

    def first(self, count: int) -> Rows:
        """Keep the first ``most`` readings."""
        return self._part(0, count)

    def _part(self, begin: int, end: int) -> Rows:
        if begin == 0 and end >= len(self.offsets):
            return self
        part, found = slice(begin, end), self._columns
        cut = [column[part] for column in found[:4]]
        return Rows(self.offsets[part], Columns(*cut, found.texts[part], found.is_inner))  # type: ignore[call-arg, arg-type]  # four columns

    def _chosen(self, chosen: Sequence[bool]) -> Rows:
        found = self._columns
        kept = [list(compress(column, chosen)) for column in found[:4]]
        texts = list(compress(found.texts, chosen))
        offsets = list(compress(self.offsets, chosen))
        return Rows(offsets, Columns(*kept, texts, found.is_inner))  # type: ignore[call-arg, arg-type]  # four columns

    def parse(self, next_offset: int, channels: Mapping[int, Channel]) -> Batch:
        """Decode the values.

        Raises:
            ValueError: A payload is not JSON.
            JournalError: A channel is not known.
        """
        found, parsed = self._columns, self._columns.parse()
        # Here and not with the first record: a channel that nobody knows is damage of this chunk.
        for number in set(found.channels):
            channels[number]
        return Batch(
            next_offset,
            self.offsets,
            found.channels,
            found.log_ns,
            found.publish_ns,
            *parsed,
            channels,
        )


def rows_of_block(block: Block) -> Rows:
    """Turn a block, which is in the ring, into rows."""
    columns = Columns(
        channels=block.ids,
        sequences=range(block.first % (1 << 32), block.first % (1 << 32) + block.count),
        log_ns=[time_us * 1000 for time_us in block.log_us],
        publish_ns=[time_us * 1000 for time_us in block.time_us],
        texts=block.texts.split(b"\n"),
        is_inner=True,
    )
    return Rows(range(block.first, block.end), columns)
