"""A subscription: one client's cursor on the log.

Theory of operation. A subscription is a cursor with a phase, wherever it begins. Behind its group's
boundary it reads the log in bounded pieces and sends them on a private stream; at the boundary it
joins the group and costs nothing more. A congested client leaves the group with the cursor it had;
when it reads again it continues from there. `_advance` does all of that:

    cursor < boundary   send one piece of the log, come back when it is its turn again
    cursor > boundary   a snapshot was taken inside the group's window: wait for its flush
    cursor = boundary   join

The readings sent plus those named in gaps are exactly those asked for, in order, once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial

from sensord.bus import Bus
from sensord.log import Archive, Cursor, Gap, Piece
from sensord.log.thinning import Thinning, conflate
from sensord.model.readings import Channel, Position, Record
from sensord.server.live.group import Group, Groups
from sensord.server.open.request import Client, LogRequest
from sensord.server.packets import FRAME_BYTES, Write, frames, packet
from sensord.wire.ops.subscriptions import COST, Phase, StreamChange
from sensord.wire.places import Ago, Since, Start

__all__ = ["Subscription"]


class Subscription(LogRequest):
    """One client's cursor on the log."""

    def __init__(
        self,
        number: int,
        client: Client,
        bus: Bus,
        archive: Archive | None,
        groups: Groups,
    ) -> None:
        cursor = Cursor(bus.log, archive, (), frozenset(), bus.log.tail)
        super().__init__(number, client, groups.turns, cursor, stream=0)
        self._bus = bus
        self._groups = groups
        self._group: Group | None = None
        self._phase = Phase.CATCHING_UP
        self._sent_phase: tuple[Phase, int, str] | None = None  # with its stream and reason
        self._reason = ""  # why it is behind, unless its client does not read
        self._is_at_start = True  # nothing was sent, and it is as it was when it began
        self._announced = 0  # of the group's channels
        self._thinning: Thinning | None = None

    @property
    def topics(self) -> tuple[str, ...]:
        """Its filters; none once it is closed."""
        return self._group.key.topics if self._group is not None else ()

    @property
    def group(self) -> Group:
        """The group that serves it, or will."""
        assert self._group is not None, "used after close"
        return self._group

    @property
    def write(self) -> Write:
        """Write bytes to the client."""
        return self._client.write

    @property
    def client(self) -> object:
        """The session that it belongs to."""
        return self._client

    # -- beginning and ending ----------------------------------------------------------------------

    def open(self, group: Group) -> int:
        """Use a group that was entered; return the number of the first stream.

        `begin` comes next.
        """
        self._use(group)
        return self.stream

    def _use(self, group: Group) -> None:
        self._group, key = group, group.key
        self._cursor = self._cursor.selecting(key.topics, group.numbers)
        self._thinning = Thinning.of(key.options)
        self.stream = self._groups.next_stream()

    def begin(self, start: Start) -> None:
        """Send what comes first; the request has been answered."""
        log = self._bus.log
        if isinstance(start, Since | Ago):
            self._begin_since(start.at_us(self._bus.now_us()), is_ago=start.is_ago)
        elif isinstance(start, Position):
            if start.epoch not in log.epochs:
                self._restart("epoch_changed")
            elif start.offset > log.tail and log.is_mirror:
                # The other log had it already: it will come.
                log.when_reached(start.offset, partial(self._client.guard, self._resume, start))
                return
            elif start.offset > log.tail:
                self._restart("ahead")
            else:
                self._cursor.offset = start.offset
        elif start == "snapshot":
            self._snapshot(self.group.channels)
        self._advance()

    def _resume(self, start: Position) -> None:
        """Begin at a position that a mirror has reached."""
        if self._group is not None:
            self.begin(start)

    def _begin_since(self, time_us: int, *, is_ago: bool) -> None:
        gone = self._cursor.since(time_us, is_ago=is_ago)
        if gone is not None:
            self._report_gap(None, gone, "expired", None)

    def _restart(self, reason: str) -> None:
        self._report_gap(None, None, reason, None)
        self._snapshot(self.group.channels)

    def change(self, group: Group) -> None:
        """Continue in another group, which was entered, from the present cursor.

        Nothing is lost or doubled.
        """
        before = set(self.group.numbers)
        self._leave()
        old = self.group
        self._use(group)
        self._groups.release(old)
        self._sent_phase = None  # send even a change to the same phase
        self._is_at_start = False
        self._announced = 0
        self._phase = Phase.CATCHING_UP
        # What the new filters add begins with its last value before the cursor; what came after
        # the cursor is read from the log like everything else.
        added = [channel for channel in self.group.channels if channel.number not in before]
        if added:
            self._snapshot(added)
        self._advance()

    def close(self) -> None:
        """End; nothing more is sent."""
        super().close()
        self._groups.forget(self)
        if self._group is not None:
            self._group.leave(self)
            self._groups.release(self._group)
            self._group = None

    # -- flow control and turns --------------------------------------------------------------------

    def congested(self) -> None:
        """Leave the group: the client does not read fast enough."""
        self._cursor.is_idle = True
        if self._phase is Phase.LIVE:
            self._leave()
            self._phase = Phase.LAGGING
            self.stream = self._groups.next_stream()
            self._thinning = Thinning.of(self.group.key.options)

    def hold_back(self) -> None:
        """Leave the group: it costs more than the client's share."""
        if self._group is None:
            self._groups.forget(self)  # another one of its client has just ended the session
        elif self._phase is Phase.LIVE:
            self.congested()
            self._reason = COST
            self._groups.rest(self)
            self._client.guard(self._send_phase)

    def release(self) -> None:
        """Join the group again, when what was missed has been sent."""
        self._reason = ""
        self._come_back()

    def go_on(self) -> None:
        """Send what came meanwhile, though held back."""
        self._come_back()

    def _leave(self) -> None:
        served, announced = self.group.leave(self)
        if self._phase is Phase.LIVE:
            self._cursor.offset, self._announced = served, announced

    def _advance(self) -> None:
        """Send the next piece, or wait for a boundary, or join the group."""
        if self._group is None or self._phase is Phase.LIVE or self._cursor.is_reading:
            return
        if not self._send_outgoing():
            return
        boundary, offset = self._group.boundary, self._cursor.offset
        if offset < boundary:
            self._send_phase()
            self._read(boundary)
        elif offset > boundary or self._is_early:
            self._group.wait(self)
        elif self._groups.admits(self, self._group):
            self._join()
        else:
            self._phase, self._reason = Phase.LAGGING, COST
            self._send_phase()
            self._groups.rest(self)

    @property
    def _is_early(self) -> bool:
        """Whether what waits for the group's flush may be older than the time it begins at."""
        return self._cursor.is_sought and self.group.boundary < self._bus.log.tail

    def drained(self) -> None:
        """Continue: the client reads again."""
        self._cursor.is_idle = False
        # At once: requests are served from here on, and may change it.
        if self._send_outgoing():
            self._come()

    def boundary(self, records: Sequence[Record]) -> None:
        """Continue after the flush that this subscription waited for."""
        self._client.guard(self._flushed, records)

    def _send_outgoing(self) -> bool:
        """Send what is ready; return whether all was sent and the client still reads."""
        self._outgoing.send(sys.maxsize)
        return not self._outgoing and not self._client.is_congested

    def _flushed(self, records: Sequence[Record]) -> None:
        cursor = self._cursor
        mine = [r for r in records if r.offset >= cursor.offset and cursor.is_since(r)]
        cursor.forget_since()
        if self._thinning is not None:
            mine = self._thinning.thin(mine)
        if mine:
            self._send_phase()
        self._cursor.offset = self.group.boundary
        if mine:
            self._send_records(mine, self._cursor.offset)
        self._advance()

    def _join(self) -> None:
        self._announce()
        if not self._send_outgoing():
            return
        self._phase, self._reason = Phase.LIVE, ""
        self.stream = self.group.stream
        # Joined before it is sent: if that congests the client, it leaves again as any member.
        self.group.join(self)
        self._send_phase()

    def _got(self, piece: Piece) -> None:
        """Send a piece of the log, and come back."""
        for part in piece.in_order():
            if isinstance(part, Gap):
                self._skip(part)
            else:
                self._send_past(*part)
        if self._send_outgoing():
            self._come_back()
        else:
            # For as long as the client does not read, many must not hold readings off the disk.
            self._outgoing.squeeze()

    def _send_past(self, records: list[Record], stop: int) -> None:
        if not records:
            return
        if self._thinning is not None:
            records = self._thinning.thin_past(records)
        elif self._phase is Phase.LAGGING and self.group.key.options.mode == "latest":
            start = records[0].offset
            records, gave_way = conflate(records)
            if gave_way:
                self._report_gap(start, stop, "conflated", gave_way)
        else:
            self._announce()
            self._outgoing.add(self._shared(records, stop))
            return
        if records:
            self._send_records(records, stop)

    def _shared(self, records: list[Record], stop: int) -> Iterator[bytes]:
        """Encode a piece of the log once for all that read the same."""
        codec, topics = self._client.codec, self.group.key.topics
        payload = self._groups.past.payload(codec, topics, self.stream, stop, records)
        if len(payload) <= FRAME_BYTES:
            yield packet(codec, payload)
        else:
            yield from (data for _, data in frames(codec, self.stream, stop, records))

    def _skip(self, gap: Gap) -> None:
        """Name readings that are not available, and send the last values among them."""
        last = [
            record
            for channel in self.group.channels
            if (record := self._bus.last(channel)) is not None
            and gap.start <= record.offset < gap.stop
            and self._cursor.is_since(record)
        ]
        last.sort(key=lambda record: record.offset)
        lost = gap.lost(self.group.channels)
        if lost is not None:
            lost.subtract(record.channel.topic for record in last)
            lost = +lost
        if lost is None or lost:
            self._report_gap(gap.start, gap.stop, gap.reason, lost, gap.detail)
        if last:
            self._send_records(last, gap.stop)
            # These were not thinned; what follows is compared with what is sent from here on.
            self._thinning = Thinning.of(self.group.key.options)

    # -- sending -----------------------------------------------------------------------------------

    def _snapshot(self, channels: Sequence[Channel]) -> None:
        """Send the last values from before the cursor first."""
        records = [
            record
            for channel in channels
            if (record := self._bus.last(channel)) is not None
            and record.offset < self._cursor.offset
        ]
        records.sort(key=lambda record: record.offset)
        self._phase = Phase.SNAPSHOT
        self._send_phase()
        self._phase = Phase.CATCHING_UP
        self._send_records(records, None)

    def _send_records(self, records: Sequence[Record], cursor: int | None) -> None:
        """Make records ready to be sent; they wait while the client is congested."""
        self._is_at_start = False
        self._announce()
        codec = self._client.codec
        self._outgoing.add(data for _, data in frames(codec, self.stream, cursor, records))

    def _announce(self) -> None:
        channels = self.group.channels
        if self._announced < len(channels):
            self._outgoing.add(iter(self.group.announcements(self._announced)))
            self._announced = len(channels)

    def _send_phase(self) -> None:
        sent = (self._phase, self.stream, self._reason)
        if self._sent_phase == sent:
            return
        self._sent_phase = sent
        # The journal must be read to place a time, so no position to continue from is known yet.
        is_sought = self._is_at_start and self._cursor.is_sought
        is_place = self._phase is not Phase.SNAPSHOT and not is_sought
        cursor = self._cursor.offset if is_place else None
        self._send(StreamChange(self.number, self.stream, self._phase, cursor, self._reason))
