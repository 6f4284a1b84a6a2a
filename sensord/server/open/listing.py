"""Listings: topics, devices or clients as rows, and with ``follow`` each change of them.

Theory of operation. What is to be told stands under a key, by which a client knows the row: at
first all there is, later what changed. A turn of the loop takes some out and tells them. So a row
that changes often while its client does not read waits once, and nothing else is held.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import ClassVar

from sensord.model.readings import Channel, Record, Value
from sensord.server.open.caller import Caller
from sensord.server.open.outgoing import Outgoing
from sensord.server.open.rows import ROWS, row_packets
from sensord.wire.frames import Message
from sensord.wire.ops.queries import Complete, Rows
from sensord.wire.ops.subscriptions import write_metadata

__all__ = ["Clients", "Devices", "Listing", "Topics"]


class Listing(ABC):
    """An open request for rows."""

    def __init__(
        self, number: int, caller: Caller, filters: tuple[str, ...], *, is_following: bool
    ) -> None:
        self.lost: Counter[str] = Counter()
        """Stays empty: it tells what is there."""
        self._number = number
        self._caller = caller
        self._bus = caller.shared.bus
        self._filters = filters
        self._is_following = is_following
        self._is_attached = False
        self._untold: dict[str, Callable[[], Message | None]] = {}
        self._left = 0
        """So many of them are the answer; what comes behind them are changes."""
        self._is_complete = False
        self._outgoing = Outgoing(caller)
        self._turn: asyncio.Handle | None = None
        self._is_closed = False

    def begin(self) -> None:
        """Begin; the request has been answered."""
        self._gather()
        self._left = len(self._untold)
        if self._is_following:
            self._attach()
            self._is_attached = True
        self._go_on()

    def congested(self) -> None:  # noqa: B027  # there is nothing to do
        """Wait: `_go_on` looks before each packet."""

    def drained(self) -> None:
        """Go on."""
        if self._turn is None and not self._is_closed:
            self._go_on()

    def close(self) -> None:
        """Send no more."""
        self._is_closed = True
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if self._is_attached:
            self._detach()
            self._is_attached = False

    # -- for those who know what is listed ---------------------------------------------------------

    @abstractmethod
    def _gather(self) -> None:
        """Note all there is."""

    @abstractmethod
    def _attach(self) -> None:
        """Let the bus tell of changes."""

    @abstractmethod
    def _detach(self) -> None:
        """Let the bus tell no more."""

    def _note(self, key: str, row: Callable[[], Message | None]) -> None:
        """Take something to be told; ``row`` makes its row then, None if it has none."""
        self._untold[key] = row
        if self._is_attached and self._turn is None:
            self._turn = self._come_back()

    # -- going on ----------------------------------------------------------------------------------

    def _come_back(self) -> asyncio.Handle:
        return self._caller.shared.loop.call_soon(self._caller.guard, self._go_on)

    def _go_on(self) -> None:
        """Send a packet, or make some ready; then come back."""
        self._turn = None
        self._outgoing.send(1)
        if self._caller.is_congested or self._is_closed:
            return
        if not self._outgoing:
            if not self._is_complete and self._left == 0:
                self._is_complete = True
                if not self._is_following:
                    self._caller.end(self._number)
                    return
                self._outgoing.tell(Complete(self._number))
            elif self._untold:
                self._make_ready()
            else:
                return
        self._turn = self._come_back()

    def _make_ready(self) -> None:
        # The answer and what changed meanwhile do not mix: the one is complete, then comes the
        # other.
        keys = list(islice(self._untold, min(ROWS, self._left) or ROWS))
        self._left = max(0, self._left - len(keys))
        made = [row for key in keys if (row := self._untold.pop(key)()) is not None]
        if made:
            codec = self._caller.codec
            self._outgoing.add(row_packets(codec, made, lambda part, _: Rows(self._number, part)))


class Topics(Listing):
    """Which topics there are, with their metadata."""

    def selected(self, channel: Channel) -> None:
        """Learn that a topic is new, or has other metadata."""
        # It may have them only when the bus is done.
        self._note(channel.topic, partial(self._row, channel.topic))

    def _gather(self) -> None:
        for channel in self._bus.select(self._filters):
            self.selected(channel)

    def _attach(self) -> None:
        self._bus.watch(self._filters, self)

    def _detach(self) -> None:
        self._bus.unwatch(self._filters, self)

    def _row(self, topic: str) -> Message | None:
        channel = self._bus.find(topic)
        return None if channel is None else write_metadata(channel)


class _States(Listing):
    """What stands retained under some topics, as maps."""

    FILTER: ClassVar[str]

    def __init__(self, number: int, caller: Caller, *, is_following: bool) -> None:
        super().__init__(number, caller, (self.FILTER,), is_following=is_following)

    def push(self, record: Record) -> None:
        """Learn that something changed."""
        if isinstance(record.reading.value, dict):
            self._take(record, record.reading.value)

    def selected(self, channel: Channel) -> None:
        """Wait for its first record."""

    def _gather(self) -> None:
        for channel in self._bus.select(self._filters):
            record = self._bus.last(channel)
            if record is not None:
                self.push(record)

    def _attach(self) -> None:
        self._bus.attach(self._filters, self)

    def _detach(self) -> None:
        self._bus.detach(self._filters, self)

    @abstractmethod
    def _take(self, record: Record, value: dict[str, Value]) -> None:
        """Note what is new."""


class Devices(_States):
    """Which devices there are, and how they fare."""

    FILTER = "$sys/devices/+"

    def _take(self, record: Record, value: dict[str, Value]) -> None:
        name = record.channel.topic.rpartition("/")[2]
        row: Message = {"device": name, "time_us": record.reading.time_us, **value}
        self._note(name, lambda: row)


class Clients(_States):
    """Who is there."""

    FILTER = "$sys/clients/+"

    def _take(self, _record: Record, value: dict[str, Value]) -> None:
        # Not by its place: that may be another one's before this is told.
        is_part = self._is_attached or value.get("state") != "gone"
        if is_part:
            self._note(str(value.get("id")), lambda: {**value})
