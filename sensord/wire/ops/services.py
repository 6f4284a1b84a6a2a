"""Services of clients: ``serve``, ``yield`` and ``answer``, and the calls that reach one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from sensord.errors import ProtocolError
from sensord.model.readings import Value
from sensord.sharing.identity import Identity
from sensord.wire.fields import bad, integer, number, text, topic, value
from sensord.wire.frames import EXACT, Message
from sensord.wire.ops.base import Action, Answer, PlainRequest, Request, Result, identity_of, map_of

__all__ = ["ANSWERS", "REQUESTS", "Called", "Failure", "Receivers", "Reply", "Serve", "Yield"]

MAX_NAME_CHARACTERS = 80
MAX_DESCRIPTION_CHARACTERS = 200
MAX_REASON_CHARACTERS = 40
MAX_MESSAGE_CHARACTERS = 500
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Serve(PlainRequest):
    """Offer a service."""

    op: ClassVar[str] = "serve"
    action: ClassVar[Action] = Action.SERVE

    name: str
    description: str = ""
    timeout_s: float = TIMEOUT_S

    @property
    def subjects(self) -> tuple[str, ...]:
        """The name."""
        return (self.name,)

    def _fields(self) -> Message:
        fields: Message = {"name": self.name}
        if self.description:
            fields["description"] = self.description
        return fields if self.timeout_s == TIMEOUT_S else fields | {"timeout": self.timeout_s}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        name = topic(message, "name")
        if "/" in name or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
            wanted = f"at most {MAX_NAME_CHARACTERS} characters, none of them a slash or a control"
            raise bad("name", f"send {wanted}")
        description = text(message, "description", MAX_DESCRIPTION_CHARACTERS)
        timeout_s = number(message, "timeout", TIMEOUT_S, 0.01, 3600.0)
        return cls(message["id"], name, description, timeout_s)


@dataclass(frozen=True, slots=True)
class Receivers(Result):
    """The result of ``yield``: how many callers received the part."""

    receivers: int

    def _fields(self) -> Message:
        return {"receivers": self.receivers}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the result of ``yield``."""
        return cls(message["id"], int(message["receivers"]))


@dataclass(frozen=True, slots=True)
class Yield(Request[Receivers]):
    """Send a part of the answer to a call; any service that was called may."""

    op: ClassVar[str] = "yield"

    call: int
    value: Value

    def _fields(self) -> Message:
        return {"call": self.call, "value": self.value}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"], _call(message), value(message, "value"))

    def result(self, message: Mapping[str, Any]) -> Receivers:
        """Read the result."""
        return Receivers.read(message)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a service did not do what it was called for."""

    reason: str
    message: str = ""
    may_have_acted: bool = True

    def write(self) -> Message:
        """Return the map."""
        return {
            "reason": self.reason,
            "message": self.message,
            "may_have_acted": self.may_have_acted,
        }

    @classmethod
    def read(cls, found: object) -> Self:
        """Read the map.

        Raises:
            ProtocolError: It is invalid.
        """
        if not isinstance(found, dict):
            raise bad("error", "send a map with a reason, or leave it out")
        may_have_acted = found.get("may_have_acted", True)
        try:
            reason = text(found, "reason", MAX_REASON_CHARACTERS)
            message = text(found, "message", MAX_MESSAGE_CHARACTERS)
        except ProtocolError as exc:
            raise bad("error", exc.message) from exc
        if not reason or type(may_have_acted) is not bool:
            raise bad("error", "send a reason that is not empty, and may_have_acted true or false")
        return cls(reason, message, may_have_acted)


@dataclass(frozen=True, slots=True)
class Reply(PlainRequest):
    """End a call of a service; any service that was called may."""

    op: ClassVar[str] = "answer"

    call: int
    value: Value = None
    error: Failure | None = None

    def _fields(self) -> Message:
        if self.error is not None:
            return {"call": self.call, "error": self.error.write()}
        return {"call": self.call, "value": self.value}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        call, error = _call(message), message.get("error")
        return cls(
            message["id"],
            call,
            value(message, "value", None),
            Failure.read(error) if "error" in message else None,
        )


def _call(message: Message) -> int:
    if "call" not in message:
        raise bad("call", "send the number of the call")
    return integer(message, "call", 0, 0, EXACT - 1)


@dataclass(frozen=True, slots=True)
class Called(Answer):
    """A call of the service that the request offers; ``timeout_s`` is the time that is left."""

    op: ClassVar[str] = "request"

    call: int
    name: str
    args: Mapping[str, Value]
    caller: Identity
    timeout_s: float

    def _fields(self) -> Message:
        return {
            "call": self.call,
            "name": self.name,
            "args": dict(self.args),
            "from": map_of(self.caller),
            "timeout": self.timeout_s,
        }

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the message."""
        return cls(
            message["id"],
            message["call"],
            message["name"],
            dict(message["args"]),
            identity_of(message["from"]),
            float(message["timeout"]),
        )


REQUESTS = (Serve, Yield, Reply)
ANSWERS = (Called,)
