"""The requests about replays: ``replay``, and what may be done with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from sensord.wire.fields import bad, integer, number, topics
from sensord.wire.frames import Message
from sensord.wire.places import Place, read_place
from sensord.wire.requests.base import Action, Request

__all__ = ["READERS", "Pause", "Replay", "Seek", "Speed", "Step"]

SLOWEST, FASTEST = 0.001, 1e9
MAX_STEP = 4096


@dataclass(frozen=True, slots=True)
class Replay(Request):
    """Open a replay."""

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


@dataclass(frozen=True, slots=True)
class Pause(Request):
    """Hold a replay."""

    replay: int


@dataclass(frozen=True, slots=True)
class Speed(Request):
    """Let a replay go on, at another speed if one is given."""

    replay: int
    speed: float | None = None


@dataclass(frozen=True, slots=True)
class Step(Request):
    """Send the next readings of a replay, and pause it."""

    replay: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Seek(Request):
    """Let a replay go on from another place."""

    replay: int
    start: Place


def _replay(message: Message) -> Replay:
    is_paused = message.get("paused", False)
    if type(is_paused) is not bool:
        raise bad("paused", "send true or false")
    return Replay(
        message["id"],
        topics(message),
        read_place("from", message.get("from")),
        None if message.get("to") is None else read_place("to", message["to"]),
        number(message, "speed", 1.0, SLOWEST, FASTEST),
        is_paused,
    )


def _which(message: Message) -> int:
    which = message.get("replay")
    if type(which) is not int:
        raise bad("replay", "send the id of the replay request")
    return which


def _pause(message: Message) -> Pause:
    return Pause(message["id"], _which(message))


def _speed(message: Message) -> Speed:
    is_same = message.get("speed") is None
    speed = None if is_same else number(message, "speed", 1.0, SLOWEST, FASTEST)
    return Speed(message["id"], _which(message), speed)


def _step(message: Message) -> Step:
    return Step(message["id"], _which(message), integer(message, "count", 1, 1, MAX_STEP))


def _seek(message: Message) -> Seek:
    return Seek(message["id"], _which(message), read_place("from", message.get("from")))


READERS: dict[str, Callable[[Message], Request]] = {
    "replay": _replay,
    "pause": _pause,
    "speed": _speed,
    "step": _step,
    "seek": _seek,
}
