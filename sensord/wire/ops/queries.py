"""Queries: ``get``, ``history`` and the listings, and what answers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from sensord.model.readings import Value
from sensord.wire.fields import bad, flag, integer, number, topics
from sensord.wire.frames import EXACT, Message
from sensord.wire.ops.base import Action, Answer, PlainRequest, Request, Result
from sensord.wire.ops.subscriptions import Opened
from sensord.wire.places import Place, read_place, write_place

__all__ = [
    "ANSWERS",
    "REQUESTS",
    "Clients",
    "Complete",
    "Devices",
    "Get",
    "History",
    "HistoryOpened",
    "Rows",
    "Summary",
    "SummaryRow",
    "Topics",
]

SHORTEST_S, LONGEST_S = 0.1, 31_622_400.0
"""An interval of summaries: up to a leap year."""

EVERYTHING = ("#",)


@dataclass(frozen=True, slots=True)
class Get(Request[Opened]):
    """Ask for last values."""

    op: ClassVar[str] = "get"
    action: ClassVar[Action] = Action.READ

    topics: tuple[str, ...]
    is_following: bool = False

    @property
    def subjects(self) -> tuple[str, ...]:
        """The filters."""
        return self.topics

    def _fields(self) -> Message:
        return {"topics": list(self.topics), **_follow(self.is_following)}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"], topics(message), flag(message, "follow"))

    def result(self, message: Mapping[str, Any]) -> Opened:
        """Read the result."""
        return Opened.read(message)


@dataclass(frozen=True, slots=True)
class HistoryOpened(Result):
    """The result of ``history``: its stream, the log's end and the server's clock.

    A history that becomes a subscription has the stream alone.
    """

    stream: int
    epoch: str | None = None
    offset: int | None = None
    time_us: int | None = None

    def _fields(self) -> Message:
        fields: Message = {"stream": self.stream}
        if self.epoch is not None:
            fields |= {"epoch": self.epoch, "offset": self.offset, "time_us": self.time_us}
        return fields

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the result of ``history``."""
        return cls(
            message["id"],
            message["stream"],
            message.get("epoch"),
            message.get("offset"),
            message.get("time_us"),
        )


@dataclass(frozen=True, slots=True)
class History(Request[HistoryOpened]):
    """Ask for readings of the past, or for their summaries."""

    op: ClassVar[str] = "history"
    action: ClassVar[Action] = Action.READ

    topics: tuple[str, ...]
    start: Place
    stop: Place | None = None
    limit: int | None = None
    interval_s: float | None = None
    is_following: bool = False

    @property
    def subjects(self) -> tuple[str, ...]:
        """The filters."""
        return self.topics

    def _fields(self) -> Message:
        fields: Message = {"topics": list(self.topics), "from": write_place(self.start)}
        if self.stop is not None:
            fields["to"] = write_place(self.stop)
        if self.limit is not None:
            fields["limit"] = self.limit
        if self.interval_s is not None:
            fields["interval"] = self.interval_s
        return fields | _follow(self.is_following)

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        is_following = flag(message, "follow")
        stop = message.get("to")
        limit, interval = message.get("limit"), message.get("interval")
        if is_following and stop is not None:
            raise bad("to", "what is followed has no end; leave it out")
        if is_following and limit is not None:
            raise bad("limit", "what is followed has no end; leave it out")
        return cls(
            message["id"],
            topics(message),
            read_place("from", message.get("from")),
            None if stop is None else read_place("to", stop),
            None if limit is None else integer(message, "limit", 1, 1, EXACT - 1),
            None if interval is None else number(message, "interval", 1.0, SHORTEST_S, LONGEST_S),
            is_following,
        )

    def result(self, message: Mapping[str, Any]) -> HistoryOpened:
        """Read the result."""
        return HistoryOpened.read(message)


@dataclass(frozen=True, slots=True)
class Topics(PlainRequest):
    """Ask which topics there are."""

    op: ClassVar[str] = "topics"
    action: ClassVar[Action] = Action.READ

    topics: tuple[str, ...] = EVERYTHING
    is_following: bool = False

    @property
    def subjects(self) -> tuple[str, ...]:
        """The filters."""
        return self.topics

    def _fields(self) -> Message:
        return {"topics": list(self.topics), **_follow(self.is_following)}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        filters = topics(message) if "topics" in message else EVERYTHING
        return cls(message["id"], filters, flag(message, "follow"))


@dataclass(frozen=True, slots=True)
class _Listing(PlainRequest):
    action: ClassVar[Action] = Action.READ
    place: ClassVar[str]
    """The topics of the listed things, for the client's rights."""

    is_following: bool = False

    @property
    def subjects(self) -> tuple[str, ...]:
        """Return the topics that the client must be allowed to read."""
        return (self.place,)

    def _fields(self) -> Message:
        return _follow(self.is_following)

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"], flag(message, "follow"))


@dataclass(frozen=True, slots=True)
class Devices(_Listing):
    """Ask which devices there are and how they are."""

    op: ClassVar[str] = "devices"
    place: ClassVar[str] = "$sys/devices/#"


@dataclass(frozen=True, slots=True)
class Clients(_Listing):
    """Ask which clients are connected."""

    op: ClassVar[str] = "clients"
    place: ClassVar[str] = "$sys/clients/#"


def _follow(is_following: bool) -> Message:  # noqa: FBT001  # a field's value
    return {"follow": True} if is_following else {}


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """What the readings of one channel amount to in one interval.

    ``channel`` is a channel's number. ``statistics`` is (minimum, maximum, mean) on a channel of
    numbers, else None.
    """

    channel: int
    time_us: int
    count: int
    first: Value
    last: Value
    statistics: tuple[float, float, float | None] | None = None

    def write(self) -> Message:
        """Return the row."""
        row: Message = {
            "channel": self.channel,
            "time_us": self.time_us,
            "count": self.count,
            "first": self.first,
            "last": self.last,
        }
        if self.statistics is not None:
            row["min"], row["max"], row["mean"] = self.statistics
        return row

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """Read the row."""
        statistics = (row["min"], row["max"], row["mean"]) if "min" in row else None
        return cls(
            row["channel"], row["time_us"], row["count"], row["first"], row["last"], statistics
        )


@dataclass(frozen=True, slots=True)
class Summary(Answer):
    """Intervals of a history; ``cursor`` is where it would continue, unless more of them come."""

    op: ClassVar[str] = "summary"

    cursor: int | None
    rows: Sequence[SummaryRow]

    def _fields(self) -> Message:
        return {"cursor": self.cursor, "rows": [row.write() for row in self.rows]}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the message."""
        rows = [SummaryRow.read(row) for row in message["rows"]]
        return cls(message["id"], message["cursor"], rows)


@dataclass(frozen=True, slots=True)
class Rows(Answer):
    """Topics, devices or clients: a map each."""

    op: ClassVar[str] = "rows"

    rows: Sequence[Message]

    def _fields(self) -> Message:
        return {"rows": list(self.rows)}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the message."""
        return cls(message["id"], [dict(row) for row in message["rows"]])


@dataclass(frozen=True, slots=True)
class Complete(Answer):
    """Everything that was asked for has been sent, and changes follow from here."""

    op: ClassVar[str] = "complete"

    cursor: int | None = None

    def _fields(self) -> Message:
        return {} if self.cursor is None else {"cursor": self.cursor}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the message."""
        return cls(message["id"], message.get("cursor"))


REQUESTS = (Get, History, Topics, Devices, Clients)
ANSWERS = (Summary, Rows, Complete)
