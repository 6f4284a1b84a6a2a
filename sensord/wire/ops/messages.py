"""Messages between clients: ``send``, ``receive``, ``ack`` and ``groups``, and their delivery."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from sensord.model.readings import Value
from sensord.model.topics import topic_fault
from sensord.sharing.identity import Identity
from sensord.wire.fields import bad, integer, number, text, value
from sensord.wire.frames import EXACT, Message
from sensord.wire.ops.base import Action, Answer, PlainRequest, Request, Result, identity_of, map_of

__all__ = [
    "ANSWERS",
    "REQUESTS",
    "Ack",
    "Delivery",
    "GroupList",
    "Groups",
    "Receipt",
    "Receipts",
    "Receive",
    "Send",
    "Sent",
    "group_names",
]

MAX_BODY_BYTES = 16 * 1024
MAX_KEY_CHARACTERS = 200
MAX_NAME_CHARACTERS = 80
MAX_GROUPS = 16

WAIT_S = 60.0
LONGEST_WAIT_S = 86_400.0

KINDS = ("client", "group", "watching")


@dataclass(frozen=True, slots=True)
class Sent(Result):
    """The result of ``send``.

    ``message`` is the message's number, or None if it has no receivers. ``is_repeated`` marks one
    that was accepted before under the same key.
    """

    message: int | None
    time_us: int
    receivers: int
    is_repeated: bool = False

    def _fields(self) -> Message:
        return {
            "message": self.message,
            "time_us": self.time_us,
            "receivers": self.receivers,
            "repeated": self.is_repeated,
        }

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the result of ``send``."""
        return cls(
            message["id"],
            message["message"],
            message["time_us"],
            int(message["receivers"]),
            message["repeated"],
        )


@dataclass(frozen=True, slots=True)
class Send(Request[Sent]):
    """Send a message: to a client, to a group, or to all who watch a topic."""

    op: ClassVar[str] = "send"
    action: ClassVar[Action] = Action.SEND

    kind: str
    name: str
    body: Value
    key: str = ""
    wait_s: float = WAIT_S

    @property
    def size(self) -> int:
        """The body's bytes as JSON."""
        text = json.dumps(self.body, ensure_ascii=False, separators=(",", ":"))
        return len(text.encode(errors="replace"))

    @property
    def subjects(self) -> tuple[str, ...]:
        """The receivers."""
        return (f"{self.kind}/{self.name}",)

    def _fields(self) -> Message:
        fields: Message = {"to": {self.kind: self.name}, "body": self.body}
        if self.key:
            fields["key"] = self.key
        return fields if self.wait_s == WAIT_S else fields | {"wait": self.wait_s}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        kind, name = _receivers(message.get("to"))
        found = cls(
            message["id"],
            kind,
            name,
            value(message, "body"),
            text(message, "key", MAX_KEY_CHARACTERS),
            number(message, "wait", WAIT_S, 0.0, LONGEST_WAIT_S),
        )
        if (size := found.size) > MAX_BODY_BYTES:
            raise bad("body", f"send at most {MAX_BODY_BYTES} bytes as JSON; this is {size}")
        return found

    def result(self, message: Mapping[str, Any]) -> Sent:
        """Read the result."""
        return Sent.read(message)


def _receivers(to: object) -> tuple[str, str]:
    if not isinstance(to, dict) or sum(kind in to for kind in KINDS) != 1:
        raise bad("to", f"send a map with one of {', '.join(KINDS)}")
    ((kind, name),) = ((kind, to[kind]) for kind in KINDS if kind in to)
    if kind == "watching":
        fault = topic_fault(name) if isinstance(name, str) else "send a topic"
        if fault:
            raise bad("to", f"watching: {fault}")
    elif not _is_name(name):
        raise bad("to", f"{kind}: send a text of 1 to {MAX_NAME_CHARACTERS} characters")
    return kind, name


