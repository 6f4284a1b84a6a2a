"""The requests that ask for what is known: ``get``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from sensord.wire.fields import topics
from sensord.wire.frames import Message
from sensord.wire.requests.base import Action, Request

__all__ = ["READERS", "Get"]


@dataclass(frozen=True, slots=True)
class Get(Request):
    """Ask for last values."""

    action: ClassVar[Action] = Action.READ

    topics: tuple[str, ...]

    @property
    def subjects(self) -> tuple[str, ...]:
        """The filters."""
        return self.topics


def _get(message: Message) -> Get:
    return Get(message["id"], topics(message))


READERS: dict[str, Callable[[Message], Request]] = {"get": _get}
