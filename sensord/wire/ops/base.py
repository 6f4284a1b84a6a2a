"""What every control message is: one frozen value that reads and writes itself.

A *request* goes to the server and is answered by exactly one `result` or `error`; the type of its
result is a parameter of the request, so a client that sends ``Put`` gets a ``Version`` back. An
*answer* is any message that the server sends with the id of a request. Both ends use the same
types, and no other code builds or parses control messages.

Writing leaves defaults out. Reading a request checks each field and raises `ProtocolError`; reading
an answer trusts the server, and raises KeyError, TypeError or ValueError where it broke the
protocol, which the client's conversation reports.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from sensord.sharing.identity import Identity
from sensord.wire.frames import Message

__all__ = [
    "Action",
    "Answer",
    "PlainRequest",
    "Request",
    "Result",
    "Sendable",
    "identity_of",
    "map_of",
]


class Action(enum.StrEnum):
    """What a session must be allowed to do."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    CALL = "call"
    SEND = "send"
    SERVE = "serve"
    ADMIN = "admin"
    """What only a holder of `admin` may do."""


class Sendable(Protocol):
    """Any object that can be written as one control message."""

    def write(self) -> Message:
        """Return the message."""
        ...


@dataclass(frozen=True, slots=True)
class Answer(ABC):
    """A control message of the server about one request, by the request's id."""

    op: ClassVar[str]

    id: int

    def write(self) -> Message:
        """Return the message."""
        return {"op": self.op, "id": self.id, **self._fields()}

    @abstractmethod
    def _fields(self) -> Message:
        """Return the fields of the message besides ``op`` and ``id``."""

    @classmethod
    @abstractmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the message.

        Raises:
            KeyError, TypeError, ValueError: It is not one.
        """


@dataclass(frozen=True, slots=True)
class Result(Answer):
    """The request succeeded. Most requests have a result of their own with further fields."""

    op: ClassVar[str] = "result"

    def _fields(self) -> Message:
        return {}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read a result without further fields."""
        return cls(message["id"])


R_co = TypeVar("R_co", bound=Result, covariant=True)


@dataclass(frozen=True, slots=True)
class Request(ABC, Generic[R_co]):
    """Something that a client asks; ``R_co`` is the type of its result."""

    op: ClassVar[str]
    action: ClassVar[Action] = Action.NONE

    id: int

    @property
    def subjects(self) -> tuple[str, ...]:
        """The filters, topics or names that it is about."""
        return ()

    def write(self) -> Message:
        """Return the message, defaults left out."""
        return {"op": self.op, "id": self.id, **self._fields()}

    def _fields(self) -> Message:
        return {}

    @classmethod
    @abstractmethod
    def read(cls, message: Message) -> Self:
        """Read the message, whose id has been checked.

        Raises:
            ProtocolError: A field is missing or invalid; the text says what to send.
        """

    @abstractmethod
    def result(self, message: Mapping[str, Any]) -> R_co:
        """Read the result of this request.

        Raises:
            KeyError, TypeError, ValueError: It is not one.
        """


@dataclass(frozen=True, slots=True)
class PlainRequest(Request[Result]):
    """A request whose result has no further fields."""

    def result(self, message: Mapping[str, Any]) -> Result:
        """Read the result."""
        return Result.read(message)


def map_of(who: Identity) -> Message:
    """Return a client as messages name one."""
    return {"id": who.id, "name": who.name}


def identity_of(found: Mapping[str, Any]) -> Identity:
    """Read the client that a message names."""
    return Identity(found["id"], found["name"])
