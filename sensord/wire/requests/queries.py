"""The requests that ask for what is known or recorded, once or from now on.

``get``, ``history``, ``topics``, ``devices`` and ``clients``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from sensord.wire.fields import bad, flag, integer, number, topics
from sensord.wire.frames import EXACT, Message
from sensord.wire.places import Place, read_place
from sensord.wire.requests.base import Action, Request

__all__ = ["READERS", "Clients", "Devices", "Get", "History", "Topics"]

SHORTEST_S, LONGEST_S = 0.1, 31_622_400.0
"""An interval of summaries: up to a leap year."""


@dataclass(frozen=True, slots=True)
class _Read(Request):
    """Ask for something under some topics."""

    action: ClassVar[Action] = Action.READ

    topics: tuple[str, ...]

    @property
    def subjects(self) -> tuple[str, ...]:
        """The filters."""
        return self.topics


@dataclass(frozen=True, slots=True)
class Get(_Read):
    """Ask for last values."""

    is_following: bool = False


@dataclass(frozen=True, slots=True)
class History(_Read):
    """Ask for readings of the past, or for their summaries."""

    start: Place
    stop: Place | None = None
    limit: int | None = None
    interval_s: float | None = None
    is_following: bool = False


@dataclass(frozen=True, slots=True)
class Topics(_Read):
    """Ask which topics there are."""

    is_following: bool = False


@dataclass(frozen=True, slots=True)
class Devices(Request):
    """Ask which devices there are and how they fare."""

    action: ClassVar[Action] = Action.READ

    is_following: bool = False

    @property
    def subjects(self) -> tuple[str, ...]:
        """Where that stands."""
        return ("$sys/devices/#",)


@dataclass(frozen=True, slots=True)
class Clients(Request):
    """Ask who is there."""

    action: ClassVar[Action] = Action.READ

    is_following: bool = False

    @property
    def subjects(self) -> tuple[str, ...]:
        """Where that stands."""
        return ("$sys/clients/#",)


def _get(message: Message) -> Get:
    return Get(message["id"], topics(message), flag(message, "follow"))


def _history(message: Message) -> History:
    is_following = flag(message, "follow")
    stop = message.get("to")
    limit, interval = message.get("limit"), message.get("interval")
    if is_following and stop is not None:
        raise bad("to", "what is followed has no end; leave it out")
    if is_following and limit is not None:
        raise bad("limit", "what is followed has no end; leave it out")
    return History(
        message["id"],
        topics(message),
        read_place("from", message.get("from")),
        None if stop is None else read_place("to", stop),
        None if limit is None else integer(message, "limit", 1, 1, EXACT - 1),
        None if interval is None else number(message, "interval", 1.0, SHORTEST_S, LONGEST_S),
        is_following,
    )


def _topics(message: Message) -> Topics:
    filters = topics(message) if "topics" in message else ("#",)
    return Topics(message["id"], filters, flag(message, "follow"))


def _devices(message: Message) -> Devices:
    return Devices(message["id"], flag(message, "follow"))


def _clients(message: Message) -> Clients:
    return Clients(message["id"], flag(message, "follow"))


READERS: dict[str, Callable[[Message], Request]] = {
    "get": _get,
    "history": _history,
    "topics": _topics,
    "devices": _devices,
    "clients": _clients,
}
