"""The requests of every session: ``hello`` and ``ping``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sensord.wire.fields import bad
from sensord.wire.frames import Message
from sensord.wire.requests.base import Request

__all__ = ["READERS", "Hello", "Ping"]

MAX_NAME_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Hello(Request):
    """Introduce the client."""

    client: str = ""


@dataclass(frozen=True, slots=True)
class Ping(Request):
    """Ask for an answer."""


def _hello(message: Message) -> Hello:
    client = message.get("client", "")
    if not isinstance(client, str) or len(client) > MAX_NAME_CHARACTERS:
        raise bad("client", f"send a text of at most {MAX_NAME_CHARACTERS} characters")
    return Hello(message["id"], "".join(c for c in client if c.isprintable()))


def _ping(message: Message) -> Ping:
    return Ping(message["id"])


READERS: dict[str, Callable[[Message], Request]] = {"hello": _hello, "ping": _ping}
