"""Messages that clients send each other, and their receipts. Pure.

The class is called `ClientMessage`, because a message is also what a device sends.
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
"""The approximate size of a message in memory without its body."""


class Status(enum.StrEnum):
    """The status of a message at one of its receivers."""

    SENT = "sent"
    """On its way to a client that receives."""
    AWAY = "away"
    """Kept: the client is away, or does not receive."""
    DELIVERED = "delivered"
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    FULL = "full"

    @property
    def is_open(self) -> bool:
        """Whether the message can still be delivered."""
        return self in {Status.SENT, Status.AWAY}

    @property
    def is_refusal(self) -> bool:
        """Whether the message was refused for this receiver."""
        return self in {Status.UNKNOWN, Status.FULL}


@dataclass(frozen=True, slots=True)
class To:
    """The address of a message: one client, a group, or the watchers of a topic."""

    kind: Literal["client", "group", "watching"]
    name: str

    @property
    def subject(self) -> str:
        """The subject in the audit and in permissions."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receipt of a message at one receiver."""

    client: str
    status: Status


Follower = Callable[[Receipt], None]


@dataclass(slots=True, eq=False)
class ClientMessage:
    """One message, with the status at each of its receivers."""

    number: int
    """Greater than every earlier number, for ever; 0 if it has no receivers."""
    sender: Identity
    to: To
    body: Value
    size: int
    """The size of the body in bytes."""
    time_us: int
    key: str
    """The sender's key, which distinguishes a retry from a new message."""
    digest: str
    """The digest of the request that used the key."""
    statuses: dict[str, Status]
    """By the receiver's id."""
    is_kept: bool = False
    """Whether it is in the store, and so accepted."""
    ends_at: float = math.inf
    """When it expires, or once it has ended, when it is forgotten; by the loop's clock."""
    followers: list[Follower] = field(default_factory=list)
    weight: int = field(init=False)
    """The size of the body in memory."""
    _open: int = field(init=False)

    def __post_init__(self) -> None:
        self.weight = weight_of(self.body)
        self._open = sum(status.is_open for status in self.statuses.values())

    @property
    def is_over(self) -> bool:
        """Whether every receipt is final."""
        return not self._open

    @property
    def open_receivers(self) -> list[str]:
        """The receivers to which it can still be delivered."""
        return [client for client, status in self.statuses.items() if status.is_open]

    @property
    def bytes_held(self) -> int:
        """The memory that it takes while it is kept."""
        return self.weight + LETTER_BYTES + RECEIVER_BYTES * len(self.statuses)

    def set(self, client: str, status: Status) -> None:
        """Set the status at one receiver, and report it to the followers."""
        before = self.statuses[client]
        if before is not status:
            self.statuses[client] = status
            self._open -= before.is_open and not status.is_open
            for follower in tuple(self.followers):
                follower(Receipt(client, status))

    def row(self) -> dict[str, Value]:
        """Return the row for the store, without the body once that is delivered."""
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
    """Read a row from `ClientMessage.row`, or return None if it is invalid."""
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
            ((kind, target),) = to.items()
            known = {status.value: status for status in Status}
            if kind not in {"client", "group", "watching"} or not isinstance(target, str):
                return None
            if any(status not in known for status in statuses.values()):
                return None
            return ClientMessage(
                number=int(number),
                sender=Identity(client, name, address),
                to=To(kind, target),
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
    """Return a digest of a request to send."""
    asked: Mapping[str, object] = {"to": to.subject, "body": body}
    text = json.dumps(asked, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
