"""Replays: ``replay``, ``pause``, ``speed``, ``step`` and ``seek``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from sensord.wire.fields import flag, integer, number, open_id, topics
from sensord.wire.frames import Message
from sensord.wire.ops.base import Action, PlainRequest, Request
from sensord.wire.ops.subscriptions import Opened
from sensord.wire.places import Place, read_place, write_place

__all__ = ["REQUESTS", "Pause", "Replay", "Seek", "Speed", "Step"]

SLOWEST, FASTEST = 0.001, 1e9
MAX_STEP = 4096


@dataclass(frozen=True, slots=True)
class Replay(Request[Opened]):
    """Open a replay."""

    op: ClassVar[str] = "replay"
    action: ClassVar[Action] = Action.READ

    topics: tuple[str, ...]
    start: Place
    stop: Place | None = None
    speed: float = 1.0
    is_paused: bool = False

    @property
    def subjects(self) -> tuple[str, ...]:
        """The filters."""
        return self.topics

    def _fields(self) -> Message:
        fields: Message = {"topics": list(self.topics), "from": write_place(self.start)}
        if self.stop is not None:
            fields["to"] = write_place(self.stop)
        if self.speed != 1.0:
            fields["speed"] = self.speed
        if self.is_paused:
            fields["paused"] = True
        return fields

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        is_paused = flag(message, "paused")
        return cls(
            message["id"],
            topics(message),
            read_place("from", message.get("from")),
            None if message.get("to") is None else read_place("to", message["to"]),
            number(message, "speed", 1.0, SLOWEST, FASTEST),
            is_paused,
        )

    def result(self, message: Mapping[str, Any]) -> Opened:
        """Read the result."""
        return Opened.read(message)


@dataclass(frozen=True, slots=True)
class _OfReplay(PlainRequest):
    replay: int


@dataclass(frozen=True, slots=True)
class Pause(_OfReplay):
    """Pause a replay."""

    op: ClassVar[str] = "pause"

    def _fields(self) -> Message:
        return {"replay": self.replay}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"], _which(message))


@dataclass(frozen=True, slots=True)
class Speed(_OfReplay):
    """Continue a replay, at another speed if one is given."""

    op: ClassVar[str] = "speed"

    speed: float | None = None

    def _fields(self) -> Message:
        fields: Message = {"replay": self.replay}
        if self.speed is not None:
            fields["speed"] = self.speed
        return fields

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        is_same = message.get("speed") is None
        speed = None if is_same else number(message, "speed", 1.0, SLOWEST, FASTEST)
        return cls(message["id"], _which(message), speed)


@dataclass(frozen=True, slots=True)
class Step(_OfReplay):
    """Send the next readings of a replay, and pause it."""

    op: ClassVar[str] = "step"

    count: int = 1

    def _fields(self) -> Message:
        return {"replay": self.replay, "count": self.count}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"], _which(message), integer(message, "count", 1, 1, MAX_STEP))


@dataclass(frozen=True, slots=True)
class Seek(_OfReplay):
    """Continue a replay from another place."""

    op: ClassVar[str] = "seek"

    start: Place

    def _fields(self) -> Message:
        return {"replay": self.replay, "from": write_place(self.start)}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"], _which(message), read_place("from", message.get("from")))


def _which(message: Message) -> int:
    return open_id(message, "replay", "send the id of the replay request")


REQUESTS = (Replay, Pause, Speed, Step, Seek)
