"""The requests that act: ``set``, ``call``, and those about leases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from sensord.model.readings import Value
from sensord.wire.fields import bad, number, text, topic, value
from sensord.wire.frames import Message
from sensord.wire.requests.base import Action, Request

__all__ = ["READERS", "Call", "GiveBack", "Renew", "Set", "Take"]

MAX_KEY_CHARACTERS = 200
LEASE_S = 60.0


@dataclass(frozen=True, slots=True)
class Set(Request):
    """Set a topic."""

    action: ClassVar[Action] = Action.WRITE

    topic: str
    value: Value
    key: str = ""
    timeout_s: float | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The topic."""
        return (self.topic,)


@dataclass(frozen=True, slots=True)
class Call(Request):
    """Call an action or a service."""

    action: ClassVar[Action] = Action.CALL

    name: str
    args: Mapping[str, Value]
    key: str = ""
    timeout_s: float | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The name."""
        return (self.name,)


@dataclass(frozen=True, slots=True)
class _OfLease(Request):
    action: ClassVar[Action] = Action.WRITE

    subject: str

    @property
    def subjects(self) -> tuple[str, ...]:
        """What the lease is on."""
        return (self.subject,)


@dataclass(frozen=True, slots=True)
class Take(_OfLease):
    """Take a lease."""

    duration_s: float = LEASE_S


@dataclass(frozen=True, slots=True)
class Renew(_OfLease):
    """Hold a lease for longer."""

    duration_s: float = LEASE_S


@dataclass(frozen=True, slots=True)
class GiveBack(_OfLease):
    """Give a lease back."""


def _set(message: Message) -> Set:
    return Set(message["id"], topic(message), value(message, "value"), *_key_and_timeout(message))


def _call(message: Message) -> Call:
    args = value(message, "args", {})
    if not isinstance(args, dict):
        raise bad("args", "send a map of arguments by their names")
    return Call(message["id"], topic(message, "name"), args, *_key_and_timeout(message))


def _key_and_timeout(message: Message) -> tuple[str, float | None]:
    timeout_s = number(message, "timeout", 0.01, 0.01, 3600.0) if "timeout" in message else None
    return text(message, "key", MAX_KEY_CHARACTERS), timeout_s


def _take(message: Message) -> Take:
    return Take(message["id"], topic(message, "subject"), _duration(message))


def _renew(message: Message) -> Renew:
    return Renew(message["id"], topic(message, "subject"), _duration(message))


def _duration(message: Message) -> float:
    return number(message, "duration", LEASE_S, 1.0, 86_400.0)


def _give_back(message: Message) -> GiveBack:
    return GiveBack(message["id"], topic(message, "subject"))


READERS: dict[str, Callable[[Message], Request]] = {
    "set": _set,
    "call": _call,
    "take": _take,
    "renew": _renew,
    "give_back": _give_back,
}
