"""Past readings of a gateway, from its stream: what has left the hub's memory.

Theory of operation. Offsets rise with sequences, so the message of an offset is found by halving;
what was found narrows the next search. Then messages are read in order, and what they skip is
either not the gateway's to send, or named by the uplink as missing: that is a hole.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right, insort
from collections.abc import Callable

from sensord.hub.arrivals import Arrival, Missing
from sensord.hub.stream import Extent, Stream, StreamError
from sensord.log.archive import Archive, Fetched, Wanted
from sensord.log.journal import Hole
from sensord.log.journal.timeline import Shifts
from sensord.model.readings import Channel, Metadata, make_record
from sensord.model.topics import matches

__all__ = ["StreamArchive"]

READ_AT_ONCE = 2048
"""Messages of one request."""

STEPS = 8
"""Requests for one piece, at most."""

KNOWN = 4096
"""Places in the stream that are remembered."""


class StreamArchive(Archive):
    """The stream of one gateway, for cursors that are behind the hub's memory."""

    def __init__(
        self,
        stream: Stream,
        channel_for: Callable[[str, Metadata], Channel],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__()
        self._stream = stream
        self._channel_for = channel_for
        self._loop = loop
        self._oldest: Arrival | Missing | None = None
        self._extent = Extent(1, 0)
        self._known: list[tuple[int, int]] = []
        """Offsets and their sequences, in order."""
        self._reading: set[asyncio.Task[Fetched]] = set()

    async def look(self, floor: int = 1) -> None:
        """Look where the stream begins and ends now; nothing before ``floor`` is of this log.

        Raises:
            StreamError: It cannot be read.
        """
        extent = await self._stream.extent()
        first = max(extent.first, floor)
        if self._oldest is None or self._oldest.sequence < first:
            self._oldest = await self._stream.at(first, extent.last)
        self._extent = Extent(first, extent.last)

    @property
    def first(self) -> int | None:
        """The offset of the oldest message."""
        return None if self._oldest is None else self._oldest.offset

    def first_us(self, shifts: Shifts) -> int | None:
        """Return when the oldest reading was logged."""
        if not isinstance(self._oldest, Arrival):
            return None
        return self._oldest.log_us + shifts.of(self._oldest.offset, self._oldest.log_us)

    def fetch(self, wanted: Wanted, limit: int, done: Callable[[Fetched], None]) -> None:
        """Read from the stream, and call ``done``."""
        task = self._loop.create_task(self._fetch(wanted, limit), name="hub:fetch")
        self._reading.add(task)

        def hand_on(task: asyncio.Task[Fetched]) -> None:
            self._reading.discard(task)
            if not task.cancelled():
                done(task.result())

        task.add_done_callback(hand_on)

    async def close(self) -> None:
        """Stop reading."""
        for task in tuple(self._reading):
            task.cancel()
        if self._reading:
            await asyncio.wait(self._reading)

    # -- reading -----------------------------------------------------------------------------------

    async def _fetch(self, wanted: Wanted, limit: int) -> Fetched:
        """Read a piece; what cannot be read is a hole."""
        got = Fetched([], [], wanted.start)
        try:
            sequence = await self._sequence_of(wanted.start)
            for _ in range(STEPS):
                found = await self._stream.stretch(sequence, READ_AT_ONCE)
                if not found:
                    return got._replace(next_offset=wanted.stop)
                for one in found:
                    got = self._added(got, one, wanted)
                    if got.next_offset >= wanted.stop or len(got.records) >= limit:
                        return got
                sequence = found[-1].sequence + 1
                self._remember(found[-1])
        except StreamError as exc:
            hole = Hole(got.next_offset, wanted.stop - got.next_offset, str(exc))
            return Fetched(got.records, [*got.holes, hole], wanted.stop)
        return got

    def _added(self, got: Fetched, one: Arrival | Missing, wanted: Wanted) -> Fetched:
        """Add a message to what was fetched, if it is wanted."""
        if one.offset >= wanted.stop:
            return got._replace(next_offset=wanted.stop)
        if isinstance(one, Missing):
            first, stop = max(one.offset, got.next_offset), min(one.stop, wanted.stop)
            if stop > first:
                got.holes.append(Hole(first, stop - first, one.reason))
            return got._replace(next_offset=max(got.next_offset, stop))
        if one.offset < got.next_offset:
            return got  # delivered again
        is_wanted = wanted.topics is None or any(matches(p, one.topic) for p in wanted.topics)
        if is_wanted and wanted.window.holds(one.offset, one.log_us):
            channel = self._channel_for(one.topic, one.metadata)
            got.records.append(make_record((one.offset, one.log_us, channel, one.reading)))
        return got._replace(next_offset=one.offset + 1)

    async def _sequence_of(self, offset: int) -> int:
        """Return the sequence of the first message with this offset or a higher one."""
        await self.look(self._extent.first)
        low, high = self._extent.first, self._extent.last + 1
        at = bisect_right(self._known, (offset, 0))
        if at > 0:
            low = max(low, self._known[at - 1][1])
        if at < len(self._known):
            high = min(high, self._known[at][1] + 1)
        while low < high:
            middle = (low + high) // 2
            found = await self._stream.at(middle, high - 1)
            if found is None:
                high = middle
            elif _end(found) > offset:
                # What stands before it may be the one, unless nothing does.
                high = middle
                self._remember(found)
            else:
                low = found.sequence + 1
                self._remember(found)
        return low

    def _remember(self, one: Arrival | Missing) -> None:
        pair = (one.offset, one.sequence)
        if pair not in self._known[-1:] and len(self._known) < KNOWN:
            at = bisect_right(self._known, pair)
            if self._known[at - 1 : at] != [pair]:
                insort(self._known, pair)


def _end(one: Arrival | Missing) -> int:
    return one.stop if isinstance(one, Missing) else one.offset + 1
