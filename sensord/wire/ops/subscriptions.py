"""Subscriptions: ``subscribe`` and ``unsubscribe``, and the messages about their streams."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from sensord.errors import ProtocolError
from sensord.model.readings import MAX_DECIMALS, Channel, Kind, Metadata, ValueType
from sensord.wire.fields import bad, number, open_id, topics
from sensord.wire.frames import Message
from sensord.wire.ops.base import Action, Answer, PlainRequest, Request, Result
from sensord.wire.places import Start, read_start, write_place

__all__ = [
    "ANSWERS",
    "COST",
    "REQUESTS",
    "Channels",
    "Gap",
    "Opened",
    "Options",
    "Phase",
    "StreamChange",
    "Subscribe",
    "Unsubscribe",
    "read_channel",
    "write_channel",
    "write_metadata",
]

DEFAULT_LATENCY_S = 0.02
"""Long enough to gather a frame, short enough to be called live: see `docs/performance.md`."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a subscription is served; equal options and filters share their frames."""

    mode: Literal["every", "latest"] = "every"
    period_s: float = 0.0
    max_latency_s: float = DEFAULT_LATENCY_S
    deadband: float = 0.0

    def write(self) -> Message:
        """Return the fields, defaults left out."""
        fields: Message = {}
        if self.mode != "every":
            fields["mode"] = self.mode
        if self.period_s:
            fields["period"] = self.period_s
        if self.max_latency_s != DEFAULT_LATENCY_S:
            fields["max_latency"] = self.max_latency_s
        if self.deadband:
            fields["deadband"] = self.deadband
        return fields

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the fields of a ``subscribe``.

        Raises:
            ProtocolError: One is invalid.
        """
        mode = message.get("mode", "every")
        if mode not in ("every", "latest"):
            raise bad("mode", 'send "every" or "latest"')
        return cls(
            mode,
            number(message, "period", 0.0, 0.0, 3600.0),
            number(message, "max_latency", DEFAULT_LATENCY_S, 0.001, 60.0),
            number(message, "deadband", 0.0, 0.0, 1e300),
        )


@dataclass(frozen=True, slots=True)
class Opened(Result):
    """The result of a request that opens a stream; a changed subscription has no stream here."""

    stream: int | None = None

    def _fields(self) -> Message:
        return {} if self.stream is None else {"stream": self.stream}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the result."""
        return cls(message["id"], message.get("stream"))


@dataclass(frozen=True, slots=True)
class Subscribe(Request[Opened]):
    """Open or change a subscription."""

    op: ClassVar[str] = "subscribe"
    action: ClassVar[Action] = Action.READ

    topics: tuple[str, ...]
    start: Start = "snapshot"
    options: Options = Options()
    change: int | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The filters."""
        return self.topics

    def _fields(self) -> Message:
        fields: Message = {"topics": list(self.topics), **self.options.write()}
        if self.change is not None:
            fields["change"] = self.change
        elif self.start != "snapshot":
            fields["from"] = write_place(self.start)
        return fields

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        change = message.get("change")
        if change is not None:
            change = open_id(message, "change", "send the id of an open subscription")
            if "from" in message:
                raise bad("from", "a changed subscription continues where it is; leave it out")
        start = read_start(message.get("from"))
        return cls(message["id"], topics(message), start, Options.read(message), change)

    def result(self, message: Mapping[str, Any]) -> Opened:
        """Read the result."""
        return Opened.read(message)


@dataclass(frozen=True, slots=True)
class Unsubscribe(PlainRequest):
    """End a subscription, or remove filters from it."""

    op: ClassVar[str] = "unsubscribe"

    subscription: int
    topics: tuple[str, ...] | None = None

    def _fields(self) -> Message:
        fields: Message = {"subscription": self.subscription}
        if self.topics is not None:
            fields["topics"] = list(self.topics)
        return fields

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        subscription = open_id(message, "subscription", "send the id of the subscribe request")
        removed = topics(message) if message.get("topics") is not None else None
        return cls(message["id"], subscription, removed)


class Phase(enum.StrEnum):
    """The phase of a subscription or replay."""

    SNAPSHOT = "snapshot"
    CATCHING_UP = "catching_up"
    LAGGING = "lagging"
    LIVE = "live"
    REPLAYING = "replaying"
    PAUSED = "paused"


COST = "cost"
"""Why a subscription lags that is held back: it costs more than its client's share."""


