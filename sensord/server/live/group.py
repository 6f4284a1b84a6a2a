"""Groups: sessions at the tail that asked for the same thing share one encoded frame.

Theory of operation. A group is a sink of the bus: a record that its filters select is appended to
``pending``. A flush encodes what is pending once and writes the same bytes to every member; the
offset it reaches is the group's *boundary*. Members join and leave at boundaries only, so a cursor
at the boundary has received exactly what lies before it.

Flush is adaptive: the first record after a quiet time leaves at the end of the loop's turn, and
then a frame leaves every ``max_latency`` for as long as records come. That is a grid with room for
one frame ahead of it: the jitter of a source that sends once a window never makes it wait. The grid
is a little narrower than the window, so that this room returns after others have used it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol

from sensord.bus import Bus
from sensord.errors import ProtocolError
from sensord.log.thinning import Thinning, newest
from sensord.model.readings import Channel, Record
from sensord.server.live.budget import (
    CHANNEL_BYTES,
    LIVE_SHARE,
    ROOM_SHARE,
    Budget,
    Charge,
    is_too_wide,
    to_hold,
)
from sensord.server.packets import FRAME_READINGS, Write, announcements, frames
from sensord.server.past.frames import PastFrames
from sensord.server.turns import Turns
from sensord.wire.frames import Codec
from sensord.wire.ops.subscriptions import Options

__all__ = [
    "Group",
    "Groups",
    "Key",
    "Member",
]

MAX_PENDING = 4 * FRAME_READINGS
"""Beyond this a group does not wait for its time: some 4 MiB."""

NARROWER = 0.98
"""The grid beside ``max_latency``: costs a fiftieth more frames, makes up for a frame in fifty.

A source that speaks exactly once a window would else wait for ever once it waits, up to a window.
"""

PUSH_S = 0.2e-6
"""The cost of a record in a group, in addition to its frame's."""

REVIEW_S = 0.1
"""Between two looks at what groups cost."""

WIDE_S = 1.0
"""Between two frames, at the tail, of a subscription that is held back."""


class Key(NamedTuple):
    """What the members of a group have in common.

    ``twin`` separates equal subscriptions of one session: each is a stream of its own.
    """

    codec: Codec
    topics: tuple[str, ...]
    options: Options
    twin: int = 0


class Member(Protocol):
    """A subscription, as its group sees it."""

    @property
    def write(self) -> Write:
        """Write bytes to its client."""
        ...

    @property
    def client(self) -> object:
        """Whose it is."""
        ...

    def hold_back(self) -> None:
        """Leave the group: it costs more than the client's share."""
        ...

    def release(self) -> None:
        """Join the group again, when what was missed has been sent."""
        ...

    def go_on(self) -> None:
        """Send what came meanwhile, though held back."""
        ...

    def boundary(self, records: Sequence[Record]) -> None:
        """Called after a flush for those that wait for it; continue from its boundary.

        ``records`` is all that was pending, before thinning: the group's last frame is not what
        this member received.
        """
        ...


def _nothing() -> None:
    """Do nothing."""


