"""Acting: ``set`` and ``call`` with their outcomes, and leases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from sensord.model.readings import Value
from sensord.sharing.identity import Identity
from sensord.wire.fields import bad, number, text, topic, value
from sensord.wire.frames import Message
from sensord.wire.ops.base import Action, Answer, PlainRequest, Request, Result, identity_of, map_of

__all__ = [
    "ANSWERS",
    "REQUESTS",
    "Call",
    "GiveBack",
    "Held",
    "Outcome",
    "Part",
    "Pending",
    "Renew",
    "Set",
    "Take",
]

MAX_KEY_CHARACTERS = 200
LEASE_S = 60.0


@dataclass(frozen=True, slots=True)
class Pending(Result):
    """The result of ``set`` and ``call``: it was accepted, and an outcome will follow.

    ``is_repeated`` marks one that was accepted before under the same key.
    """

    is_repeated: bool = False

    def _fields(self) -> Message:
        return {"status": "pending", "repeated": self.is_repeated}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the result of ``set`` or ``call``."""
        return cls(message["id"], bool(message.get("repeated", False)))


@dataclass(frozen=True, slots=True)
class _Act(Request[Pending]):
    def result(self, message: Mapping[str, Any]) -> Pending:
        """Read the result."""
        return Pending.read(message)


@dataclass(frozen=True, slots=True)
class Set(_Act):
    """Set a topic."""

    op: ClassVar[str] = "set"
    action: ClassVar[Action] = Action.WRITE

    topic: str
    value: Value
    key: str = ""
    timeout_s: float | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The topic."""
        return (self.topic,)

    def _fields(self) -> Message:
        return {
            "topic": self.topic,
            "value": self.value,
            **_write_key_and_timeout(self.key, self.timeout_s),
        }

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(
            message["id"], topic(message), value(message, "value"), *_key_and_timeout(message)
        )


@dataclass(frozen=True, slots=True)
class Call(_Act):
    """Call an action or a service."""

    op: ClassVar[str] = "call"
    action: ClassVar[Action] = Action.CALL

    name: str
    args: Mapping[str, Value]
    key: str = ""
    timeout_s: float | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The name."""
        return (self.name,)

    def _fields(self) -> Message:
        return {
            "name": self.name,
            "args": dict(self.args),
            **_write_key_and_timeout(self.key, self.timeout_s),
        }

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        args = value(message, "args", {})
        if not isinstance(args, dict):
            raise bad("args", "send a map of arguments by their names")
        return cls(message["id"], topic(message, "name"), args, *_key_and_timeout(message))


def _write_key_and_timeout(key: str, timeout_s: float | None) -> Message:
    fields: Message = {"key": key} if key else {}
    return fields if timeout_s is None else fields | {"timeout": timeout_s}


def _key_and_timeout(message: Message) -> tuple[str, float | None]:
    timeout_s = number(message, "timeout", 0.01, 0.01, 3600.0) if "timeout" in message else None
    return text(message, "key", MAX_KEY_CHARACTERS), timeout_s


@dataclass(frozen=True, slots=True)
class Outcome(Answer):
    """How a ``set`` or ``call`` ended: done with a value unless there is a ``reason``.

    ``message`` names the remedy; ``may_have_acted`` is true where the outcome is unknown.
    """

    op: ClassVar[str] = "outcome"

    value: Value = None
    reason: str = ""
    message: str = ""
    may_have_acted: bool = False

    def _fields(self) -> Message:
        if not self.reason:
            return {"status": "done", "value": self.value}
        return {
            "status": "failed",
            "reason": self.reason,
            "message": self.message,
            "may_have_acted": self.may_have_acted,
        }

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the message."""
        if message["status"] == "done":
            return cls(message["id"], message["value"])
        return cls(
            message["id"],
            None,
            message["reason"],
            message["message"],
            message["may_have_acted"],
        )


@dataclass(frozen=True, slots=True)
class Part(Answer):
    """A part of the answer to a ``call``; parts are counted from 0."""

    op: ClassVar[str] = "part"

    number: int
    value: Value

    def _fields(self) -> Message:
        return {"number": self.number, "value": self.value}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the message."""
        return cls(message["id"], message["number"], message["value"])


@dataclass(frozen=True, slots=True)
class Held(Result):
    """The result of ``take`` and ``renew``: the lease."""

    subject: str
    holder: Identity
    since_us: int
    until_us: int

    def _fields(self) -> Message:
        return {
            "lease": {
                "subject": self.subject,
                "holder": map_of(self.holder),
                "since_us": self.since_us,
                "until_us": self.until_us,
            }
        }

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the result of ``take`` or ``renew``."""
        lease = message["lease"]
        holder = identity_of(lease["holder"])
        return cls(message["id"], lease["subject"], holder, lease["since_us"], lease["until_us"])


@dataclass(frozen=True, slots=True)
class _Hold(Request[Held]):
    action: ClassVar[Action] = Action.WRITE

    subject: str
    duration_s: float = LEASE_S

    @property
    def subjects(self) -> tuple[str, ...]:
        """What the lease is on."""
        return (self.subject,)

    def _fields(self) -> Message:
        return {"subject": self.subject, "duration": self.duration_s}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        duration_s = number(message, "duration", LEASE_S, 1.0, 86_400.0)
        return cls(message["id"], topic(message, "subject"), duration_s)

    def result(self, message: Mapping[str, Any]) -> Held:
        """Read the result."""
        return Held.read(message)


@dataclass(frozen=True, slots=True)
class Take(_Hold):
    """Take a lease."""

    op: ClassVar[str] = "take"


@dataclass(frozen=True, slots=True)
class Renew(_Hold):
    """Extend a lease."""

    op: ClassVar[str] = "renew"


@dataclass(frozen=True, slots=True)
class GiveBack(PlainRequest):
    """Give a lease back."""

    op: ClassVar[str] = "give_back"
    action: ClassVar[Action] = Action.WRITE

    subject: str

    @property
    def subjects(self) -> tuple[str, ...]:
        """What the lease is on."""
        return (self.subject,)

    def _fields(self) -> Message:
        return {"subject": self.subject}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"], topic(message, "subject"))


REQUESTS = (Set, Call, Take, Renew, GiveBack)
ANSWERS = (Outcome, Part)