@dataclass(frozen=True, slots=True)
class Receive(PlainRequest):
    """Receive the messages for this client.

    ``after`` acknowledges the message of this number and all before it.
    """

    op: ClassVar[str] = "receive"

    after: int | None = None

    def _fields(self) -> Message:
        return {} if self.after is None else {"after": self.after}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        after = integer(message, "after", 0, 0, EXACT - 1) if "after" in message else None
        return cls(message["id"], after)


@dataclass(frozen=True, slots=True)
class Ack(PlainRequest):
    """Acknowledge a message and all before it."""

    op: ClassVar[str] = "ack"

    message: int

    def _fields(self) -> Message:
        return {"message": self.message}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"], integer(message, "message", -1, 0, EXACT - 1))


@dataclass(frozen=True, slots=True)
class GroupList(Result):
    """The result of ``groups``: all groups that the client is in."""

    groups: Sequence[str]

    def _fields(self) -> Message:
        return {"groups": list(self.groups)}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the result of ``groups``."""
        return cls(message["id"], tuple(message["groups"]))


@dataclass(frozen=True, slots=True)
class Groups(Request[GroupList]):
    """Join groups and leave others."""

    op: ClassVar[str] = "groups"
    action: ClassVar[Action] = Action.SEND

    join: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """The groups that it joins."""
        return tuple(f"group/{name}" for name in self.join)

    def _fields(self) -> Message:
        return {"join": list(self.join), "leave": list(self.leave)}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"], group_names(message, "join"), group_names(message, "leave"))

    def result(self, message: Mapping[str, Any]) -> GroupList:
        """Read the result."""
        return GroupList.read(message)


def group_names(message: Message, field: str) -> tuple[str, ...]:
    """Read a list of names of groups.

    Raises:
        ProtocolError: It is invalid.
    """
    found = message.get(field, [])
    wanted = f"send a list of at most {MAX_GROUPS} names"
    if not isinstance(found, list) or len(found) > MAX_GROUPS:
        raise bad(field, wanted)
    for name in found:
        if not _is_name(name):
            raise bad(field, f"a name is a text of 1 to {MAX_NAME_CHARACTERS} characters")
    return tuple(sorted(set(found)))


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= MAX_NAME_CHARACTERS and name.isprintable()


@dataclass(frozen=True, slots=True)
class Delivery(Answer):
    """A message from another client; ``to`` is what its sender gave."""

    op: ClassVar[str] = "message"

    number: int
    sender: Identity
    to: Mapping[str, str]
    time_us: int
    body: Value

    def _fields(self) -> Message:
        return {
            "message": self.number,
            "from": map_of(self.sender),
            "to": dict(self.to),
            "time_us": self.time_us,
            "body": self.body,
        }

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the message."""
        return cls(
            message["id"],
            message["message"],
            identity_of(message["from"]),
            dict(message["to"]),
            message["time_us"],
            message["body"],
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """The fate of a message at one receiver; ``reason`` is set if it was refused."""

    client: str
    status: str
    reason: str = ""

    def write(self) -> Message:
        """Return the receipt."""
        receipt: Message = {"client": self.client, "status": self.status}
        return receipt | {"reason": self.reason} if self.reason else receipt

    @classmethod
    def read(cls, receipt: Mapping[str, Any]) -> Self:
        """Read the receipt."""
        return cls(receipt["client"], receipt["status"], receipt.get("reason", ""))


@dataclass(frozen=True, slots=True)
class Receipts(Answer):
    """What became of a message with some of its receivers."""

    op: ClassVar[str] = "receipt"

    receipts: Sequence[Receipt]

    def _fields(self) -> Message:
        return {"receipts": [receipt.write() for receipt in self.receipts]}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the message."""
        return cls(message["id"], [Receipt.read(found) for found in message["receipts"]])


REQUESTS = (Send, Receive, Ack, Groups)
ANSWERS = (Delivery, Receipts)
