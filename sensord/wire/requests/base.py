"""What every request has: an id, an action that a session must be allowed, and what it is about."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

__all__ = ["Action", "Request"]


class Action(enum.StrEnum):
    """What a session must be allowed to do."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    CALL = "call"
    SEND = "send"
    SERVE = "serve"


@dataclass(frozen=True, slots=True)
class Request:
    """Something that a client asks."""

    action: ClassVar[Action] = Action.NONE

    id: int

    @property
    def subjects(self) -> tuple[str, ...]:
        """The filters, topics or names that it is about."""
        return ()
