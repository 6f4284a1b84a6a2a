"""A subscription: one client's cursor on the log.

Theory of operation. Wherever a subscription begins, it is a cursor with a phase. Behind its
group's boundary it reads the log in bounded pieces and sends them on a private stream; at the
boundary it joins the group and costs nothing more. A congested client leaves the group with the
cursor it had; when it reads again it continues from there. `advance` is all of that:

    cursor < boundary   send one piece of the log, come back when it is its turn again
    cursor > boundary   a snapshot was taken inside the group's window: wait for its flush
    cursor = boundary   join

The readings sent plus those named in gaps are exactly those asked for, in order, once.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from sensord.bus import Bus
from sensord.log import Archive, Cursor, Missed, Piece
from sensord.model.readings import Channel, Position, Record
from sensord.server.live.group import (
    FRAME_BYTES,
    Group,
    Groups,
    Key,
    Write,
    frames,
    packet,
)
from sensord.server.live.thinning import Thinning, conflate
from sensord.server.open import outgoing
from sensord.server.open.outgoing import Outgoing
from sensord.wire.ops.base import Sendable
from sensord.wire.ops.subscriptions import COST, Gap, Phase, StreamChange
from sensord.wire.places import Ago, Since, Start

__all__ = ["Client", "Subscription"]


class Client(outgoing.Client, Protocol):
    """The session, as its subscriptions see it."""

    def tell(self, message: Sendable) -> None:
        """Send a control message."""
        ...

    def guard(self, act: Callable[..., None], *args: object) -> None:
        """Call ``act``; what it raises ends this client's session and nothing else."""
        ...


