"""Summaries of the past: one row for each channel and interval, and with ``follow`` of later ones.

Theory of operation. One cursor reads the past and what follows it: with ``follow`` it moves to the
tail at most `READ_S` after a reading was published, and at the end of the present interval. An
interval is over when a reading of a later one comes, or, at the tail, when the clock has passed its
end. So no interval can be lost or sent twice between past and present.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sensord.model.readings import Channel, Record
from sensord.server.open.caller import Caller
from sensord.server.open.rows import row_packets
from sensord.server.past.stretch import Past
from sensord.server.past.summarizer import Interval, Row, Summarizer
from sensord.wire.ops.queries import Complete, Summary, SummaryRow

__all__ = ["Summaries"]

READ_S = 1.0
"""How often published readings are read, so that no interval ends with much left to read."""


class Summaries(Past):
    """An open request for summaries; with ``is_following`` also the sink that wakes it."""

    def __init__(
        self,
        number: int,
        caller: Caller,
        topics: tuple[str, ...],
        interval_s: float,
        limit: int | None,
        *,
        is_following: bool,
    ) -> None:
        super().__init__(number, caller, topics, is_endless=is_following)
        self._topics = topics
        self._loop = caller.shared.loop
        self._summarizer = Summarizer(round(interval_s * 1e6))
        self._left = limit
        self._is_attached = False
        self._is_complete = False  # and the client has been sent it
        self._read_s = min(READ_S, interval_s)
        self._wake: asyncio.TimerHandle | None = None
        self._wake_at = 0.0

    def close(self) -> None:
        """Send no more."""
        if self._is_attached:
            self._bus.detach(self._topics, self)
            self._is_attached = False
        super().close()
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None

    # -- called by the bus -------------------------------------------------------------------------

    def push(self, _record: Record) -> None:
        """Read soon: something was published."""
        if self._wake is None or self._wake_at > self._loop.time() + self._read_s:
            self._wake_in(self._read_s)

    def selected(self, channel: Channel) -> None:
        """Include a new channel."""
        self._channels[channel.number] = channel

    # -- in turn -----------------------------------------------------------------------------------

    def _began(self) -> None:
        """Attach to the bus; the first rows or gaps show where it begins."""
        if self._is_endless:
            self._bus.attach(self._topics, self)
            self._is_attached = True

    def _take(self, records: Sequence[Record], _stop: int) -> None:
        for interval in self._summarizer.take(records):
            self._queue(interval)
            if self._left == 0:
                self._finish(interval.stop, is_complete=False)
                return

    def _reached(self) -> None:
        offset = self._place
        if not self._is_endless:
            for interval in self._summarizer.complete(offset):
                self._queue(interval)
            self._finish(offset, is_complete=True)
            self._come_back()
            return
        if offset < self._bus.log.tail:
            self._stop = self._bus.log.tail
            self._come_back()
            return
        now_us = self._bus.now_us()
        for interval in self._summarizer.complete(offset, now_us):
            self._queue(interval)
        if not self._is_complete:
            self._is_complete = True
            place = self._summarizer.first_offset
            self._outgoing.message(Complete(self.number, offset if place is None else place))
        end_us = self._summarizer.end_us
        if end_us is not None:
            self._wake_in((end_us - now_us) / 1e6)
        if self._outgoing:
            self._come_back()

    def _wake_in(self, delay_s: float) -> None:
        if self._wake is not None:
            self._wake.cancel()
        self._wake_at = self._loop.time() + delay_s
        self._wake = self._loop.call_later(delay_s, self._caller.guard, self._woken)

    def _woken(self) -> None:
        self._wake = None
        self._come_back()

    # -- sending -----------------------------------------------------------------------------------

    def _queue(self, interval: Interval) -> None:
        if self._left is not None:
            self._left -= 1
        self._announce([row.channel for row in interval.rows])
        rows = [_row(interval.start_us, row) for row in interval.rows]

        def message(part: Sequence[SummaryRow], is_last: bool) -> Summary:  # noqa: FBT001  # as asked
            return Summary(self.number, interval.stop if is_last else None, part)

        self._outgoing.add(row_packets(self._caller.codec, rows, message))


def _row(start_us: int, row: Row) -> SummaryRow:
    return SummaryRow(row.channel.number, start_us, row.count, row.first, row.last, row.statistics)