class Group:
    """The subscriptions at the tail that share their frames."""

    def __init__(
        self,
        key: Key,
        stream: int,
        bus: Bus,
        loop: asyncio.AbstractEventLoop,
        busy: Callable[[], None] = _nothing,
    ) -> None:
        """``busy`` is called when it has something to send, once a window."""
        self.key = key
        self.stream = stream
        self.users = 0
        """Subscriptions that are members, about to join, or lagging."""
        self.channels: list[Channel] = []
        """The channels that the filters select, in the order in which they are announced."""
        self.numbers: set[int] = set()
        """Their numbers."""
        self._codec = key.codec
        self._bus = bus
        self._loop = loop
        # A period is a promise to send no more; a latency only one to send no later.
        if key.options.period_s:
            self._window_s, self._slack_s = key.options.period_s, 0.0
        else:
            self._window_s = NARROWER * key.options.max_latency_s
            self._slack_s = key.options.max_latency_s
        self._thinning = Thinning.of(key.options)
        self._members: dict[Member, Write] = {}
        self._writes: tuple[Write, ...] = ()
        self._waiting: dict[Member, None] = {}
        self._pending: list[Record] = []
        self._append = self._pending.append
        self._full_at = MAX_PENDING
        self._made: tuple[int, int, Sequence[bytes]] = (0, 0, ())  # the last announcements
        self._announced = 0  # how many of `channels` were announced to the members
        self._reached = bus.log.tail
        self._is_flushing = False
        self._next_at = -float("inf")  # when the next frame would be due on the grid
        self._timer: asyncio.Handle | None = None
        self._busy = busy
        self._spent_s = 0.0  # on flushes, since it was asked last
        self._taken = 0  # records that are pending no more
        self._taken_before = 0  # when it was asked last
        self._is_asleep = False

    def open(self) -> None:
        """Begin to receive from the bus."""
        for channel in self._bus.attach(self.key.topics, self):
            self.selected(channel)

    def close(self) -> None:
        """Stop receiving from the bus."""
        self._bus.detach(self.key.topics, self)
        self._cancel_timer()

    @property
    def list_bytes(self) -> int:
        """The memory that its channels use."""
        return CHANNEL_BYTES * len(self.channels)

    @property
    def members(self) -> Collection[Member]:
        """Those who are sent its frames."""
        return self._members.keys()

    def spent_s(self) -> float:
        """Return what it has cost since it was asked last, in seconds of the loop's time."""
        taken = self._taken + len(self._pending)
        spent_s = self._spent_s + PUSH_S * (taken - self._taken_before)
        self._taken_before, self._spent_s = taken, 0.0
        return spent_s

    def doze(self) -> None:
        """Accept no records while no member would receive them."""
        if self._members or self._waiting or self._is_asleep:
            return
        self._is_asleep = True
        self._bus.mute(self.channels, self)
        self._cancel_timer()
        self._taken += len(self._pending)
        self._pending = []
        self._append = self._pending.append

    def _wake(self) -> None:
        if self._is_asleep:
            self._is_asleep = False
            self._bus.unmute(self.channels, self)

    @property
    def boundary(self) -> int:
        """The offset up to which this group's frames reach."""
        return self._reached if self._pending or self._is_flushing else self._bus.log.tail

    def push(self, record: Record) -> None:
        """Accept a record of the bus."""
        self._append(record)
        if self._timer is None:
            self._schedule()
        elif len(self._pending) >= self._full_at:
            self._relieve()

    def selected(self, channel: Channel) -> None:
        """Add a new channel."""
        self.channels.append(channel)
        self.numbers.add(channel.number)

    def _schedule(self) -> None:
        self._busy()
        # Nothing was pending until now: all before the first pending record is covered.
        self._reached = self._pending[0].offset
        due = self._next_at - self._slack_s
        if due <= self._loop.time():
            self._timer = self._loop.call_soon(self.flush)
        else:
            self._timer = self._loop.call_at(due, self.flush)

    def _relieve(self) -> None:
        """Keep what is pending bounded, however long the period and however fast the readings."""
        if self.key.options.period_s:
            begun, count = time.perf_counter(), len(self._pending)
            self._pending[:] = newest(self._pending)
            self._taken += count - len(self._pending)
            self._spent_s += time.perf_counter() - begun
            # Events and very many channels remain: try again when twice as many have come.
            self._full_at = max(MAX_PENDING, 2 * len(self._pending))
        if len(self._pending) >= MAX_PENDING:
            # Not at once: the publisher is iterating over the bus's list of sinks.
            self._full_at = sys.maxsize
            assert self._timer is not None, "something is pending"
            self._timer.cancel()
            self._timer = self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what is pending to every member; this makes a boundary."""
        begun = time.perf_counter()
        self._cancel_timer()
        self._full_at = MAX_PENDING
        self._next_at = max(self._next_at, self._loop.time()) + self._window_s
        pending = records = self._pending
        self._pending = []
        self._append = self._pending.append
        reached = self._bus.log.tail
        if self._thinning is not None:
            records = self._thinning.thin(pending)
        if self._members and records:
            # From here on: a member that an announcement makes leave has had none of these yet.
            self._is_flushing = True
            self._announce()
            for cursor, data in frames(self._codec, self.stream, reached, records):
                # Before writing: a member that a write makes leave has had this frame.
                self._reached = reached if cursor is None else cursor
                for write in self._writes:
                    write(data)
            self._is_flushing = False
        self._reached = self._pending[0].offset if self._pending else reached
        self._taken += len(pending)
        self._spent_s += time.perf_counter() - begun
        waiting, self._waiting = self._waiting, {}
        for member in waiting:
            member.boundary(pending)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def announcements(self, start: int) -> Sequence[bytes]:
        """Encode the announcements of the channels from a place in `channels` on.

        Members that join together get the same announcements: they are encoded once.
        """
        count = len(self.channels)
        if self._made[:2] != (start, count):
            made = tuple(announcements(self._codec, self.channels[start:]))
            self._made = (start, count, made)
        return self._made[2]

    def _announce(self) -> None:
        if self._announced < len(self.channels):
            for data in announcements(self._codec, self.channels[self._announced :]):
                for write in self._writes:
                    write(data)
            self._announced = len(self.channels)

    def wait(self, member: Member) -> None:
        """Have `Member.boundary` called at the next flush."""
        self._wake()
        self._waiting[member] = None

    def join(self, member: Member) -> None:
        """Send to ``member`` from here on.

        Its cursor is at the boundary, and all ``channels`` were announced to it.
        """
        self._wake()
        self._announce()
        # What was sent to the others is no reason to withhold anything from the newcomer.
        self._thinning = Thinning.of(self.key.options)
        self._members[member] = member.write
        self._writes = tuple(self._members.values())

    def leave(self, member: Member) -> tuple[int, int]:
        """Remove ``member``.

        Return the offset up to which it was served, and how many channels were announced to it.
        """
        self._waiting.pop(member, None)
        if self._members.pop(member, None) is not None:
            self._writes = tuple(self._members.values())
        return self.boundary, self._announced


class Groups:
    """All groups, by what their members have in common, and the numbers of all streams."""

    def __init__(self, bus: Bus, loop: asyncio.AbstractEventLoop) -> None:
        self._bus = bus
        self._loop = loop
        self.turns = Turns(loop)
        """For those that are behind their group."""
        self.past = PastFrames()
        """What is made for them."""
        self._groups: dict[Key, Group] = {}
        self._streams = 0
        self._budget: Budget[Member] = Budget()
        self._due: dict[
            Member, float
        ] = {}  # held back with nothing left to read: when each continues
        self._review_timer: asyncio.Handle | None = None
        self._reviewed_s = 0.0

    def __len__(self) -> int:
        return len(self._groups)

    def flush(self) -> None:
        """Send everything that is pending; a group that cannot keeps no other from it.

        Raises:
            ExceptionGroup: What the groups raised that could not.
        """
        errors = []
        for group in tuple(self._groups.values()):
            try:
                group.flush()
            except Exception as exc:  # noqa: BLE001  # carried to the caller
                errors.append(exc)
        if errors:
            raise ExceptionGroup("groups could not be flushed", errors)

    def next_stream(self) -> int:
        """Return a stream number that was never used before."""
        self._streams += 1
        return self._streams

    def enter(self, key: Key, held_bytes: int = 0) -> Group:
        """Return the group of this key for one more user; create it if necessary.

        ``held_bytes`` is the memory of the channels of the user's other groups.

        Raises:
            ProtocolError: It would be a new one, and the channels of all use too much memory.
        """
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._made(key, held_bytes)
        group.users += 1
        return group

    def _made(self, key: Key, held_bytes: int) -> Group:
        group = Group(key, self.next_stream(), self._bus, self._loop, self._busy)
        group.open()
        own = group.list_bytes
        if is_too_wide(
            sum(one.list_bytes for one in self._groups.values()) + own, held_bytes + own
        ):
            group.close()
            text = (
                f"different subscriptions select too many channels; this one {len(group.channels)}:"
                " use the same filters and options as others, or select less"
            )
            raise ProtocolError("too_many", text)
        return group

    def release(self, group: Group) -> None:
        """Release a group; without users it is closed."""
        group.users -= 1
        if not group.users:
            group.close()
            del self._groups[group.key]

    # -- the budget --------------------------------------------------------------------------------

    @property
    def held_clients(self) -> set[object]:
        """Those who have subscriptions that are held back."""
        return {member.client for member in self._budget}

    def admits(self, member: Member, group: Group) -> bool:
        """Return whether a subscription that has caught up may join its group.

        If not, it is held back from now on.
        """
        if member in self._budget:
            return False
        now_s = self._loop.time()
        if group.members or not self._budget.is_cautious(now_s):
            return True
        self._budget.hold(member, LIVE_SHARE / len(self._groups), now_s)
        group.doze()
        return False

    def rest(self, member: Member) -> None:
        """Have `Member.go_on` called after a while: it is held back, and has all there is."""
        self._due[member] = self._loop.time() + WIDE_S
        self._review_later()

    def forget(self, member: Member) -> None:
        """Forget a subscription: it is closed."""
        self._budget.forget(member)
        self._due.pop(member, None)

    def _busy(self) -> None:
        # With a single group no client is held back: no other would gain.
        if self._review_timer is None and len(self._groups) > 1:
            self._review_later()

    def _review_later(self) -> None:
        if self._review_timer is None:
            self._reviewed_s = self._loop.time()
            self._review_timer = self._loop.call_later(REVIEW_S, self._review)

    def _review(self) -> None:
        """See what the groups have cost, and hold back or release subscriptions."""
        self._review_timer = None
        now_s = self._loop.time()
        elapsed_s = max(REVIEW_S, now_s - self._reviewed_s)
        shares = [(group, group.spent_s() / elapsed_s) for group in self._groups.values()]
        share = sum(one for _, one in shares)
        if self._budget.is_over(share, elapsed_s - REVIEW_S, now_s):
            self._hold_back(shares, now_s)
        else:
            for member in self._budget.released(share, now_s, self._due):
                self._due.pop(member, None)
                member.release()
        for member in [member for member, due_s in self._due.items() if due_s <= now_s]:
            del self._due[member]
            member.go_on()
        if share or self._budget or self._due:
            self._review_later()

    def _hold_back(self, shares: Sequence[tuple[Group, float]], now_s: float) -> None:
        charges: list[Charge[Member]] = []
        for group, share in shares:
            if not group.members:
                group.doze()
            charges += [
                Charge(member, member.client, share / len(group.members))
                for member in group.members
            ]
        for charge in to_hold(charges, ROOM_SHARE):
            self._budget.hold(charge.member, charge.share, now_s)
            charge.member.hold_back()
        for group, _ in shares:
            group.doze()
