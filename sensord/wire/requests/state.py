"""The requests that write: ``publish``, and ``put`` and ``delete`` of shared state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, cast

from sensord.model.readings import Value
from sensord.wire.fields import bad, topic
from sensord.wire.frames import Message
from sensord.wire.requests.base import Action, Request

__all__ = ["READERS", "STATE", "Delete", "Publish", "Put"]

STATE = "state/"
"""What the topics of shared state begin with."""


@dataclass(frozen=True, slots=True)
class Publish(Request):
    """Publish a reading."""

    action: ClassVar[Action] = Action.WRITE

    topic: str
    value: Value
    time_us: int | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The topic."""
        return (self.topic,)


@dataclass(frozen=True, slots=True)
class Put(Request):
    """Write shared state, if its version is still the one given."""

    action: ClassVar[Action] = Action.WRITE

    topic: str
    value: Value
    version: int | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The topic."""
        return (self.topic,)


@dataclass(frozen=True, slots=True)
class Delete(Request):
    """Delete shared state, if its version is still the one given."""

    action: ClassVar[Action] = Action.WRITE

    topic: str
    version: int | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The topic."""
        return (self.topic,)


def _publish(message: Message) -> Publish:
    time_us = message.get("time_us")
    if not (time_us is None or (type(time_us) is int and abs(time_us) < 2**63)):
        raise bad("time_us", "send microseconds since 1970, or leave it out")
    return Publish(message["id"], topic(message), _value(message), time_us)


def _put(message: Message) -> Put:
    return Put(message["id"], _state(message), _value(message), _version(message))


def _delete(message: Message) -> Delete:
    return Delete(message["id"], _state(message), _version(message))


def _state(message: Message) -> str:
    found = topic(message)
    if not found.startswith(STATE):
        raise bad("topic", f"shared state stands under {STATE}")
    return found


def _value(message: Message) -> Value:
    if "value" not in message:
        raise bad("value", "is missing")
    # Whether it can be encoded is checked where it is taken: that depends on the channel.
    return cast("Value", message["value"])


def _version(message: Message) -> int | None:
    version = message.get("version")
    if not (version is None or (type(version) is int and 0 <= version < 2**53)):
        raise bad("version", "send the version that you saw, 0 for none, or leave it out")
    return version


READERS: dict[str, Callable[[Message], Request]] = {
    "publish": _publish,
    "put": _put,
    "delete": _delete,
}