class Subscription:
    """One client's cursor on the log."""

    def __init__(
        self,
        number: int,
        client: Client,
        bus: Bus,
        archive: Archive | None,
        groups: Groups,
    ) -> None:
        self.number = number
        """The id of the request that opened it."""
        self.lost: Counter[str] = Counter()
        """The loss ledger: by topic, the readings named in gaps."""
        self._client = client
        self._bus = bus
        self._groups = groups
        self._turns = groups.turns
        self._group: Group | None = None
        self._phase = Phase.CATCHING_UP
        self._cursor = Cursor(bus.log, archive, (), frozenset(), bus.log.tail)
        self._stream = 0
        self._told: tuple[Phase, int, str] | None = None  # phase, stream and reason, as told
        self._reason = ""  # why it is behind, unless its client does not read
        self._is_at_start = True  # nothing was sent, and it is what it was when it began
        self._told_channels = 0
        self._outgoing = Outgoing(client)  # to be sent before the log goes on
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

    def open(self, key: Key) -> int:
        """Enter the group; return the number of the first stream. `begin` comes next."""
        self._enter(key)
        return self._stream

    def _enter(self, key: Key) -> None:
        self._group = self._groups.enter(key)
        self._cursor = self._cursor.selecting(key.topics, self._group.numbers)
        self._thinning = Thinning.of(key.options)
        self._stream = self._groups.next_stream()

    def begin(self, start: Start) -> None:
        """Send what comes first; the request has been answered."""
        log = self._bus.log
        if isinstance(start, Since | Ago):
            self._begin_since(start.at_us(self._bus.now_us()), is_ago=start.is_ago)
        elif isinstance(start, Position):
            if start.epoch not in log.epochs:
                self._restart("epoch_changed")
            elif start.offset > log.tail:
                self._restart("ahead")
            else:
                self._cursor.offset = start.offset
        elif start == "snapshot":
            self._snapshot(self.group.channels)
        self.advance()

    def _begin_since(self, time_us: int, *, is_ago: bool) -> None:
        gone = self._cursor.since(time_us, is_ago=is_ago)
        if gone is not None:
            self._tell_gap(None, gone, "expired", None)

    def _restart(self, reason: str) -> None:
        self._tell_gap(None, None, reason, None)
        self._snapshot(self.group.channels)

    def change(self, key: Key) -> None:
        """Go on under another key from the present cursor; nothing is lost or doubled."""
        before = set(self.group.numbers)
        self._leave()
        old = self.group
        self._enter(key)
        self._groups.release(old)
        self._told = None  # even a change to the same is told
        self._is_at_start = False
        self._told_channels = 0
        self._phase = Phase.CATCHING_UP
        # What the new filters add begins with its last value before the cursor; what came after
        # the cursor is read from the log like everything else.
        added = [channel for channel in self.group.channels if channel.number not in before]
        if added:
            self._snapshot(added)
        self.advance()

    def close(self) -> None:
        """End; nothing more is sent."""
        self._turns.leave(self)
        self._cursor.close()
        self._groups.forget(self)
        if self._group is not None:
            self._group.leave(self)
            self._groups.release(self._group)
            self._group = None

    # -- going on ----------------------------------------------------------------------------------

    def congested(self) -> None:
        """Leave the group: the client does not read fast enough."""
        self._cursor.is_idle = True
        if self._phase is Phase.LIVE:
            self._leave()
            self._phase = Phase.LAGGING
            self._stream = self._groups.next_stream()
            self._thinning = Thinning.of(self.group.key.options)

    def hold_back(self) -> None:
        """Leave the group: it costs more than the client's share."""
        if self._group is None:
            self._groups.forget(self)  # telling another one of its client has ended the session
        elif self._phase is Phase.LIVE:
            self.congested()
            self._reason = COST
            self._groups.rest(self)
            self._client.guard(self._tell_phase)

    def release(self) -> None:
        """Join the group again, when what was missed has been sent."""
        self._reason = ""
        self._turns.wait(self, self._client)

    def go_on(self) -> None:
        """Send what came meanwhile, though held back."""
        self._turns.wait(self, self._client)

    def _leave(self) -> None:
        served, told = self.group.leave(self)
        if self._phase is Phase.LIVE:
            self._cursor.offset, self._told_channels = served, told

    def advance(self) -> None:
        """Send the next piece, or wait for a boundary, or join the group."""
        if self._group is None or self._phase is Phase.LIVE or self._cursor.is_reading:
            return
        if not self._send_outgoing():
            return
        boundary, offset = self._group.boundary, self._cursor.offset
        if offset < boundary:
            self._tell_phase()
            cursor = self._cursor
            if cursor.is_at_hand:
                self._got(cursor.take(boundary))
            else:
                cursor.fetch(boundary, lambda: self._client.guard(self._fetched, cursor))
        elif offset > boundary or self._is_early:
            self._group.wait(self)
        elif self._groups.admits(self, self._group):
            self._join()
        else:
            self._phase, self._reason = Phase.LAGGING, COST
            self._tell_phase()
            self._groups.rest(self)

    @property
    def _is_early(self) -> bool:
        """Whether what waits for the group's flush may be older than the time it begins at."""
        return self._cursor.is_sought and self.group.boundary < self._bus.log.tail

    def drained(self) -> None:
        """Go on: the client reads again."""
        self._cursor.is_idle = False
        # What was begun comes at once: requests are served from here on, and may change it.
        if self._send_outgoing():
            self._go_on()

    def take_turn(self) -> None:
        """Go on a little."""
        self._client.guard(self.advance)

    def _go_on(self) -> None:
        """Advance, when others have had their turn."""
        if self._turns.are_free:
            self.advance()
        else:
            self._turns.wait(self, self._client)

    def _fetched(self, cursor: Cursor) -> None:
        """Go on with what the disk gave."""
        if cursor is self._cursor:  # else it was changed meanwhile
            self._go_on()

    def boundary(self, records: Sequence[Record]) -> None:
        """Go on after the flush that this subscription waited for."""
        self._client.guard(self._flushed, records)

    def _send_outgoing(self) -> bool:
        """Send what comes before the log; tell whether all of it went and the client reads on."""
        self._outgoing.send(sys.maxsize)
        return not self._outgoing and not self._client.is_congested

    def _flushed(self, records: Sequence[Record]) -> None:
        cursor = self._cursor
        mine = [r for r in records if r.offset >= cursor.offset and cursor.is_since(r)]
        cursor.forget_since()
        if self._thinning is not None:
            mine = self._thinning.thin(mine)
        if mine:
            self._tell_phase()
        self._cursor.offset = self.group.boundary
        if mine:
            self._send(mine, self._cursor.offset)
        self.advance()

    def _join(self) -> None:
        self._announce()
        if not self._send_outgoing():
            return
        self._phase, self._reason = Phase.LIVE, ""
        self._stream = self.group.stream
        # Joined before it is sent: if that congests the client, it leaves again as any member.
        self.group.join(self)
        self._tell_phase()

    def _got(self, piece: Piece) -> None:
        """Send a piece of the log, and go on when it is this one's turn again."""
        records = piece.records
        for missed in piece.missed:
            # In order: whoever resumes from a gap has had what lies before it.
            self._send_past([r for r in records if r.offset < missed.start], missed.start)
            records = [r for r in records if r.offset >= missed.start]
            self._skip(missed)
        self._send_past(records, piece.stop)
        if self._send_outgoing():
            self._turns.wait(self, self._client)
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
                self._tell_gap(start, stop, "conflated", gave_way)
        else:
            self._announce()
            self._outgoing.add(self._shared(records, stop))
            return
        if records:
            self._send(records, stop)

    def _shared(self, records: list[Record], stop: int) -> Iterator[bytes]:
        """Encode a piece of the log as whoever else reads it gets it too."""
        codec, topics = self._client.codec, self.group.key.topics
        payload = self._groups.past.payload(codec, topics, self._stream, stop, records)
        if len(payload) <= FRAME_BYTES:
            yield packet(codec, payload)
        else:
            yield from (data for _, data in frames(codec, self._stream, stop, records))

    def _skip(self, missed: Missed) -> None:
        """Step over what cannot be had: name it, and send the last values inside it."""
        last = [
            record
            for channel in self.group.channels
            if (record := self._bus.last(channel)) is not None
            and missed.start <= record.offset < missed.stop
            and self._cursor.is_since(record)
        ]
        last.sort(key=lambda record: record.offset)
        lost = missed.lost(self.group.channels)
        if lost is not None:
            lost.subtract(record.channel.topic for record in last)
            lost = +lost
        if lost is None or lost:
            self._tell_gap(missed.start, missed.stop, missed.reason, lost, missed.detail)
        if last:
            self._send(last, missed.stop)
            # These were not thinned; what follows is measured by what was sent from here on.
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
        self._tell_phase()
        self._phase = Phase.CATCHING_UP
        self._send(records, None)

    def _send(self, records: Sequence[Record], cursor: int | None) -> None:
        """Make ready to be sent; what is congested the client waits until it reads again."""
        self._is_at_start = False
        self._announce()
        codec = self._client.codec
        self._outgoing.add(data for _, data in frames(codec, self._stream, cursor, records))

    def _announce(self) -> None:
        channels = self.group.channels
        if self._told_channels < len(channels):
            self._outgoing.add(iter(self.group.announcements(self._told_channels)))
            self._told_channels = len(channels)

    def _tell_phase(self) -> None:
        told = (self._phase, self._stream, self._reason)
        if self._told == told:
            return
        self._told = told
        # Where a time is in the journal is found by reading: nobody could go on from here.
        is_sought = self._is_at_start and self._cursor.is_sought
        is_place = self._phase is not Phase.SNAPSHOT and not is_sought
        cursor = self._cursor.offset if is_place else None
        self._tell(StreamChange(self.number, self._stream, self._phase, cursor, self._reason))

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
        self._tell(Gap(self.number, self._stream, start, stop, reason, lost, detail))

    def _tell(self, message: Sendable) -> None:
        """Send a control message, behind what is still to be sent before it."""
        if self._outgoing:
            self._outgoing.tell(message)
        else:
            self._client.tell(message)
