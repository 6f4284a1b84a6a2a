"""Writing: ``publish``, and ``put`` and ``delete`` of shared state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

from sensord.model.readings import LATEST_US, Value
from sensord.wire.fields import bad, topic
from sensord.wire.frames import EXACT, Message
from sensord.wire.ops.base import Action, Request, Result

__all__ = ["REQUESTS", "STATE", "Delete", "Publish", "Published", "Put", "Version"]

STATE = "state/"
"""What the topics of shared state begin with."""


@dataclass(frozen=True, slots=True)
class Published(Result):
    """The result of ``publish``: the reading's offset."""

    offset: int

    def _fields(self) -> Message:
        return {"offset": self.offset}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the result of ``publish``."""
        return cls(message["id"], int(message["offset"]))


@dataclass(frozen=True, slots=True)
class Publish(Request[Published]):
    """Publish a reading."""

    op: ClassVar[str] = "publish"
    action: ClassVar[Action] = Action.WRITE

    topic: str
    value: Value
    time_us: int | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The topic."""
        return (self.topic,)

    def _fields(self) -> Message:
        fields: Message = {"topic": self.topic, "value": self.value}
        if self.time_us is not None:
            fields["time_us"] = self.time_us
        return fields

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        time_us = message.get("time_us")
        if not (time_us is None or (type(time_us) is int and 0 <= time_us <= LATEST_US)):
            wanted = f"send microseconds since 1970, from 0 to {LATEST_US}, or leave it out"
            raise bad("time_us", wanted)
        return cls(message["id"], topic(message), _value(message), time_us)

    def result(self, message: Mapping[str, Any]) -> Published:
        """Read the result."""
        return Published.read(message)


@dataclass(frozen=True, slots=True)
class Version(Result):
    """The result of ``put`` and ``delete``: the new version."""

    version: int

    def _fields(self) -> Message:
        return {"version": self.version}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the result of ``put`` or ``delete``."""
        return cls(message["id"], int(message["version"]))


@dataclass(frozen=True, slots=True)
class Put(Request[Version]):
    """Write shared state, if its version is still the one given."""

    op: ClassVar[str] = "put"
    action: ClassVar[Action] = Action.WRITE

    topic: str
    value: Value
    version: int | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The topic."""
        return (self.topic,)

    def _fields(self) -> Message:
        return {"topic": self.topic, "value": self.value, **_version_field(self.version)}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"], _state(message), _value(message), _version(message))

    def result(self, message: Mapping[str, Any]) -> Version:
        """Read the result."""
        return Version.read(message)


@dataclass(frozen=True, slots=True)
class Delete(Request[Version]):
    """Delete shared state, if its version is still the one given."""

    op: ClassVar[str] = "delete"
    action: ClassVar[Action] = Action.WRITE

    topic: str
    version: int | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The topic."""
        return (self.topic,)

    def _fields(self) -> Message:
        return {"topic": self.topic, **_version_field(self.version)}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"], _state(message), _version(message))

    def result(self, message: Mapping[str, Any]) -> Version:
        """Read the result."""
        return Version.read(message)


def _state(message: Message) -> str:
    found = topic(message)
    if not found.startswith(STATE):
        raise bad("topic", f"shared state stands under {STATE}")
    return found


def _value(message: Message) -> Value:
    if "value" not in message:
        raise bad("value", "is missing")
    # Whether it can be encoded is checked where it is used: that depends on the channel.
    return cast("Value", message["value"])


def _version(message: Message) -> int | None:
    version = message.get("version")
    if not (version is None or (type(version) is int and 0 <= version < EXACT)):
        raise bad("version", "send the version that you saw, 0 for none, or leave it out")
    return version


def _version_field(version: int | None) -> Message:
    return {} if version is None else {"version": version}


REQUESTS = (Publish, Put, Delete)
