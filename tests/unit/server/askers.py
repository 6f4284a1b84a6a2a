"""Clients that ask about the past, and keep the books of what they are answered.

An `Asker` is a client at the other end of a `Wire` of a `World`. Each of its questions has a book,
which knows only the list of all that was ever published. A question that is cancelled can be asked
again from the place it had reached: then the parts together must be what was asked for.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections import Counter, deque
from typing import Any

from sensord.model.readings import Channel, Level, Record, ValueType
from sensord.model.topics import matches
from sensord.server.session import Session
from sensord.wire.frames import Codec, DecodedFrame, Message
from sensord.wire.ops.subscriptions import read_channel
from tests.unit.server.monitors import EPOCH, KINDS, Wire, World, payload_of

__all__ = ["Asker", "Book", "Listed", "Past", "Summed", "simple_summary"]


class Book(ABC):
    """What one question is owed, and what it was answered."""

    def __init__(self, message: Message) -> None:
        self.message = message
        """The question, as it was first asked."""
        self.is_over = False
        """Nothing is owed any more."""

    @abstractmethod
    def again(self) -> Message | None:
        """Return the question for what is still to come, or None if nothing is."""

    @abstractmethod
    def told(self, message: Message, channels: dict[int, Channel]) -> None:
        """Enter a control message."""

    @abstractmethod
    def settle(self) -> None:
        """Nothing may be owed, for the world is at rest."""


class _OfLog(Book):
    """A stretch of the log, with its gaps."""

    def __init__(self, world: World, message: Message) -> None:
        super().__init__(message)
        self.cursor: int | None = None
        self.is_followed = bool(message.get("follow"))
        self._world = world
        log = world.log
        start, stop = message["from"], message.get("to")
        self._start, self._since_us = log.first if "time_us" in start else start["offset"], 0
        if "time_us" in start:
            self._start, self._since_us = world.first_held, start["time_us"]
        self._stop: int | None = None if self.is_followed else log.tail
        self._until_us: int | None = None
        if stop is not None and "time_us" in stop:
            self._until_us = stop["time_us"]
        elif stop is not None:
            self._stop = min(log.tail, stop["offset"])
        self._first_held = world.first_held
        self._gone_before = 0
        self._missed: set[int] = set()

    def asked(self, stop: int | None = None) -> list[Record]:
        """Return what was asked for, whether it can be had or not."""
        end = self._stop if self._stop is not None else self._world.log.tail
        found = self._world.between(self._start, end if stop is None else min(stop, end))
        return [
            record
            for record in found
            if any(matches(pattern, record.channel.topic) for pattern in self.message["topics"])
            and record.log_us >= self._since_us
            and (self._until_us is None or record.log_us < self._until_us)
        ]

    def _told_gap(self, message: Message) -> None:
        start, stop, lost = message["from"], message["to"], message["lost"]
        assert message["reason"] in {"expired", "missing"}
        if start is None:
            assert self._since_us
            end = self._first_held if self._stop is None else min(self._first_held, self._stop)
            assert stop == end or self._until_us is not None
            # Something only if it is asked again.
            self._missed |= {record.offset for record in self.asked(stop)}
            return
        # Asked again up to a time, it is asked up to the new end: nothing there is so old.
        assert self._stop is None or self._until_us is not None or stop <= self._stop
        inside = [record for record in self.asked() if start <= record.offset < stop]
        assert not any(self._world.holds(record.offset) for record in inside)
        if lost is not None:
            assert Counter(lost) == Counter(record.channel.topic for record in inside)
            assert message["count"] == sum(lost.values())
        self._missed |= {record.offset for record in inside}


class Past(_OfLog):
    """Readings of the past."""

    def __init__(self, world: World, message: Message) -> None:
        super().__init__(world, message)
        self.got: list[int] = []
        self.stream: int | None = None

    def again(self) -> Message | None:
        if self.is_over:
            return None
        message = dict(self.message)
        self._first_held = self._world.first_held
        if self.cursor is not None:
            message["from"] = {"epoch": EPOCH, "offset": self.cursor}
        if "limit" in message:
            message["limit"] -= len(self.got)
        if self._stop is not None:
            message["to"] = {"epoch": EPOCH, "offset": self._stop}
            if self._until_us is not None:
                message["to"] = {"time_us": self._until_us}
        return message if message.get("limit") != 0 else None

    def received(self, frame: DecodedFrame, offsets: list[int]) -> None:
        """Enter a data frame."""
        assert frame.cursor is not None
        assert all(self._is_next(offset) for offset in offsets[:1])
        assert offsets == sorted(set(offsets))
        self.got += offsets
        self.cursor = frame.cursor
        self._check(self.cursor)

    def _is_next(self, offset: int) -> bool:
        return offset >= (self.got[-1] + 1 if self.got else 0) and offset not in self._missed

    def _check(self, stop: int) -> None:
        """Everything asked for up to here has come, or was named."""
        wanted = [r.offset for r in self.asked(stop) if r.offset not in self._missed]
        assert self.got == wanted, f"up to {stop}"

    def told(self, message: Message, channels: dict[int, Channel]) -> None:
        del channels
        match message["op"]:
            case "gap":
                if message["from"] is not None:
                    self._check(message["from"])
                self._told_gap(message)
                if self.cursor is not None:  # else it is somewhere behind, but not told where
                    self.cursor = message["to"]
            case "stream":
                assert message["phase"] == "catching_up"
                self.cursor = message["cursor"] if self.cursor is None else self.cursor
            case "end" if "complete" in message:
                self._check(message["cursor"])
                self.cursor = message["cursor"]
                if message["complete"]:
                    assert self._stop is not None
                    self._check(self._stop)
                else:
                    assert len(self.got) == self.message["limit"]
                self.is_over = True
            case "end":
                pass
            case other:
                raise AssertionError(other)

    def settle(self) -> None:
        assert self.is_over


class Summed(_OfLog):
    """Summaries of the past, and of what comes."""

    def __init__(self, world: World, message: Message) -> None:
        super().__init__(world, message)
        self.rows: list[dict[str, Any]] = []
        self.is_complete = False
        self._held: list[dict[str, Any]] = []
        self._interval_us = round(message["interval"] * 1e6)
        self._done = self._start

    def again(self) -> Message | None:
        if self.is_over:
            return None
        self._held.clear()
        self.is_complete = False
        message = dict(self.message)
        self._first_held = self._world.first_held
        if self.cursor is not None:
            message["from"] = {"epoch": EPOCH, "offset": self.cursor}
        if "limit" in message:
            message["limit"] -= len({row["time_us"] for row in self.rows})
        if self._stop is not None:
            message["to"] = {"epoch": EPOCH, "offset": self._stop}
            if self._until_us is not None:
                message["to"] = {"time_us": self._until_us}
        return message if message.get("limit") != 0 else None

    def told(self, message: Message, channels: dict[int, Channel]) -> None:
        match message["op"]:
            case "gap":
                self._told_gap(message)
            case "summary":
                for row in message["rows"]:
                    self._held.append({**row, "channel": channels[row["channel"]].topic})
                if message["cursor"] is not None:
                    self.rows += self._held
                    self._held = []
                    self.cursor = message["cursor"]
                    self._check(message["cursor"])
            case "complete":
                assert self.is_followed
                assert not self.is_complete
                self.is_complete = True
                self.cursor = message["cursor"]
                self._check(message["cursor"])
            case "end" if "complete" in message:
                self._check(message["cursor"])
                if message["complete"]:
                    assert self._stop is not None
                    self._check(self._stop)
                else:
                    intervals = {row["time_us"] for row in self.rows}
                    assert len(intervals) == self.message["limit"]
                self.is_over = True
            case "end":
                pass
            case other:
                raise AssertionError(other)

    def _check(self, stop: int) -> None:
        """All intervals up to here have been told, as the readings themselves add up."""
        records = [r for r in self.asked(stop) if r.offset not in self._missed]
        assert self.rows == simple_summary(records, self._interval_us)

    def settle(self) -> None:
        if self.is_followed:
            assert self.is_complete
            self._check(self._world.log.tail)
        else:
            assert self.is_over


def simple_summary(records: list[Record], interval_us: int) -> list[dict[str, Any]]:
    """Add up readings: the plainest way there is."""
    found: dict[tuple[int, int], list[Record]] = {}
    for record in records:
        if record.reading.restates or record.reading.quality.level is Level.BAD:
            continue
        start_us = record.log_us // interval_us * interval_us
        found.setdefault((start_us, record.channel.number), []).append(record)
    rows = []
    # As they come in the log, interval by interval.
    for (start_us, _), group in sorted(found.items(), key=lambda one: (one[0][0], one[1][0][0])):
        values: list[Any] = [record.reading.value for record in group]
        row = {"channel": group[0].channel.topic, "time_us": start_us, "count": len(values)}
        row |= {"first": values[0], "last": values[-1]}
        if group[0].channel.metadata.type is ValueType.FLOAT:
            mean = sum(values) / len(values)
            row |= {"min": min(values), "max": max(values), "mean": mean}
        rows.append(row)
    return rows


class Listed(Book):
    """Topics, as rows."""

    def __init__(self, world: World, message: Message) -> None:
        super().__init__(message)
        self.rows: dict[str, Message] = {}
        self.is_complete = False
        self._world = world
        self._must = self._topics()

    def _topics(self) -> set[str]:
        filters = self.message["topics"]
        channels = self._world.bus.select(filters)
        return {channel.topic for channel in channels}

    def again(self) -> Message | None:
        self.rows.clear()
        self.is_complete = False
        self._must = self._topics()
        return None if self.is_over else self.message

    def told(self, message: Message, channels: dict[int, Channel]) -> None:
        del channels
        match message["op"]:
            case "rows":
                for row in message["rows"]:
                    topic = row["topic"]
                    kind = KINDS[topic]
                    assert row.get("type", "float") == kind.type.value
                    assert row.get("kind", "state") == kind.kind.value
                    assert topic not in self.rows, "no topic of this world ever changes"
                    assert self.is_complete or topic in self._must
                    self.rows[topic] = row
            case "complete":
                assert set(self.rows) == self._must
                self.is_complete = True
            case "end":
                if not self.message["follow"] and set(self.rows) == self._must:
                    self.is_over = True
            case other:
                raise AssertionError(other)

    def settle(self) -> None:
        if self.message["follow"]:
            assert set(self.rows) == self._topics()
        else:
            assert self.is_over


class Asker:
    """A client that asks, reads, cancels and asks again, and checks every answer."""

    def __init__(self, world: World, codec: Codec, name: str) -> None:
        self.wire = Wire(self._arrived)
        self.session = Session(name, int(name), "test", codec, self.wire, world.shared)
        self.wire.session = self.session
        self.books: dict[int, Book] = {}
        """By id, what is open."""
        self.dropped: list[Book] = []
        """What was cancelled, and may be asked again."""
        self._world = world
        self._codec = codec
        self._ids = itertools.count(1)
        self._inbox: deque[Message] = deque()
        self._channels: dict[int, Channel] = {}
        self._streams: dict[int, Past] = {}
        self.request({"op": "hello", "client": name})

    def request(self, message: Message) -> int:
        """Send a request; it is served when the wire is not congested, as a connection does it."""
        number = next(self._ids)
        self._inbox.append({**message, "id": number})
        self._serve()
        return number

    def ask(self, message: Message) -> None:
        """Ask anew; where nothing is congested, so that the book is opened at the right moment."""
        assert not self.wire.is_congested
        match message["op"]:
            case "topics":
                book: Book = Listed(self._world, message)
            case _:
                kind = Summed if "interval" in message else Past
                book = kind(self._world, message)
        self._open(message, book)

    def _open(self, message: Message, book: Book) -> None:
        # Before the answers come, which may be at once.
        number = next(self._ids)
        self.books[number] = book
        self._inbox.append({**message, "id": number})
        self._serve()

    def cancel(self, which: int) -> None:
        """Cancel something that is open."""
        number = list(self.books)[which % len(self.books)]
        self.request({"op": "cancel", "request": number})

    def ask_again(self) -> None:
        """Ask for the rest of what was cancelled."""
        while self.dropped and not self.wire.is_congested:
            book = self.dropped.pop()
            message = book.again()
            if message is not None:
                self._open(message, book)

    def unclog(self) -> None:
        """Read what is there."""
        self.wire.unclog()
        self._serve()

    def settle(self) -> None:
        """Nothing may be owed."""
        assert not self.dropped
        for book in self.books.values():
            book.settle()

    def _serve(self) -> None:
        while self._inbox and not self.wire.is_congested:
            message = self._inbox.popleft()
            if message["op"] == "cancel" and message["request"] not in self.books:
                continue  # it has ended meanwhile
            self.session.received(self._codec.message(message), is_text=self._codec.is_text)

    def _arrived(self, packet: bytes) -> None:
        message = self._codec.decode(payload_of(packet)[1])
        if isinstance(message, list):
            assert not self.wire.is_congested, "a data frame for a client that does not read"
            self._frame(message)
            return
        assert isinstance(message, dict)
        match message["op"]:
            case "channels":
                for told in message["channels"]:
                    channel = read_channel(told)
                    self._channels.setdefault(channel.number, channel)
            case "result":
                book = self.books.get(message["id"])
                if isinstance(book, Past):
                    self._streams[message["stream"]] = book
            case "end":
                book = self.books.pop(message["id"])
                book.told(message, self._channels)
                if not book.is_over:
                    self.dropped.append(book)
            case _:
                self.books[message["id"]].told(message, self._channels)

    def _frame(self, message: list[object]) -> None:
        frame = self._codec.read_frame(message, lambda number: self._channels[number].metadata)
        offsets = []
        for one in frame.readings:
            record = self._world.by_time[one.reported_us]
            assert (one.channel, one.reading) == (record.channel.number, record.reading)
            offsets.append(record.offset)
        self._streams[frame.stream].received(frame, offsets)
