"""A request that is answered with a stretch of the log: read in pieces, sent as the client reads.

Theory of operation. One cursor goes through the log up to a stop. A turn sends one packet, or reads
one piece and makes it ready; then the next turn is waited for, as by all that are behind. So a
stretch of any length holds one piece at a time, and delays neither the other requests of its
session nor anybody else; while the client is congested nothing is read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence

from sensord.log import Cursor, Missed, Piece
from sensord.model.readings import Channel, Position, Record
from sensord.server.live.group import announcements
from sensord.server.open.caller import Caller
from sensord.server.open.outgoing import Outgoing
from sensord.wire.ops.subscriptions import Gap
from sensord.wire.places import Place

__all__ = ["Past"]

AT_ONCE = 1
"""Packets sent in one turn: a frame of 4,096 readings takes a millisecond or two."""


class Past(ABC):
    """An open request that reads a stretch of the log."""

    def __init__(
        self, number: int, caller: Caller, topics: tuple[str, ...], *, is_endless: bool = False
    ) -> None:
        self.lost: Counter[str] = Counter()
        """The loss ledger: by topic, the readings named in gaps."""
        self.stream = caller.shared.groups.next_stream()
        self._number = number
        self._caller = caller
        shared = caller.shared
        self._bus = shared.bus
        self._turns = shared.groups.turns
        self._channels = {channel.number: channel for channel in shared.bus.select(topics)}
        self._start = self._stop = shared.bus.log.tail
        self._is_endless = is_endless
        """Whether it goes on beyond the stop, which then is no more than where it reads to."""
        self._cursor = Cursor(
            shared.bus.log, shared.archive, topics, self._channels.keys(), self._stop
        )
        self._outgoing = Outgoing(caller)
        self._told_channels: set[int] = set()
        self._end: tuple[int, bool] | None = None  # where it ended, and whether it is complete
        self._is_closed = False

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
            self._tell_gap(None, None, foreign, None)
        elif gone is not None:
            self._start = self._within(gone)
            self._tell_gap(None, self._start, "expired", None)
        self._go_on()

    # -- what the session tells --------------------------------------------------------------------

    def congested(self) -> None:
        """Wait: `_go_on` looks before each packet."""
        self._cursor.is_idle = True
        # For as long as a client may clog, many of them must not hold readings off the disk.
        self._outgoing.squeeze()

    def drained(self) -> None:
        """Go on."""
        self._cursor.is_idle = False
        self._come_back()

    def take_turn(self) -> None:
        """Go on a little."""
        self._caller.guard(self._go_on)

    def close(self) -> None:
        """Send no more."""
        self._is_closed = True
        self._turns.leave(self)
        self._cursor.close()

    # -- going on ----------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Send a little, or read a piece; then come back."""
        self._outgoing.send(AT_ONCE)
        if self._caller.is_congested or self._is_closed:
            return
        if self._outgoing:
            self._come_back()
        elif self._cursor.is_reading:
            pass  # `_got` comes back
        elif self._end is not None:
            offset, is_complete = self._end
            self._caller.end(self._number, cursor=offset, is_complete=is_complete)
        elif self._cursor.offset >= self._stop:
            self._reached()
        elif self._cursor.is_at_hand:
            self._got(self._cursor.take(self._stop))
        else:
            self._cursor.fetch(self._stop, lambda: self._caller.guard(self._fetched))

    def _fetched(self) -> None:
        if not self._is_closed:  # while the disk was read
            self._go_on()

    def _come_back(self) -> None:
        """Go on when others that are behind have had their turn."""
        if not self._is_closed:
            self._turns.wait(self, self._caller)

    def _got(self, piece: Piece) -> None:
        records: Sequence[Record] = piece.records
        for missed in piece.missed:
            # In order: whoever goes on from a gap has had what lies before it.
            self._take_part([r for r in records if r.offset < missed.start], missed.start)
            records = [r for r in records if r.offset >= missed.start]
            if self._end is None:
                self._skip(missed)
        self._take_part(records, self._within(piece.stop))
        if self._caller.is_congested:
            self._outgoing.squeeze()  # the piece was on its way when the client congested
        self._come_back()

    def _take_part(self, records: Sequence[Record], stop: int) -> None:
        if records and self._end is None:
            self._take(records, stop)

    def _skip(self, missed: Missed) -> None:
        """Name what cannot be had."""
        stop = self._within(missed.stop)
        # The counts are of all of it, which may be more than was asked for.
        lost = None if stop < missed.stop else missed.lost(self._channels.values())
        if lost is None or lost:
            self._tell_gap(missed.start, stop, missed.reason, lost, missed.detail)

    @property
    def _place(self) -> int:
        """The offset that is reached; what cannot be had may take the cursor beyond the end."""
        return max(self._start, self._within(self._cursor.offset))

    def _within(self, offset: int) -> int:
        """Return the offset, or the end of what was asked for if that comes before."""
        return offset if self._is_endless else min(offset, self._stop)

    # -- for those who know what is to be sent -----------------------------------------------------

    @abstractmethod
    def _began(self) -> None:
        """Tell where it begins."""

    @abstractmethod
    def _take(self, records: Sequence[Record], stop: int) -> None:
        """Make ready what is to be sent of some readings; ``stop`` is the offset behind them."""

    @abstractmethod
    def _reached(self) -> None:
        """Go on at the stop."""

    def _finish(self, offset: int, *, is_complete: bool) -> None:
        """End when all that is ready has been sent."""
        self._end = (offset, is_complete)

    def _announce(self, channels: Sequence[Channel]) -> None:
        untold = [channel for channel in channels if channel.number not in self._told_channels]
        if untold:
            self._outgoing.add(announcements(self._caller.codec, untold))
            self._told_channels.update(channel.number for channel in untold)

    def _tell_gap(
        self,
        start: int | None,
        stop: int | None,
        reason: str,
        lost: Counter[str] | None,
        detail: str = "",
    ) -> None:
        if lost is not None:
            self.lost.update(lost)
        self._outgoing.tell(Gap(self._number, self.stream, start, stop, reason, lost, detail))
