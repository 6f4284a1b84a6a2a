"""A run of readings with consecutive offsets, as columns: the content of one commit.

Pure. The ring's frames and the segments' chunks are both made from blocks, and a frame decodes to a
block, so a reading is converted to text only once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter, le

from sensord.mcap.payload import inner_texts, recordable
from sensord.model.readings import Channel, Record

__all__ = ["MAX_TIME_US", "MESSAGE_OVERHEAD", "Block", "is_rising", "make_block"]

MAX_TIME_US = (2**64 - 1) // 1000
"""The last microsecond that MCAP can count in nanoseconds: the year 2554."""

MESSAGE_OVERHEAD = 31 + len(b'{"value":}')
"""Bytes of an MCAP message around the inner text."""


@dataclass(frozen=True, slots=True)
class Block:
    """Columns of readings; ``texts`` holds their inner texts, separated by line feeds."""

    first: int
    ids: Sequence[int]
    log_us: Sequence[int]
    time_us: Sequence[int]
    texts: bytes

    @property
    def count(self) -> int:
        """How many readings there are."""
        return len(self.ids)

    @property
    def end(self) -> int:
        """The offset after the last reading."""
        return self.first + len(self.ids)

    @property
    def raw_bytes(self) -> int:
        """The length of the readings as MCAP messages."""
        return len(self.texts) + 1 + len(self.ids) * (MESSAGE_OVERHEAD - 1)

    def split(self) -> Iterator[Block]:
        """Yield two halves."""
        middle = self.count // 2
        yield self._part(0, middle)
        yield self._part(middle, self.count)

    def since(self, offset: int) -> Block:
        """Return the readings from an offset on."""
        return self if offset <= self.first else self._part(offset - self.first, self.count)

    def _part(self, begin: int, end: int) -> Block:
        part = slice(begin, end)
        texts = b"\n".join(self.texts.split(b"\n")[part])
        columns = (self.ids[part], self.log_us[part], self.time_us[part])
        return Block(self.first + begin, *columns, texts)


def is_rising(numbers: Sequence[int]) -> bool:
    """Return whether no number is less than the one before."""
    return all(map(le, numbers, islice(numbers, 1, None)))


def make_block(
    records: Sequence[Record], logged: Sequence[int], ids: Mapping[Channel, int]
) -> Block:
    """Turn records with consecutive offsets into columns; ``logged`` are their log times."""
    readings = list(map(itemgetter(3), records))
    try:
        texts = _texts(readings)
    except (ValueError, TypeError, RecursionError):
        readings = list(map(recordable, readings))
        texts = _texts(readings)
    times: list[int] = list(map(itemgetter(0), readings))
    if min(times) < 0 or max(times) > MAX_TIME_US:
        times = [min(max(time_us, 0), MAX_TIME_US) for time_us in times]
    numbers = list(map(ids.__getitem__, map(itemgetter(2), records)))
    return Block(records[0].offset, numbers, logged, times, texts)


def _texts(readings: Sequence[tuple[object, ...]]) -> bytes:
    values, qualities, restates = (list(map(itemgetter(i), readings)) for i in (1, 2, 3))
    return inner_texts(values, qualities, restates)
