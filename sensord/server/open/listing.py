"""Listings: topics, devices or clients as rows, and with ``follow`` each change of them.

Theory of operation. Pending rows are kept under a key by which a client recognises the row: at
first all rows, later those that changed. A turn makes some of them and sends them. So a row that
changes often while its client does not read waits once, and nothing else is held.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import ClassVar

from sensord.model.readings import Channel, Record, Value
from sensord.server.open.caller import Caller
from sensord.server.open.request import OpenRequest
from sensord.server.open.rows import ROWS, row_packets
from sensord.wire.frames import Message
from sensord.wire.ops.queries import Complete, Rows
from sensord.wire.ops.subscriptions import write_metadata

__all__ = ["Clients", "Devices", "Listing", "Topics"]


class Listing(OpenRequest):
    """An open request for rows."""

    def __init__(
        self, number: int, caller: Caller, filters: tuple[str, ...], *, is_following: bool
    ) -> None:
        super().__init__(number, caller, caller.shared.groups.turns)
        self._caller = caller
        self._bus = caller.shared.bus
        self._filters = filters
        self._is_following = is_following
        self._is_attached = False
        self._pending: dict[str, Callable[[], Message | None]] = {}
        self._left = 0
        """How many of the pending rows belong to the answer; those after them are changes."""
        self._is_complete = False

    def begin(self) -> None:
        """Begin; the request has been answered."""
        self._gather()
        self._left = len(self._pending)
        if self._is_following:
            self._attach()
            self._is_attached = True
        self._advance()

    def close(self) -> None:
        """Send no more."""
        super().close()
        if self._is_attached:
            self._detach()
            self._is_attached = False

    # -- implemented by each listing ---------------------------------------------------------------

    @abstractmethod
    def _gather(self) -> None:
        """Note every row."""

    @abstractmethod
    def _attach(self) -> None:
        """Have the bus report changes."""

    @abstractmethod
    def _detach(self) -> None:
        """Stop the bus's reports."""

    def _note(self, key: str, row: Callable[[], Message | None]) -> None:
        """Queue a row; ``row`` makes it when it is sent, or returns None if it no longer exists."""
        self._pending[key] = row
        if self._is_attached:
            self._come_back()

    # -- sending -----------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Send a packet, or make some ready."""
        self._outgoing.send(1)
        if self._caller.is_congested or self._is_closed:
            return
        if not self._outgoing:
            if not self._is_complete and self._left == 0:
                self._is_complete = True
                if not self._is_following:
                    self._caller.end(self.number)
                    return
                self._outgoing.message(Complete(self.number))
            elif self._pending:
                self._make_ready()
            else:
                return
        self._come_back()

    def _make_ready(self) -> None:
        # Changes follow only when the answer is complete: the two never mix in a packet.
        keys = list(islice(self._pending, min(ROWS, self._left) or ROWS))
        self._left = max(0, self._left - len(keys))
        made = [row for key in keys if (row := self._pending.pop(key)()) is not None]
        if made:
            codec = self._caller.codec
            self._outgoing.add(row_packets(codec, made, lambda part, _: Rows(self.number, part)))


class Topics(Listing):
    """The topics, with their metadata."""

    def selected(self, channel: Channel) -> None:
        """Queue a topic that is new, or has other metadata."""
        # The bus may set its metadata only after this call.
        self._note(channel.topic, partial(self._row, channel.topic))

    def _gather(self) -> None:
        for channel in self._bus.select(self._filters):
            if self._bus.find(channel.topic) is not None:
                self.selected(channel)

    def _attach(self) -> None:
        self._bus.watch(self._filters, self)

    def _detach(self) -> None:
        self._bus.unwatch(self._filters, self)

    def _row(self, topic: str) -> Message | None:
        channel = self._bus.find(topic)
        if channel is not None:
            return write_metadata(channel)
        is_news = self._is_attached and self._bus.is_forgotten(topic)
        return {"topic": topic, "forgotten": True} if is_news else None


class _States(Listing):
    """Retained maps under some topics."""

    FILTER: ClassVar[str]

    def __init__(self, number: int, caller: Caller, *, is_following: bool) -> None:
        super().__init__(number, caller, (self.FILTER,), is_following=is_following)

    def push(self, record: Record) -> None:
        """Queue the row of a record that changed."""
        if isinstance(record.reading.value, dict):
            self._take(record, record.reading.value)

    def selected(self, channel: Channel) -> None:
        """Do nothing: its first record follows."""

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
        """Queue the row."""


class Devices(_States):
    """The devices, and their states."""

    FILTER = "$sys/devices/+"

    def _take(self, record: Record, value: dict[str, Value]) -> None:
        name = record.channel.topic.rpartition("/")[2]
        row: Message = {"device": name, "time_us": record.reading.time_us, **value}
        self._note(name, lambda: row)


class Clients(_States):
    """The clients that are present."""

    FILTER = "$sys/clients/+"

    def _take(self, _record: Record, value: dict[str, Value]) -> None:
        # Not by its slot, which may belong to another client before this is sent.
        is_part = self._is_attached or value.get("state") != "gone"
        if is_part:
            self._note(str(value.get("id")), lambda: {**value})
