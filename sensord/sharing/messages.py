"""Messages: the messages that clients send each other, and what became of each. Pure.

On the wire a message is a ``message``; that word alone is taken in here by what devices say.
"""

from __future__ import annotations

import enum
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from sensord.model.readings import Value
from sensord.model.weight import weight_of
from sensord.sharing.identity import Identity

__all__ = ["ClientMessage", "Receipt", "Status", "To", "digest_of", "read_message"]

LETTER_BYTES, RECEIVER_BYTES = 500, 200
"""What one takes in memory beside its body, roughly."""


class Status(enum.StrEnum):
    """How a message fares with one of its receivers."""

    SENT = "sent"
    """On its way to a client that receives."""
    AWAY = "away"
    """Kept: the client is not there, or does not receive."""
    DELIVERED = "delivered"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    FULL = "full"

    @property
    def is_open(self) -> bool:
        """Whether it can still change for the better."""
        return self in {Status.SENT, Status.AWAY}

    @property
    def is_refusal(self) -> bool:
        """Whether the message was never kept for this receiver."""
        return self in {Status.UNKNOWN, Status.FULL}


@dataclass(frozen=True, slots=True)
class To:
    """Whom a message is for: one client, a group of them, or all who watch a topic."""

    kind: Literal["client", "group", "watching"]
    name: str

    @property
    def subject(self) -> str:
        """How the audit and permissions call it."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message with one receiver."""

    client: str
    status: Status


Follower = Callable[[Receipt], None]


@dataclass(slots=True, eq=False)
class ClientMessage:
    """One message, to all of its receivers."""

    number: int
    """Greater than that of every message before it, for ever; 0 of one that nobody gets."""
    sender: Identity
    to: To
    body: Value
    size: int
    """Of the body, in bytes."""
    time_us: int
    key: str
    """The sender's: tells a retry from another message."""
    digest: str
    """Of what was asked with the key."""
    statuses: dict[str, Status]
    """By receiver's id."""
    is_kept: bool = False
    """Whether it is on the disk, and so accepted."""
    ends_at: float = math.inf
    """By the loop's clock: when it expires; once it is over, when it is forgotten."""
    followers: list[Follower] = field(default_factory=list)
    weight: int = field(init=False)
    """Of the body, in memory."""
    _open: int = field(init=False)

    def __post_init__(self) -> None:
        self.weight = weight_of(self.body)
        self._open = sum(status.is_open for status in self.statuses.values())

    @property
    def is_over(self) -> bool:
        """Whether nothing more can become of it."""
        return not self._open

    @property
    def open_receivers(self) -> list[str]:
        """Those with whom it can still change for the better."""
        return [client for client, status in self.statuses.items() if status.is_open]

    @property
    def bytes_held(self) -> int:
        """What it takes while it is kept."""
        return self.weight + LETTER_BYTES + RECEIVER_BYTES * len(self.statuses)

    def set(self, client: str, status: Status) -> None:
        """Note what became of it, and tell those who follow."""
        before = self.statuses[client]
        if before is not status:
            self.statuses[client] = status
            self._open -= before.is_open and not status.is_open
            for follower in tuple(self.followers):
                follower(Receipt(client, status))

    def row(self) -> dict[str, Value]:
        """Write it for the store; without its body when that is delivered."""
        sender = self.sender
        return {
            "sender": {"id": sender.id, "name": sender.name, "address": sender.address},
            "to": {self.to.kind: self.to.name},
            "body": None if self.is_over else self.body,
            "size": self.size,
            "time_us": self.time_us,
            "key": self.key,
            "digest": self.digest,
            "statuses": {client: status.value for client, status in self.statuses.items()},
        }


def read_message(number: str, row: Value) -> ClientMessage | None:
    """Read what `ClientMessage.row` wrote; None if it is not that."""
    match row:
        case {
            "sender": {"id": str(client), "name": str(name), "address": str(address)},
            "to": {**to},
            "body": body,
            "size": int(size),
            "time_us": int(time_us),
            "key": str(key),
            "digest": str(digest),
            "statuses": {**statuses},
        } if number.isdecimal() and len(to) == 1:
            ((kind, told),) = to.items()
            known = {status.value: status for status in Status}
            if kind not in {"client", "group", "watching"} or not isinstance(told, str):
                return None
            if any(status not in known for status in statuses.values()):
                return None
            return ClientMessage(
                number=int(number),
                sender=Identity(client, name, address),
                to=To(kind, told),
                body=body,
                size=size,
                time_us=time_us,
                key=key,
                digest=digest,
                statuses={str(c): Status(cast("str", s)) for c, s in statuses.items()},
                is_kept=True,
            )
    return None


def digest_of(to: To, body: Value) -> str:
    """Return a text that is another one for whatever else might have been asked."""
    asked: Mapping[str, object] = {"to": to.subject, "body": body}
    text = json.dumps(asked, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
