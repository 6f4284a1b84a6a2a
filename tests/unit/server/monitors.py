"""Monitors that keep the books: what each subscription asked for, and what it was given.

A `World` is the daemon from its bus to its sessions, on a loop that the test turns by hand. A
`Monitor` is a client at the other end of a `Wire`, which is congested when the test says so. It
sends encoded requests, decodes every packet and enters it into the `Ledger` of its subscription,
which fails as soon as `docs/protocol.md`, section 6, is broken:

    the readings of the frames, together with those named in gaps, are exactly the readings that
    were selected from the starting position on, in log order, each once

The ledgers know the log only as the list of all records ever published, so they share no idea of
blocks, pieces, groups or boundaries with the code that they watch.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from websockets.frames import Opcode

from sensord.access.gate import Entry, Origin
from sensord.bus import Bus
from sensord.config.tree import Control
from sensord.device.policy import is_change
from sensord.log import Archive, Log
from sensord.log.archive import Fetched, Wanted
from sensord.log.journal import Hole
from sensord.log.journal.timeline import Shifts
from sensord.log.seats import Seats
from sensord.model.readings import (
    GOOD,
    Channel,
    Kind,
    Level,
    Metadata,
    Quality,
    Reading,
    Reason,
    Record,
    Value,
    ValueType,
)
from sensord.model.topics import matches
from sensord.server.live.group import Groups
from sensord.server.packets import Write
from sensord.server.session import Session
from sensord.server.shared import Limits, Shared, control_for
from sensord.sharing.sharing import Sharing
from sensord.wire.frames import Codec, DecodedFrame, Message
from sensord.wire.ops.subscriptions import read_channel
from tests.unit.manual import ManualClock, manual_loop

__all__ = [
    "EPOCH",
    "KINDS",
    "STALE",
    "Answer",
    "Ledger",
    "Monitor",
    "Wire",
    "World",
    "payload_of",
    "settle",
]

EPOCH = "e1"

SEATS = 2
"""Few, so that some often wait for one."""

STATE = Metadata()
EVENT = Metadata(ValueType.STRING, kind=Kind.EVENT)
OBJECT = Metadata(ValueType.JSON)

KINDS: dict[str, Metadata] = {
    "a": STATE,
    "a/x": STATE,
    "a/y": EVENT,
    "b/x": OBJECT,
    "b/y/z": STATE,
    "c": EVENT,
    "$sys/x": STATE,
}
"""The topics of this world; each becomes a channel when it is first published."""

STALE = Quality(Level.UNCERTAIN, Reason.STALE)


def payload_of(packet: bytes) -> tuple[Opcode, bytes]:
    """Take the header off one whole, unmasked WebSocket message."""
    assert packet[0] & 0xF0 == 0x80, "one frame, no extension"
    length, start = packet[1], 2
    assert length < 128, "a server does not mask"
    if length >= 126:
        start = 4 if length == 126 else 10
        length = int.from_bytes(packet[2:start], "big")
    assert len(packet) == start + length
    return Opcode(packet[0] & 0x0F), packet[start:]


class Shelf:
    """A journal, as those who read it see it: it loses its old end, has holes, and takes its time.

    What is published stands on it at once, unless it is stuck; what leaves the memory meanwhile is
    never written.
    """

    CHUNK = 3
    CHUNKS_AT_ONCE = 2

    def __init__(self, world: World) -> None:
        self.first = world.first
        self.seats = Seats(SEATS)
        self.is_stuck = False
        self.turns = 0
        """How many turns of the loop reading takes, one at least."""
        self._world = world
        self._stuck_at = world.first
        self._holes: list[Hole] = []

    @property
    def end(self) -> int:
        """The offset behind the last reading that was written."""
        return self._stuck_at if self.is_stuck else self._world.log.tail

    def first_us(self, _shifts: Shifts) -> int | None:
        """When the oldest reading was logged."""
        held = self._world.between(self.first, self.end)
        return held[0].log_us if held else None

    def holds(self, offset: int) -> bool:
        """Tell whether a reading can be had."""
        return self.first <= offset < self.end and self._hole_at(offset) is None

    def retire(self, count: int) -> None:
        """Remove old readings."""
        self.first = min(self.first + count, self.end)

    def damage(self, offset: int, count: int) -> None:
        """Lose readings in the middle."""
        self._holes.append(Hole(offset, count, "damaged"))

    def stick(self) -> None:
        """Stop writing."""
        self._stuck_at, self.is_stuck = self.end, True

    def go_on(self) -> None:
        """Write again; what the memory has dropped meanwhile is a hole."""
        dropped = self._world.log.first - self._stuck_at
        if dropped > 0:
            self._holes.append(Hole(self._stuck_at, dropped, "not written"))
        self.is_stuck = False

    def fetch(self, wanted: Wanted, limit: int, done: Callable[[Fetched], None]) -> None:
        """Read a piece, some turns later."""
        self._wait(self.turns, wanted, limit, done)

    def _wait(
        self, turns: int, wanted: Wanted, limit: int, done: Callable[[Fetched], None]
    ) -> None:
        if turns:
            self._world.loop.call_soon(self._wait, turns - 1, wanted, limit, done)
        else:
            self._world.loop.call_soon(lambda: done(self._read(wanted, limit)))

    def _read(self, wanted: Wanted, limit: int) -> Fetched:
        position, records, holes = wanted.start, list[Record](), list[Hole]()
        for _ in range(self.CHUNKS_AT_ONCE):
            stop = min(position + self.CHUNK, wanted.stop, max(self.end, self.first))
            if position < min(self.first, wanted.stop):
                stop = min(self.first, wanted.stop)
                holes.append(Hole(position, stop - position, "removed by retention"))
            elif position >= stop:
                break
            elif (hole := self._hole_at(position)) is not None:
                stop = min(hole.end, wanted.stop)
                holes.append(Hole(position, stop - position, hole.reason))
            else:
                stop = min([stop, *(h.first for h in self._holes if h.first > position)])
                records += [r for r in self._world.between(position, stop) if _is(wanted, r)]
            position = stop
            if len(records) >= limit:
                break
        return Fetched(records, holes, position)

    def _hole_at(self, offset: int) -> Hole | None:
        return next((hole for hole in self._holes if hole.first <= offset < hole.end), None)


def _is(wanted: Wanted, record: Record) -> bool:
    assert wanted.topics is not None
    is_within = wanted.window.holds(record.offset, record.log_us)
    is_asked = any(matches(pattern, record.channel.topic) for pattern in wanted.topics)
    return is_within and is_asked


def value_at(offset: int, channel: Channel, padding: int) -> Value:
    """Return the value that tells a reading's offset."""
    match channel.metadata.type:
        case ValueType.FLOAT:
            return float(offset)
        case ValueType.STRING:
            return f"{offset}{'.' * padding}"
        case _:
            return {"n": offset, "text": "." * padding}


