"""The requests about messages from client to client."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from sensord.model.readings import Value
from sensord.model.topics import topic_fault
from sensord.wire.fields import bad, integer, number, text, value
from sensord.wire.frames import EXACT, Message
from sensord.wire.requests.base import Action, Request

__all__ = ["READERS", "Ack", "Groups", "Receive", "Send", "group_names"]

MAX_BODY_BYTES = 16 * 1024
MAX_KEY_CHARACTERS = 200
MAX_NAME_CHARACTERS = 80
MAX_GROUPS = 16

WAIT_S = 60.0
LONGEST_WAIT_S = 86_400.0

KINDS = ("client", "group", "watching")


@dataclass(frozen=True, slots=True)
class Send(Request):
    """Send a message: to a client, to a group, or to all who watch a topic."""

    action: ClassVar[Action] = Action.SEND

    kind: str
    name: str
    body: Value
    size: int
    """Of the body, in bytes as JSON."""
    key: str = ""
    wait_s: float = WAIT_S

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whom it is for."""
        return (f"{self.kind}/{self.name}",)


@dataclass(frozen=True, slots=True)
class Receive(Request):
    """Have the messages for this client."""

    after: int | None = None


@dataclass(frozen=True, slots=True)
class Ack(Request):
    """Say which messages have arrived."""

    message: int


@dataclass(frozen=True, slots=True)
class Groups(Request):
    """Join groups and leave others."""

    action: ClassVar[Action] = Action.SEND

    join: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """The groups that it joins."""
        return tuple(f"group/{name}" for name in self.join)


def group_names(message: Message, field: str) -> tuple[str, ...]:
    """Read a list of names of groups.

    Raises:
        ProtocolError: It is none.
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


def _send(message: Message) -> Send:
    to = message.get("to")
    if not isinstance(to, dict) or sum(kind in to for kind in KINDS) != 1:
        raise bad("to", f"send a map with one of {', '.join(KINDS)}")
    ((kind, name),) = ((kind, to[kind]) for kind in KINDS if kind in to)
    if kind == "watching":
        fault = topic_fault(name) if isinstance(name, str) else "send a topic"
        if fault:
            raise bad("to", f"watching: {fault}")
    elif not _is_name(name):
        raise bad("to", f"{kind}: send a text of 1 to {MAX_NAME_CHARACTERS} characters")
    body = value(message, "body")
    size = len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace"))
    if size > MAX_BODY_BYTES:
        raise bad("body", f"send at most {MAX_BODY_BYTES} bytes as JSON; this is {size}")
    key = text(message, "key", MAX_KEY_CHARACTERS)
    wait_s = number(message, "wait", WAIT_S, 0.0, LONGEST_WAIT_S)
    return Send(message["id"], kind, name, body, size, key, wait_s)


def _receive(message: Message) -> Receive:
    after = integer(message, "after", 0, 0, EXACT - 1) if "after" in message else None
    return Receive(message["id"], after)


def _ack(message: Message) -> Ack:
    return Ack(message["id"], integer(message, "message", -1, 0, EXACT - 1))


def _groups(message: Message) -> Groups:
    return Groups(message["id"], group_names(message, "join"), group_names(message, "leave"))


READERS: dict[str, Callable[[Message], Request]] = {
    "send": _send,
    "receive": _receive,
    "ack": _ack,
    "groups": _groups,
}
