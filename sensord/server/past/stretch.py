"""A request that is answered with a stretch of the log: read in pieces, sent as the client reads.

Theory of operation. One cursor moves through the log up to a stop. A turn sends one packet, or
reads one piece and makes it ready. So a stretch of any length holds one piece at a time, and delays
neither the other requests of its session nor other clients; while the client is congested nothing
is read.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from sensord.log import Cursor, Gap, Piece
from sensord.model.readings import Channel, Position, Record
from sensord.server.open.caller import Caller
from sensord.server.open.request import LogRequest
from sensord.server.packets import announcements
from sensord.wire.places import Place

__all__ = ["Past"]

AT_ONCE = 1
"""Packets sent in one turn: a frame of 4,096 readings takes a millisecond or two."""


class Past(LogRequest):
    """An open request that reads a stretch of the log."""

    def __init__(
        self, number: int, caller: Caller, topics: tuple[str, ...], *, is_endless: bool = False
    ) -> None:
        shared = caller.shared
        log, groups = shared.bus.log, shared.groups
        self._channels = {channel.number: channel for channel in shared.bus.select(topics)}
        cursor = Cursor(log, shared.archive, topics, self._channels.keys(), log.tail)
        super().__init__(number, caller, groups.turns, cursor, groups.next_stream())
        self._caller = caller
        self._bus = shared.bus
        self._start = self._stop = log.tail
        self._is_endless = is_endless
        """Whether it continues beyond the stop, which then is only how far it reads at a time."""
        self._announced: set[int] = set()
        self._end: tuple[int, bool] | None = None  # where it ended, and whether it is complete

    def begin(self, start: Place, stop: Place | None) -> None:
        """Begin; the request has been answered."""
        log, cursor, now_us = self._bus.log, self._cursor, self._bus.now_us()
        foreign = None
        match stop:
            case Position():
                # Nothing of this log lies before a place in another one.
                is_ours = stop.epoch in log.epochs
                self._stop = min(stop.offset, log.tail) if is_ours else 0
                foreign = None if is_ours else "epoch_changed"
            case None:
                pass
            case _:
                cursor.until(stop.at_us(now_us), is_ago=stop.is_ago)
        gone = None
        if isinstance(start, Position):
            if start.epoch not in log.epochs:
                foreign = "epoch_changed"
                gone = cursor.since(0)
            elif start.offset > log.tail:
                foreign = "ahead"
            else:
                cursor.offset = start.offset
        else:
            gone = cursor.since(start.at_us(now_us), is_ago=start.is_ago)
        self._start = cursor.offset
        self._began()
        if foreign is not None:
            self._report_gap(None, None, foreign, None)
        elif gone is not None:
            self._start = self._within(gone)
            self._report_gap(None, self._start, "expired", None)
        self._advance()

    # -- called by the session ---------------------------------------------------------------------

    def congested(self) -> None:
        """Stop reading, and hold packets only: many such clients must not hold readings."""
        self._cursor.is_idle = True
        self._outgoing.squeeze()

    def drained(self) -> None:
        """Continue: the client reads again."""
        self._cursor.is_idle = False
        super().drained()

    # -- in turn -----------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Send a little, or read a piece."""
        self._outgoing.send(AT_ONCE)
        if self._caller.is_congested or self._is_closed:
            return
        if self._outgoing:
            self._come_back()
        elif self._cursor.is_reading:
            pass  # `_fetched` comes back
        elif self._end is not None:
            offset, is_complete = self._end
            self._caller.end(self.number, cursor=offset, is_complete=is_complete)
        elif self._cursor.offset >= self._stop:
            self._reached()
        else:
            self._read(self._stop)

    def _got(self, piece: Piece) -> None:
        for part in piece.in_order():
            if self._end is not None:
                break
            if isinstance(part, Gap):
                self._skip(part)
            elif part[0]:
                self._take(part[0], self._within(part[1]))
        if self._caller.is_congested:
            self._outgoing.squeeze()  # the piece was on its way when the client congested
        self._come_back()

    def _skip(self, gap: Gap) -> None:
        """Name readings that are not available."""
        stop = self._within(gap.stop)
        # The counts are of all of it, which may be more than was asked for.
        lost = None if stop < gap.stop else gap.lost(self._channels.values())
        if lost is None or lost:
            self._report_gap(gap.start, stop, gap.reason, lost, gap.detail)

    @property
    def _place(self) -> int:
        """The offset that is reached; a gap may move the cursor beyond the end."""
        return max(self._start, self._within(self._cursor.offset))

    def _within(self, offset: int) -> int:
        """Return the offset, or the end of what was asked for if that comes before."""
        return offset if self._is_endless else min(offset, self._stop)

    # -- implemented by each kind ------------------------------------------------------------------

    @abstractmethod
    def _began(self) -> None:
        """Announce where it begins."""

    @abstractmethod
    def _take(self, records: Sequence[Record], stop: int) -> None:
        """Prepare some readings for sending; ``stop`` is the offset after them."""

    @abstractmethod
    def _reached(self) -> None:
        """Continue at the stop."""

    def _finish(self, offset: int, *, is_complete: bool) -> None:
        """End when everything ready has been sent."""
        self._end = (offset, is_complete)

    def _announce(self, channels: Sequence[Channel]) -> None:
        new = [channel for channel in channels if channel.number not in self._announced]
        if new:
            self._outgoing.add(announcements(self._caller.codec, new))
            self._announced.update(channel.number for channel in new)
