"""The request ``forget``: topics that will not come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from sensord.wire.fields import topics
from sensord.wire.frames import Message
from sensord.wire.ops.base import Action, Request, Result

__all__ = ["REQUESTS", "Forget", "Forgotten"]


@dataclass(frozen=True, slots=True)
class Forgotten(Result):
    """The result of ``forget``: the topics that were forgotten."""

    topics: tuple[str, ...]

    def _fields(self) -> Message:
        return {"topics": list(self.topics)}

    @classmethod
    def read(cls, message: Mapping[str, Any]) -> Self:
        """Read the result of ``forget``."""
        return cls(message["id"], tuple(message["topics"]))


@dataclass(frozen=True, slots=True)
class Forget(Request[Forgotten]):
    """Remove topics from listings and snapshots."""

    op: ClassVar[str] = "forget"
    action: ClassVar[Action] = Action.ADMIN

    topics: tuple[str, ...]

    @property
    def subjects(self) -> tuple[str, ...]:
        """The filters."""
        return self.topics

    def _fields(self) -> Message:
        return {"topics": list(self.topics)}

    @classmethod
    def read(cls, message: Message) -> Self:
        """Read the message."""
        return cls(message["id"], topics(message))

    def result(self, message: Mapping[str, Any]) -> Forgotten:
        """Read the result."""
        return Forgotten.read(message)


REQUESTS = (Forget,)