@dataclass(frozen=True, slots=True)
class StreamChange(Answer):
    """The request continues with frames of ``stream``, in a phase that may be another one.

    ``phase`` is a `Phase`, or a text that only a newer server knows. ``reason`` is `COST` for a
    subscription that is held back.
    """

    op: ClassVar[str] = "stream"

    stream: int
    phase: str
    cursor: int | None
    reason: str = ""

    def _fields(self) -> Message:
        fields: Message = {
            "stream": self.stream,
            "phase": str(self.phase),
            "cursor": self.cursor,
        }
        if self.reason:
            fields["reason"] = self.reason
        return fields

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the message."""
        return cls(
            message["id"],
            message["stream"],
            message["phase"],
            message.get("cursor"),
            message.get("reason", ""),
        )


@dataclass(frozen=True, slots=True)
class Gap(Answer):
    """Readings that were asked for and are not sent.

    ``lost`` counts them by topic, or is None where that is unknown.
    """

    op: ClassVar[str] = "gap"

    stream: int
    start: int | None
    stop: int | None
    reason: str
    lost: Mapping[str, int] | None
    detail: str = ""

    @property
    def count(self) -> int | None:
        """How many they are, if that is known."""
        return None if self.lost is None else Counter(self.lost).total()

    def _fields(self) -> Message:
        fields: Message = {
            "stream": self.stream,
            "from": self.start,
            "to": self.stop,
            "reason": self.reason,
            "count": self.count,
            "lost": None if self.lost is None else dict(self.lost),
        }
        if self.detail:
            fields["detail"] = self.detail
        return fields

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the message."""
        return cls(
            message["id"],
            message["stream"],
            message["from"],
            message["to"],
            message["reason"],
            message["lost"],
            message.get("detail", ""),
        )


@dataclass(frozen=True, slots=True)
class Channels:
    """Channels with their numbers and metadata, before their first use in a session."""

    op: ClassVar[str] = "channels"

    channels: Sequence[Channel]

    def write(self) -> Message:
        """Return the message."""
        return {"op": self.op, "channels": [write_channel(channel) for channel in self.channels]}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the message.

        Raises:
            ProtocolError: One of its maps is not a channel.
        """
        return cls([read_channel(found) for found in message["channels"]])


_DEFAULT = Metadata()


def write_channel(channel: Channel) -> Message:
    """Return a channel's map in ``channels``, defaults left out."""
    return {"channel": channel.number, **write_metadata(channel)}


def write_metadata(channel: Channel) -> Message:
    """Return a topic with its metadata, defaults left out: a row of ``topics``."""
    metadata = channel.metadata
    fields: Message = {"topic": channel.topic}
    if metadata.type is not _DEFAULT.type:
        fields["type"] = metadata.type.value
    if metadata.kind is not _DEFAULT.kind:
        fields["kind"] = metadata.kind.value
    if metadata.decimals is not None:
        fields["decimals"] = metadata.decimals
    for field in ("unit", "description", "device"):
        if text := getattr(metadata, field):
            fields[field] = text
    return fields


def read_channel(found: Mapping[str, Any]) -> Channel:
    """Read one map of a ``channels`` message.

    Raises:
        ProtocolError: It is not one.
    """
    try:
        channel, topic, decimals = found["channel"], found["topic"], found.get("decimals")
        unit, description, device = (
            found.get(field, "") for field in ("unit", "description", "device")
        )
        if not all(isinstance(text, str) for text in (topic, unit, description, device)):
            raise TypeError("topic, unit, description and device are texts")
        if type(channel) is not int or not (decimals is None or type(decimals) is int):
            raise TypeError("channel and decimals are integers")
        if decimals is not None and not 0 <= decimals <= MAX_DECIMALS:
            raise ValueError(f"decimals are 0 to {MAX_DECIMALS}")
        metadata = Metadata(
            type=ValueType(found.get("type", "float")),
            unit=unit,
            decimals=decimals,
            kind=Kind(found.get("kind", "state")),
            description=description,
            device=device,
        )
        return Channel(channel, topic, metadata)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise ProtocolError("bad_message", f"not a channel: {exc!r}") from exc


REQUESTS = (Subscribe, Unsubscribe)
ANSWERS = (StreamChange, Gap)