class World:
    """The daemon from its bus to its sessions, and the list of all that was published."""

    def __init__(
        self,
        capacity: int = 1024,
        first: int = 0,
        *,
        has_journal: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.loop = manual_loop()
        self.clock = ManualClock()
        self.log = Log(EPOCH, capacity, first)
        self.bus = Bus(self.log, self.clock)
        self.groups = Groups(self.bus, self.loop)
        self.records: list[Record] = []
        self.by_time: dict[int, Record] = {}
        """By the time that a frame tells: no two readings of this world share one."""
        self.last: dict[int, Record] = {}
        """By channel number, the last record."""
        self.first = first
        self.owners: dict[int, Ledger | None] = {}
        """By stream, whose it is; None if it is a group's."""
        self.shelf = Shelf(self) if has_journal else None
        sharing = Sharing.quiet(self.bus, self.loop)
        self.shared = Shared(
            bus=self.bus,
            archive=cast("Archive | None", self.shelf),
            groups=self.groups,
            loop=self.loop,
            limits=limits or Limits(),
            sharing=sharing,
            control=control_for(self.bus, sharing, self.loop, Control()),
        )
        self._names = itertools.count(1)

    def connect(self, codec: Codec, *, hello: bool = True) -> Monitor:
        """Let another client connect."""
        monitor = Monitor(self, codec, str(next(self._names)))
        if hello:
            monitor.request(op="hello", client="test")
        return monitor

    def publish(
        self,
        topic: str,
        *,
        padding: int = 0,
        quality: Quality = GOOD,
        restates: bool = False,
        value: Value = None,
    ) -> Record:
        """Publish a reading whose value, unless one is given, is its offset."""
        self.clock.move(1000)
        channel = self.bus.channel(topic, KINDS[topic])
        if value is None:
            value = value_at(self.log.tail, channel, padding)
        time_us = self.clock.now_wall_us - (7 if restates else 3)
        record = self.bus.publish(channel, Reading(time_us, value, quality, restates))
        return self._note(record)

    def publish_all(self, topics: Sequence[str], *, padding: int, quality: Quality) -> None:
        """Publish readings that arrive together, with source times of their own."""
        self.clock.move(1000)
        log_us, tail = self.clock.now_wall_us, self.log.tail
        readings: list[tuple[Channel, Reading]] = []
        for i, topic in enumerate(topics):
            channel = self.bus.channel(topic, KINDS[topic])
            value = value_at(tail + i, channel, padding)
            readings.append((channel, Reading(log_us - 8 - i, value, quality)))
        self.bus.publish_all(readings, log_us)
        for i, (channel, reading) in enumerate(readings):
            self._note(Record(tail + i, log_us, channel, reading))

    def _note(self, record: Record) -> Record:
        reported_us = record.log_us if record.reading.restates else record.reading.time_us
        self.records.append(record)
        self.by_time[reported_us] = record
        self.last[record.channel.number] = record
        return record

    def between(self, start: int, stop: int) -> list[Record]:
        """Return the records ``start <= offset < stop``, whether still held or not."""
        return self.records[max(0, start - self.first) : max(0, stop - self.first)]

    @property
    def first_held(self) -> int:
        """The offset of the oldest reading that can be had, holes apart."""
        first = self.log.first
        return first if self.shelf is None else min(first, self.shelf.first)

    def holds(self, offset: int) -> bool:
        """Tell whether a reading can be had."""
        is_kept = self.shelf is not None and self.shelf.holds(offset)
        return offset >= self.log.first or is_kept

    def pass_time(self, seconds: float) -> None:
        """Let time pass; the loop is as busy as the test leaves it."""
        self.loop.now += seconds
        self.clock.move(round(seconds * 1e6))


@dataclass(frozen=True)
class Selection:
    """What a subscription asks for."""

    topics: tuple[str, ...]
    mode: str = "every"
    period: float = 0.0
    deadband: float = 0.0

    def has(self, topic: str) -> bool:
        """Tell whether it selects a topic."""
        return any(matches(pattern, topic) for pattern in self.topics)

    @property
    def is_thinned(self) -> bool:
        """Whether it asked to be spared some readings."""
        return bool(self.period or self.deadband)


@dataclass
class Gap:
    """A gap that was told and not yet passed."""

    reason: str
    start: int
    stop: int
    left: Counter[str] | None
    """By topic, the readings named in it that were not yet passed; None if nobody knows."""
    must: set[int]
    """Offsets inside it that must come all the same."""


@dataclass
class Turn:
    """A subscription's beginning, or a change of it, whose place in the log was not told yet."""

    selection: Selection
    tail: int
    """The log's end when it was asked for: it cannot take effect later."""
    snapshot: dict[int, int]
    """By offset, the channel number of what may come as a snapshot."""


class Ledger:
    """What one subscription is owed, and what it was given."""

    def __init__(self, world: World, number: int) -> None:
        self.number = number
        self.got: list[int] = []
        """Offsets received, snapshots apart, in the order of their coming."""
        self.lost = 0
        """Readings that gaps counted."""
        self.phases: list[str] = []
        self.stream: int | None = None
        self.selection = Selection(())
        self.position = 0
        """Everything selected before it was received or named in a gap."""
        self.is_over = False
        self._world = world
        self._turns: list[Turn] = []
        self._snapshot: list[int] = []  # offsets of the snapshots since the last turn
        self._gaps: list[Gap] = []
        self._restart: str | None = None
        self._since_us = 0
        self._owes_gap = False
        self._sent: dict[int, Record] = {}
        self._withheld: dict[int, Record] = {}

    @property
    def wanted(self) -> Selection:
        """What was asked for last, whether it has taken effect or not."""
        return self._turns[-1].selection if self._turns else self.selection

    # -- what the client asks ----------------------------------------------------------------------

    def begin(self, selection: Selection, start: int | str) -> None:
        """Note that it begins at an offset, or ``now``, or with a ``snapshot``, or again."""
        tail = self._world.log.tail
        self.position = start if isinstance(start, int) else tail
        self._restart = start if start in {"epoch_changed", "ahead"} else None
        snapshot = {}
        if self._restart or start == "snapshot":
            snapshot = self._last_values(selection.has)
        self._turns.append(Turn(selection, self.position, snapshot))
        self.selection = selection

    def begin_since(self, selection: Selection, time_us: int) -> None:
        """Note that it begins with what was logged at or after a time."""
        world = self._world
        self.begin(selection, world.first_held)
        self._turns[-1].tail = world.log.tail  # nobody is told where that time is in the log
        self._since_us = time_us
        gone = world.between(world.first, world.first_held)
        self._owes_gap = any(self._wants(record) for record in gone)

    def change(self, selection: Selection) -> None:
        """Note that it is changed."""
        old = self.wanted
        snapshot = self._last_values(lambda topic: selection.has(topic) and not old.has(topic))
        self._turns.append(Turn(selection, self._world.log.tail, snapshot))

    def _last_values(self, wanted: Callable[[str], bool]) -> dict[int, int]:
        last = self._world.last.values()
        return {r.offset: r.channel.number for r in last if wanted(r.channel.topic)}

    # -- what the server tells ---------------------------------------------------------------------

    def told_phase(self, stream: int, phase: str, cursor: int | None) -> None:
        """Enter a ``stream`` message."""
        assert not self.is_over
        self.stream = stream
        self.phases.append(phase)
        owner = None if phase == "live" else self
        assert self._world.owners.setdefault(stream, owner) is owner, "a number has one meaning"
        if phase == "snapshot":
            assert cursor is None
            assert self._restart is None, "the gap comes before the last values"
            return
        assert not self._owes_gap, "what is gone is named first"
        if cursor is None:
            assert self._since_us, "only a time must be looked for"
            cursor = self.position
        self._resolve(cursor)
        self._advance(cursor, [])

    def told_gap(self, message: Message) -> None:
        """Enter a ``gap``."""
        assert not self.is_over
        reason, start, stop = message["reason"], message["from"], message["to"]
        lost = message["lost"]
        assert message["count"] == (None if lost is None else sum(lost.values()))
        if start is None and reason == "expired":
            assert self._since_us, "only a time may have gone with nobody knowing which offset"
            assert stop == self._world.first_held
            assert lost is None
            self._owes_gap = False
            return
        if start is None:
            assert reason == self._restart, "a restart must have a cause"
            assert stop is lost is None
            self._restart = None
            return
        assert not self._turns, "the phase is told first"
        self._advance(start, [])
        inside = [r for r in self._world.between(start, stop) if self._wants(r)]
        if reason in {"expired", "missing"}:
            assert stop <= self._world.log.first, "what is still held has not expired"
            assert not any(self._world.holds(r.offset) for r in inside)
            last = set(self._last_values(self.selection.has))
            must = {r.offset for r in inside} & last
        else:
            assert reason == "conflated"
            assert self.selection.mode == "latest"
            assert self.phases[-1] == "lagging"
            newest = {r.channel.number: r.offset for r in inside}
            must = {r.offset for r in inside if r.channel.is_event} | set(newest.values())
            assert all(KINDS[topic].kind is Kind.STATE for topic in lost)
        if lost is not None:
            assert all(count > 0 for count in lost.values())
            self.lost += sum(lost.values())
        left: Counter[str] | None = None if lost is None else Counter(lost)
        self._gaps.append(Gap(reason, start, stop, left, must))

    def received(self, frame: DecodedFrame, offsets: list[int]) -> None:
        """Enter a data frame."""
        assert not self.is_over
        if frame.cursor is None:
            assert self.phases[-1] == "snapshot"
            self._snapshot += offsets
            return
        assert self.phases[-1] != "snapshot"
        assert not self._turns, "a change is told"
        self._advance(frame.cursor, offsets)

    def settle(self) -> None:
        """Everything was read and the world is at rest: nothing may be owed any more."""
        assert not self._turns, "a change is told"
        assert self.phases[-1] == "live"
        self._advance(self._world.log.tail, [])
        assert not self._gaps
        for number, record in self._withheld.items():
            assert self._is_close(record, self._sent.get(number)), f"{record} was never sent"

    # -- the books ---------------------------------------------------------------------------------

    def _wants(self, record: Record, selection: Selection | None = None) -> bool:
        has = (selection or self.selection).has(record.channel.topic)
        return has and record.log_us >= self._since_us

    def _resolve(self, cursor: int) -> None:
        """Find the place at which the turns took effect; there must be one."""
        if not self._turns:
            return
        turns, self._turns = self._turns, []
        snapshot, self._snapshot = Counter(self._snapshot), []
        # Not inside a gap that was told: it is part of what came before.
        earliest = max([self.position, *(gap.stop for gap in self._gaps)])
        latest = min([cursor, *(turn.tail for turn in turns)])
        faults = []
        for place in range(earliest, latest + 1):
            fault = self._fault_of(place, cursor, turns, snapshot)
            if fault is None:
                self._advance(place, [])
                break
            faults.append(f"{place}: {fault}")
        else:
            raise AssertionError(f"between {self.position} and {cursor}: {faults}")
        self.selection = turns[-1].selection
        self._withheld.clear()  # rightly, as was asked for then
        for offset in snapshot:
            (record,) = self._world.between(offset, offset + 1)
            self._note_sent(record)

    def _fault_of(
        self, place: int, cursor: int, turns: Sequence[Turn], snapshot: Counter[int]
    ) -> str | None:
        """Say why the turns cannot have taken effect at ``place``."""
        for record in self._world.between(self.position, place):
            may_be_withheld = self.selection.is_thinned and not record.channel.is_event
            if self._wants(record) and not self._gap_around(record) and not may_be_withheld:
                return "the old selection lost readings"
        new = turns[-1].selection
        if any(self._wants(r, new) for r in self._world.between(place, cursor)):
            return "the new selection lost readings"
        wanted = Counter(offset for turn in turns for offset in turn.snapshot if offset < place)
        return None if wanted == snapshot else f"snapshot of {snapshot}, not {wanted}"

    def _advance(self, cursor: int, offsets: list[int]) -> None:
        """Go on to ``cursor`` with these readings."""
        assert cursor >= self.position, "the cursor went back"
        assert offsets == sorted(set(offsets)), "out of order, or twice"
        assert all(self.position <= offset < cursor for offset in offsets), (
            f"{offsets} not in {self.position}..{cursor}"
        )
        came = set(offsets)
        for record in self._world.between(self.position, cursor):
            if record.offset in came:
                assert self._wants(record), f"{record} was not asked for"
                self._note_sent(record)
            elif self._wants(record):
                self._note_missing(record)
        for gap in self._gaps:
            gap.must -= came
            if cursor >= gap.stop:
                assert not gap.must, f"{gap.must} should have come in spite of the gap"
                assert not gap.left, f"{gap.left} were named as lost and were not"
        self._gaps = [gap for gap in self._gaps if cursor < gap.stop]
        self.position = cursor
        self.got += offsets

    def _note_sent(self, record: Record) -> None:
        self._sent[record.channel.number] = record
        self._withheld.pop(record.channel.number, None)

    def _note_missing(self, record: Record) -> None:
        gap = self._gap_around(record)
        if gap is not None:
            if gap.left is not None:
                topic = record.channel.topic
                assert gap.left[topic], f"{record} is missing and not named"
                gap.left -= Counter([topic])
            return
        assert self.selection.is_thinned, f"{record} is missing and not named"
        assert not record.channel.is_event, f"{record} is an event and was withheld"
        if not self.selection.period:
            last = self._sent.get(record.channel.number)
            assert self._is_close(record, last), f"{record} was withheld after {last}"
        self._withheld[record.channel.number] = record

    def _gap_around(self, record: Record) -> Gap | None:
        return next((gap for gap in self._gaps if gap.start <= record.offset < gap.stop), None)

    def _is_close(self, record: Record, last: Record | None) -> bool:
        if not self.selection.deadband or last is None:
            return False
        return not is_change(last.reading, record.reading, self.selection.deadband, 0.0)


class Wire:
    """A client's connection, whose unsent bytes pass the mark when the test says so."""

    def __init__(self, arrived: Callable[[bytes], None]) -> None:
        self.is_congested = False
        self.clogs_after: int | None = None
        """After so many more writes it is congested, wherever that is."""
        self.closed_with: int | None = None
        self.session: Session | None = None
        self._arrived = arrived
        self.write: Write = self._write

    def _write(self, data: bytes, /) -> None:
        self._arrived(data)
        if self.clogs_after is not None:
            self.clogs_after -= 1
            if self.clogs_after <= 0:
                self.clog()

    def clog(self) -> None:
        """Pass the mark."""
        self.clogs_after = None
        if not self.is_congested:
            self.is_congested = True
            assert self.session is not None
            self.session.congested()

    def unclog(self) -> None:
        """Have read enough; may clog again at once."""
        self.is_congested = False
        assert self.session is not None
        self.session.drained()

    def close(self, code: int, reason: str) -> None:
        assert reason
        self.closed_with = code

    @property
    def entry(self) -> Entry | None:
        return None

    @property
    def origin(self) -> Origin:
        return Origin.LOOPBACK

    def request_ended(self) -> None:
        """Do nothing: others may be open."""

    def deny(self, act: Callable[[], None]) -> None:
        act()

    def let_in(self) -> None:
        pass

    def guard(self, act: Callable[..., None], *args: object) -> bool:
        act(*args)
        return True


@dataclass
class Answer:
    """What came back for a request, snapshots and streams apart."""

    result: Message | None = None
    error: Message | None = None
    readings: list[int] = field(default_factory=list)
    has_ended: bool = False


class Monitor:
    """A client that checks everything that it is told."""

    def __init__(self, world: World, codec: Codec, name: str) -> None:
        self.wire = Wire(self._arrived)
        self.session = Session(
            name=name,
            slot=int(name),
            address="test",
            codec=codec,
            outlet=self.wire,
            shared=world.shared,
        )
        self.wire.session = self.session
        self.ledgers: dict[int, Ledger] = {}
        """By id, the subscriptions that are open."""
        self.answers: dict[int, Answer] = {}
        self.told: list[Message] = []
        self.channels: dict[int, Channel] = {}
        self.frames = 0
        self._world = world
        self._codec = codec
        self._ids = itertools.count(1)
        self._inbox: deque[Message] = deque()
        self._gets: dict[int, int] = {}  # stream of an unfinished get -> its id

    # -- asking ------------------------------------------------------------------------------------

    def request(self, **fields: Any) -> int:
        """Send a request; it is served when the wire is not congested, as a connection does it."""
        number = next(self._ids)
        self._inbox.append({**fields, "id": number})
        self._serve()
        return number

    def subscribe(self, *topics: str, **fields: Any) -> Ledger:
        """Subscribe, on a wire that is not congested."""
        return self.ledgers[self.request(op="subscribe", topics=list(topics), **fields)]

    def error(self, number: int) -> str:
        """Return the code of the error that answered a request."""
        message = self.answers[number].error
        assert message is not None
        code: str = message["code"]
        return code

    def unclog(self) -> None:
        """Read what is there."""
        self.wire.unclog()
        self._serve()

    def last_values(self, topics: Sequence[str]) -> list[int]:
        """Return the offsets of the last values that the filters select."""
        selection = Selection(tuple(topics))
        last = self._world.last.values()
        return sorted(r.offset for r in last if selection.has(r.channel.topic))

    def leave(self) -> None:
        """Break the connection."""
        self.session.ended()
        self.ledgers.clear()
        self._inbox.clear()

    def _serve(self) -> None:
        while self._inbox and not self.wire.is_congested:
            message = self._inbox.popleft()
            self.answers[message["id"]] = Answer()
            self._note(message)
            self.session.received(self._codec.message(message), is_text=self._codec.is_text)

    def _note(self, message: Message) -> None:
        """Tell the ledgers what is asked, before it takes effect."""
        match message:
            case {"op": "subscribe", "change": number} if number in self.ledgers:
                self.ledgers[number].change(_selection(message))
            case {"op": "subscribe", "id": number} if "change" not in message:
                ledger = self.ledgers[number] = Ledger(self._world, number)
                self._begin(ledger, _selection(message), message.get("from", "snapshot"))
            case {"op": "unsubscribe", "subscription": number, "topics": topics}:
                ledger = self.ledgers[number]
                left = tuple(t for t in ledger.wanted.topics if t not in topics)
                if left:
                    ledger.change(replace(ledger.wanted, topics=left))

    def _begin(self, ledger: Ledger, selection: Selection, start: object) -> None:
        """Work out where a subscription has to begin."""
        log = self._world.log
        match start:
            case {"epoch": epoch, "offset": _} if epoch != EPOCH:
                ledger.begin(selection, "epoch_changed")
            case {"epoch": _, "offset": int(offset)}:
                ledger.begin(selection, "ahead" if offset > log.tail else offset)
            case {"time_us": int(time_us)}:
                ledger.begin_since(selection, time_us)
            case str() if start.startswith("-"):
                ago_us = round(float(start[1:-1]) * {"s": 1_000_000, "m": 60_000_000}[start[-1]])
                ledger.begin_since(selection, self._world.clock.now_wall_us - ago_us)
            case _:
                assert isinstance(start, str)
                ledger.begin(selection, start)

    # -- being told --------------------------------------------------------------------------------

    def _arrived(self, packet: bytes) -> None:
        opcode, payload = payload_of(packet)
        assert opcode is (Opcode.TEXT if self._codec.is_text else Opcode.BINARY)
        message = self._codec.decode(payload)
        if isinstance(message, list):
            self._frame(message)
        else:
            assert isinstance(message, dict)
            self.told.append(message)
            self._control(message)

    def _frame(self, message: list[object]) -> None:
        self.frames += 1
        frame = self._codec.read_frame(message, lambda number: self.channels[number].metadata)
        offsets = [
            self._recognised(one.channel, one.reported_us, one.reading) for one in frame.readings
        ]
        if frame.stream in self._gets:
            assert frame.cursor is None
            self.answers[self._gets[frame.stream]].readings += offsets
            return
        assert not self.wire.is_congested, "a data frame for a client that does not read"
        (ledger,) = [one for one in self.ledgers.values() if one.stream == frame.stream]
        ledger.received(frame, offsets)

    def _recognised(self, number: int, reported_us: int, reading: Reading) -> int:
        """Return the offset of a reading, which must be the published one to the bit."""
        record = self._world.by_time[reported_us]
        assert (number, reading) == (record.channel.number, record.reading)
        assert type(reading.value) is type(record.reading.value)
        return record.offset

    def _control(self, message: Message) -> None:
        match message["op"]:
            case "channels":
                for told in message["channels"]:
                    self._announced(read_channel(told))
            case "result":
                self.answers[message["id"]].result = message
                if "stream" in message and message["id"] not in self.ledgers:
                    self._gets[message["stream"]] = message["id"]
            case "error":
                self.answers[message["id"]].error = message
                self.ledgers.pop(message["id"], None)
            case "stream":
                ledger = self.ledgers[message["id"]]
                others = [one.stream for one in self.ledgers.values() if one is not ledger]
                assert message["stream"] not in others, "two subscriptions are two streams"
                ledger.told_phase(message["stream"], message["phase"], message["cursor"])
            case "gap":
                self.ledgers[message["id"]].told_gap(message)
            case "end":
                if "stream" in message:
                    self._gets.pop(message["stream"], None)
                self.answers[message["id"]].has_ended = True
                ended = self.ledgers.pop(message["id"], None)
                if ended is not None:
                    ended.is_over = True
            case other:
                raise AssertionError(other)

    def _announced(self, channel: Channel) -> None:
        known = self.channels.setdefault(channel.number, channel)
        assert (known.topic, known.metadata) == (channel.topic, channel.metadata)
        assert KINDS[channel.topic] == channel.metadata


def _selection(message: Message) -> Selection:
    return Selection(
        tuple(message["topics"]),
        message.get("mode", "every"),
        message.get("period", 0.0),
        message.get("deadband", 0.0),
    )


def settle(world: World, monitors: Iterable[Monitor]) -> None:
    """Let everybody read and the world come to rest; then nothing may be owed."""
    monitors = list(monitors)
    for _ in range(100):
        for monitor in monitors:
            monitor.wire.clogs_after = None
            if monitor.wire.is_congested:
                monitor.unclog()
        world.loop.drain()
        if not any(monitor.wire.is_congested for monitor in monitors):
            break
    for monitor in monitors:
        for ledger in monitor.ledgers.values():
            ledger.settle()
