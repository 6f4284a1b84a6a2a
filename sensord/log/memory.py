"""The log in memory: offsets, a bounded ring of records, and a trace of those that left it.

Theory of operation. Records are kept in blocks of `BLOCK` records; the ring drops whole blocks from
its old end, so an append is a list append and any range is a few slices. The channel numbers of a
dropped block are kept for a while (four bytes a record instead of some 200), so a gap can name its
topics and their counts. Texts and nested values are weighed: a block of heavy ones is full sooner,
and the ring drops its old end sooner, so its bytes are bounded as its records are.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from sensord.log.gap import EXPIRED, Gap
from sensord.log.journal.timeline import NO_SHIFTS, ClockRecord, Shifts, Timeline
from sensord.model.readings import Position, Record
from sensord.model.weight import weight_of

__all__ = ["BLOCK", "Log"]

BLOCK = 1024
"""Records in a block, at most: appending amortises to nothing, dropping frees 200 KiB at a time."""

RECORD_BYTES = 320
"""The size of a plain record; heavy values may add as much, on average."""

MANY_WAITING = 16
"""So many that wait have the log kept at once: brokers send some 20 messages unacknowledged."""

REMEMBERED = 16
"""Channel numbers are remembered for this many times as many records as the ring holds."""


class Log:
    """The tail of the log, in memory.

    Overflow policy: the oldest block is dropped; a reader that still needed it gets a `Gap`.
    """

    def __init__(
        self, epoch: str, capacity: int, first: int = 0, former: Iterable[str] = ()
    ) -> None:
        self.epoch = epoch
        self.epochs = {epoch, *former}
        """All epochs whose offsets this log continues."""
        self.first = first
        """Offset of the oldest record held."""
        self.tail = first
        """Offset that the next record will get."""
        self.on_block: Callable[[], None] | None = None
        """Called when a block is full, before an old one is dropped: the time to copy it."""
        self.on_many_waiting: Callable[[], None] | None = None
        """Called when many wait for what they appended to be kept; None where nothing keeps it."""
        self._waiting: list[Callable[[], None]] = []
        self.is_mirror = False
        """Whether it follows another log, which may be ahead of it."""
        self._awaited: list[tuple[int, Callable[[], None]]] = []
        self.timeline = Timeline()
        """What the wall clock was worth that stamped the log, also before the start."""
        self.last_us: int | None = None
        """The log time of the last reading before the start, if there is one."""
        self._blocks: deque[list[Record]] = deque([[]])
        self._starts: deque[int] = deque([first])
        self._max_blocks = max(2, -(-capacity // BLOCK))
        self._weights: deque[int] = deque([0])
        """Of the heavy values in each block, in bytes."""
        self._weight = 0  # of all
        self.weighed = 0
        """Of all heavy values that were ever appended, in bytes."""
        self._dropped: deque[array[int]] = deque(maxlen=self._max_blocks * REMEMBERED)
        self._dropped_first = first  # offset of the first remembered channel number

    @property
    def position(self) -> Position:
        """The position after the newest record."""
        return Position(self.epoch, self.tail)

    def first_us(self, shifts: Shifts = NO_SHIFTS) -> int | None:
        """Return the log time of the oldest record held, or None if there is none."""
        return _shifted_us(self._blocks[0][0], shifts) if self._blocks[0] else None

    def renew_epoch(self, epoch: str) -> None:
        """Continue under another epoch; offsets keep rising, old ones stay valid."""
        self.epoch = epoch
        self.epochs.add(epoch)

    def begin_anew(self, epochs: Sequence[str], first: int) -> None:
        """Drop all records; continue at a higher offset, in other epochs (the last is current)."""
        assert first >= self.tail
        self.epoch, self.epochs = epochs[-1], set(epochs)
        self.first = self.tail = self._dropped_first = first
        self._blocks, self._starts = deque([[]]), deque([first])
        self._weights, self._weight = deque([0]), 0
        self._dropped.clear()

    def join_timeline(self, former: Timeline) -> ClockRecord | None:
        """Put the clock records of a journal that was opened late before those of this log.

        Return the last one of the journal's.
        """
        last = former.records[-1] if former.records else None
        first = max(self._dropped_first, 0 if last is None else last.first)
        own = [one._replace(first=max(one.first, first)) for one in self.timeline.records]
        self.timeline = former.adding(*own)
        return last

    def append(self, record: Record) -> None:
        """Add the record that was made for offset ``tail``."""
        block = self._blocks[-1]
        block.append(record)
        self.tail += 1
        # Each is weighed, also one that fills its block.
        if (record.channel.has_any_size and self._is_heavy(record)) or len(block) >= BLOCK:
            self._begin_block()

    def extend(self, records: Sequence[Record]) -> None:
        """Add the records that were made for the offsets from ``tail`` on."""
        for record in records:
            if record.channel.has_any_size:
                # A block ends when its weight is reached.
                for one in records:
                    self.append(one)
                return
        start = 0
        while start < len(records):
            block = self._blocks[-1]
            piece = records[start : start + BLOCK - len(block)]
            block += piece
            start += len(piece)
            self.tail += len(piece)
            if len(block) >= BLOCK:
                self._begin_block()

    def _is_heavy(self, record: Record) -> bool:
        """Weigh an appended record; return whether its block is full of heavy ones."""
        weight = weight_of(record.reading.value)
        self._weights[-1] += weight
        self._weight += weight
        self.weighed += weight
        return self._weights[-1] > BLOCK * RECORD_BYTES

    def when_kept(self, act: Callable[[], None]) -> None:
        """Call ``act`` once all that was appended so far is kept; at once where nothing keeps it.

        Bounded by who calls: an MQTT broker sends only so much without an acknowledgement.
        """
        if self.on_many_waiting is None:
            act()
            return
        self._waiting.append(act)
        if len(self._waiting) == MANY_WAITING:
            self.on_many_waiting()

    def when_reached(self, offset: int, act: Callable[[], None]) -> None:
        """Call ``act`` at the next `reached` after the tail has come to an offset.

        Bounded by who calls: a client's open requests.
        """
        self._awaited.append((offset, act))

    def reached(self) -> None:
        """Call what waited for the tail; of a mirror, when some of the other log has come."""
        if self._awaited:
            due = [act for offset, act in self._awaited if offset <= self.tail]
            self._awaited = [one for one in self._awaited if one[0] > self.tail]
            for act in due:
                act()

    def take_waiting(self) -> list[Callable[[], None]]:
        """Return, and forget, what waits for all that was appended so far to be kept."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def _begin_block(self) -> None:
        if self.on_block is not None:
            self.on_block()
        self._blocks.append([])
        self._starts.append(self.tail)
        self._weights.append(0)
        most = self._max_blocks * BLOCK * RECORD_BYTES
        while len(self._blocks) > self._max_blocks or (
            self._weight > most and len(self._blocks) > 2  # noqa: PLR2004  # the newest stays
        ):
            self._drop()

    def _drop(self) -> None:
        block = self._blocks.popleft()
        self._starts.popleft()
        self._weight -= self._weights.popleft()
        if len(self._dropped) == self._dropped.maxlen:
            self._dropped_first += len(self._dropped[0])
        self._dropped.append(array("I", [record.channel.number for record in block]))
        self.first = self._starts[0]

    def read(self, start: int, stop: int) -> Iterator[list[Record]]:
        """Yield the records held with ``start <= offset < stop``, in order, in pieces.

        A piece has at most `BLOCK` records. What is no longer held is left out: see `lost`.
        """
        start, stop = max(start, self.first), min(stop, self.tail)
        while start < stop:
            # Recomputed each time: blocks may be dropped between two pieces.
            index = bisect_right(self._starts, start) - 1
            begin = self._starts[index]
            piece = self._blocks[index][start - begin : stop - begin]
            yield piece
            start = max(start + len(piece), self.first)

    def gap(self, start: int) -> Gap | None:
        """Return what a cursor at ``start`` can no longer read, or None if nothing."""
        if start >= self.first:
            return None
        if start < self._dropped_first:
            return Gap(start, self.first, EXPIRED)
        counts: Counter[int] = Counter()
        offset = self._dropped_first
        for numbers in self._dropped:
            if offset + len(numbers) > start:
                counts.update(numbers[max(0, start - offset) :])
            offset += len(numbers)
        return Gap(start, self.first, EXPIRED, counts=counts)

    def offset_at(self, log_us: int, shifts: Shifts = NO_SHIFTS) -> int:
        """Return the offset of the first record logged at or after ``log_us``.

        ``shifts`` are added to log times before they are compared.

        A clock that stepped back leaves times out of order; then it is one such record.
        """
        for begin, block in zip(self._starts, self._blocks, strict=True):
            if block and _shifted_us(block[-1], shifts) >= log_us:
                return begin + bisect_left(block, log_us, key=lambda one: _shifted_us(one, shifts))
        return self.tail


def _shifted_us(record: Record, shifts: Shifts) -> int:
    log_us = record.log_us
    return log_us if shifts.is_zero else log_us + shifts.of(record.offset, log_us)
