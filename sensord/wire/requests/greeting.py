"""The requests of every session: ``hello``, ``bye``, ``ping`` and ``cancel``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from sensord.wire.fields import bad, flag
from sensord.wire.frames import Message
from sensord.wire.requests.base import Action, Request
from sensord.wire.requests.messages import group_names

__all__ = ["READERS", "Bye", "Cancel", "Hello", "Ping"]

MAX_NAME_CHARACTERS = 80
MAX_KEY_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Hello(Request):
    """Introduce the client."""

    action: ClassVar[Action] = Action.SEND

    client: str = ""
    key: str | None = None
    groups: tuple[str, ...] | None = None
    is_brief: bool = False

    @property
    def subjects(self) -> tuple[str, ...]:
        """The groups that it joins."""
        return tuple(f"group/{name}" for name in self.groups or ())


@dataclass(frozen=True, slots=True)
class Bye(Request):
    """Say that the client will not come back."""


@dataclass(frozen=True, slots=True)
class Ping(Request):
    """Ask for an answer."""


@dataclass(frozen=True, slots=True)
class Cancel(Request):
    """End an open request."""

    request: int


def _hello(message: Message) -> Hello:
    client = message.get("client", "")
    if not isinstance(client, str) or len(client) > MAX_NAME_CHARACTERS:
        raise bad("client", f"send a text of at most {MAX_NAME_CHARACTERS} characters")
    key = message.get("key")
    if not (key is None or (isinstance(key, str) and len(key) <= MAX_KEY_CHARACTERS)):
        raise bad("key", "send the key that an earlier hello was answered with, or leave it out")
    groups = group_names(message, "groups") if "groups" in message else None
    name = "".join(c for c in client if c.isprintable())
    return Hello(message["id"], name, key, groups, flag(message, "brief"))


def _bye(message: Message) -> Bye:
    return Bye(message["id"])


def _ping(message: Message) -> Ping:
    return Ping(message["id"])


def _cancel(message: Message) -> Cancel:
    request = message.get("request")
    if type(request) is not int:
        raise bad("request", "send the id of an open request")
    return Cancel(message["id"], request)


READERS: dict[str, Callable[[Message], Request]] = {
    "hello": _hello,
    "bye": _bye,
    "ping": _ping,
    "cancel": _cancel,
}
