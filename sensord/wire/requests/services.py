"""The requests of a client that offers a service: ``serve``, ``tell`` and ``answer``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypedDict

from sensord.errors import ProtocolError
from sensord.model.readings import Value
from sensord.wire.fields import bad, integer, number, text, topic, value
from sensord.wire.frames import EXACT, Message
from sensord.wire.requests.base import Action, Request

__all__ = ["READERS", "Answer", "Failure", "Serve", "Tell"]

MAX_NAME_CHARACTERS = 80
MAX_DESCRIPTION_CHARACTERS = 200
MAX_REASON_CHARACTERS = 40
MAX_MESSAGE_CHARACTERS = 500
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Serve(Request):
    """Offer a service."""

    action: ClassVar[Action] = Action.SERVE

    name: str
    description: str = ""
    timeout_s: float = TIMEOUT_S

    @property
    def subjects(self) -> tuple[str, ...]:
        """The name."""
        return (self.name,)


class Failure(TypedDict):
    """Why a service did not do what it was called for."""

    reason: str
    message: str
    may_have_acted: bool


@dataclass(frozen=True, slots=True)
class Tell(Request):
    """Tell whoever waits for a call a part of its answer; whoever was asked may."""

    call: int
    value: Value


@dataclass(frozen=True, slots=True)
class Answer(Request):
    """Say how a call of a service ended; whoever was asked may answer."""

    call: int
    value: Value = None
    error: Failure | None = None


def _serve(message: Message) -> Serve:
    name = topic(message, "name")
    if "/" in name or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        wanted = f"at most {MAX_NAME_CHARACTERS} characters, none of them a slash or a control"
        raise bad("name", f"send {wanted}")
    description = text(message, "description", MAX_DESCRIPTION_CHARACTERS)
    return Serve(
        message["id"], name, description, number(message, "timeout", TIMEOUT_S, 0.01, 3600.0)
    )


def _tell(message: Message) -> Tell:
    return Tell(message["id"], _call(message), value(message, "value"))


def _answer(message: Message) -> Answer:
    call = _call(message)
    return Answer(message["id"], call, value(message, "value", None), _error(message))


def _call(message: Message) -> int:
    if "call" not in message:
        raise bad("call", "send the number of the call")
    return integer(message, "call", 0, 0, EXACT - 1)


def _error(message: Message) -> Failure | None:
    if "error" not in message:
        return None
    found = message["error"]
    if not isinstance(found, dict):
        raise bad("error", "send a map with a reason, or leave it out")
    may_have_acted = found.get("may_have_acted", True)
    try:
        reason = text(found, "reason", MAX_REASON_CHARACTERS)
        told = text(found, "message", MAX_MESSAGE_CHARACTERS)
    except ProtocolError as exc:
        raise bad("error", exc.message) from exc
    if not reason or type(may_have_acted) is not bool:
        raise bad("error", "send a reason that is not empty, and may_have_acted true or false")
    return Failure(reason=reason, message=told, may_have_acted=may_have_acted)


READERS: dict[str, Callable[[Message], Request]] = {
    "serve": _serve,
    "tell": _tell,
    "answer": _answer,
}
