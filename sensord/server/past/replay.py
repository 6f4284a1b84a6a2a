"""A replay: one client's cursor on the past, with a pace.

Theory of operation. The pace decides when a reading is due, as it does when recordings are played.
Readings are read ahead in bounded pieces; those that are due leave in one frame, and a timer waits
for the next. Pausing and a congested client stop the clock, so that time that passes meanwhile
makes nothing due. Nothing is held while the client is congested.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque

from sensord.log import Cursor, Gap, Piece
from sensord.model.readings import Position, Record
from sensord.playback.pace import LONGEST_WAIT_S, Pace
from sensord.server.open.caller import Caller
from sensord.server.open.request import LogRequest
from sensord.server.packets import announcements, frames
from sensord.wire.ops.subscriptions import Phase, StreamChange
from sensord.wire.places import Ago, Place, Since

__all__ = ["Replay"]

AT_ONCE = 1024
"""Most readings sent in one turn of the loop."""

AHEAD = AT_ONCE
"""With fewer readings than this read ahead, the next piece is asked for."""

LONGEST_WAIT_US = int(LONGEST_WAIT_S * 1e6)

WINDOW_S = 0.02
"""Frames leave no closer than this, as those of live readings by default."""


class Replay(LogRequest):
    """One client's cursor on the past, with a pace."""

    def __init__(
        self, number: int, caller: Caller, topics: tuple[str, ...], speed: float, *, is_paused: bool
    ) -> None:
        shared = caller.shared
        log, groups = shared.bus.log, shared.groups
        self._channels = {channel.number: channel for channel in shared.bus.select(topics)}
        cursor = Cursor(log, shared.archive, topics, self._channels.keys(), log.tail)
        super().__init__(number, caller, groups.turns, cursor, groups.next_stream())
        self._caller = caller
        self._topics = topics
        self._speed = speed
        self._is_paused = is_paused
        self._bus = shared.bus
        self._loop = shared.loop
        self._stop = log.tail
        self._ahead: deque[Record | Gap] = deque()
        self._pace = self._new_pace()
        self._is_found = False  # its first reading's place, though nothing is read ahead
        self._steps = 0  # readings to send regardless of the clock
        self._announced: set[int] = set()
        self._timer: asyncio.Handle | None = None

    # -- called for the client's requests ----------------------------------------------------------

    def begin(self, start: Place, stop: Place | None) -> None:
        """Begin; the request has been answered."""
        match stop:
            case Position():
                self._stop = min(stop.offset, self._stop)
            case Since() | Ago():
                self._cursor.until(stop.at_us(self._bus.now_us()), is_ago=stop.is_ago)
        self._go_to(start)

    def pause(self) -> None:
        """Stop the clock."""
        self._hold()
        self._send_phase()
        self._advance()

    def go(self, speed: float | None) -> None:
        """Start the clock."""
        self._speed = speed or self._speed
        self._pace.run(self._now_us, self._speed)
        self._is_paused = False
        self._send_phase()
        self._advance()

    def step(self, count: int) -> None:
        """Send the next readings, regardless of the clock."""
        if not self._is_paused:
            self._hold()
            self._send_phase()
        self._steps += count
        self._advance()

    def seek(self, place: Place) -> None:
        """Continue from another place."""
        self._cursor = self._cursor.selecting(self._topics, self._channels.keys())
        self._cursor.forget_since()
        self._is_found = False
        self._ahead.clear()
        self._pace = self._new_pace()
        self._steps = 0
        self.stream = self._caller.shared.groups.next_stream()
        self._go_to(place)

    # -- called by the session ---------------------------------------------------------------------

    def congested(self) -> None:
        """Stop the clock, and hold nothing: the client does not read fast enough."""
        self._forget_ahead()
        self._pace.hold(self._now_us)

    def drained(self) -> None:
        """Start the clock again."""
        self._cursor.is_idle = False
        if not self._is_paused:
            self._pace.run(self._now_us)
        self._come_back()

    def close(self) -> None:
        """Send no more."""
        super().close()
        self._cancel_timer()

    # -- the clock ---------------------------------------------------------------------------------

    @property
    def _now_us(self) -> int:
        return round(self._loop.time() * 1e6)

    def _new_pace(self) -> Pace:
        pace = Pace(self._speed, LONGEST_WAIT_US)
        if self._is_paused:
            pace.hold(self._now_us)
        return pace

    def _hold(self) -> None:
        self._pace.hold(self._now_us)
        self._is_paused = True
        self._steps = 0

    def _is_due(self, record: Record, now_us: int) -> bool:
        """Return whether a reading is due; one that is must be sent."""
        if self._steps > 0:
            self._steps -= 1
            self._pace.skip_to(record.log_us, now_us)
            return True
        if self._is_paused or self._pace.peek_us(record.log_us, now_us) > now_us:
            return False
        self._pace.due_us(record.log_us, now_us)
        return True

    def _wait_s(self, record: Record) -> float:
        now_us = self._now_us
        return (self._pace.peek_us(record.log_us, now_us) - now_us) / 1e6

    # -- in turn -----------------------------------------------------------------------------------

    def _go_to(self, place: Place) -> None:
        gone: int | None = None
        if isinstance(place, Position):
            self._cursor.offset = min(place.offset, self._stop)
        else:
            gone = self._cursor.since(place.at_us(self._bus.now_us()), is_ago=place.is_ago)
        self._send_phase()
        if gone is not None:
            self._report_gap(None, gone, "expired", None)
        self._advance()

    def _advance(self) -> None:
        """Send what is due, read ahead, and wait for the next reading."""
        self._cancel_timer()
        self._outgoing.send(sys.maxsize)
        if self._is_stopped():
            return
        sent = self._send_due()
        if not self._caller.is_congested:  # by what was sent
            self._read_ahead()
        if self._is_stopped():
            return
        if self._ahead:
            head = self._ahead[0]
            if isinstance(head, Gap) or sent == AT_ONCE or self._steps:
                self._come_back()
            elif not self._is_paused:
                self._come_later(max(self._wait_s(head), WINDOW_S if sent else 0.0))
        elif self._cursor.offset < self._stop:
            if not self._cursor.is_reading:
                self._come_back()
        elif not self._is_paused:
            self._caller.end(self.number)

    def _is_stopped(self) -> bool:
        return self._is_closed or self._caller.is_congested

    def _come_later(self, delay_s: float) -> None:
        if delay_s > 0.0:
            self._timer = self._loop.call_later(delay_s, self._come)
        else:
            self._come_back()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _read_ahead(self) -> None:
        cursor = self._cursor
        if len(self._ahead) >= AHEAD:
            cursor.is_idle = True
        elif not cursor.is_reading and cursor.offset < self._stop:
            self._read(self._stop)

    def _forget_ahead(self) -> None:
        """Hold no readings; they are read again when the client reads."""
        if self._ahead:
            place, self._is_found = self._place(), True
            self._cursor = self._cursor.selecting(self._topics, self._channels.keys())
            self._cursor.offset = place
            self._ahead.clear()
        self._cursor.is_idle = True

    def _got(self, piece: Piece) -> None:
        for part in piece.in_order():
            if isinstance(part, Gap):
                self._ahead.append(part)
            else:
                self._ahead += part[0]

    # -- sending -----------------------------------------------------------------------------------

    def _send_due(self) -> int:
        """Send a gap, or the readings before the next one that are due; return how many."""
        if self._ahead and isinstance(self._ahead[0], Gap):
            gap = self._ahead[0]
            self._ahead.popleft()  # first: what is sent may congest the client
            self._skip(gap)
        records: list[Record] = []
        now_us = self._now_us
        while self._ahead and len(records) < AT_ONCE:
            head = self._ahead[0]
            if isinstance(head, Gap) or not self._is_due(head, now_us):
                break
            records.append(head)
            self._ahead.popleft()
        if records:
            self._send_records(records)
        return len(records)

    def _send_records(self, records: list[Record]) -> None:
        codec, write = self._caller.codec, self._caller.write
        new = {record.channel.number: record.channel for record in records}
        unannounced = [c for number, c in new.items() if number not in self._announced]
        for data in announcements(codec, unannounced):
            write(data)
        self._announced |= new.keys()
        for _, data in frames(codec, self.stream, records[-1].offset + 1, records):
            write(data)

    def _skip(self, gap: Gap) -> None:
        lost = gap.lost(self._channels.values())
        if lost is None or lost:
            self._report_gap(gap.start, gap.stop, gap.reason, lost, gap.detail)

    def _send_phase(self) -> None:
        phase = Phase.PAUSED if self._is_paused else Phase.REPLAYING
        # The journal must be read to place a time, so no position to continue from is known yet.
        is_sought = self._cursor.is_sought and not self._ahead and not self._is_found
        cursor = None if is_sought else self._place()
        self._send(StreamChange(self.number, self.stream, phase, cursor))

    def _place(self) -> int:
        """Return the offset after the last reading sent."""
        if not self._ahead:
            return self._cursor.offset
        head = self._ahead[0]
        return head.start if isinstance(head, Gap) else head.offset
