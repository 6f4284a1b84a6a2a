"""Turns: those that are behind go on one at a time, so that however many they are, nobody waits.

What one of them sends in its turn, a piece of the log, takes a millisecond or two. Between two
turns the loop serves everything else: a live reading waits for one turn at most.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["Behind", "Turns"]


class Behind(Protocol):
    """Who waits for a turn."""

    def take_turn(self) -> None:
        """Go on a little; raises nothing."""
        ...


class Turns:
    """The queue of those that are behind, each in it once; as long as there are sessions."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[Behind, None] = {}
        self._handle: asyncio.Handle | None = None

    @property
    def are_free(self) -> bool:
        """Whether nobody waits."""
        return not self._waiting

    def wait(self, one: Behind) -> None:
        """Have `Behind.take_turn` called when it is its turn."""
        self._waiting[one] = None
        if self._handle is None:
            self._handle = self._loop.call_soon(self._next)

    def leave(self, one: Behind) -> None:
        """Wait no longer."""
        self._waiting.pop(one, None)

    def _next(self) -> None:
        self._handle = None
        one = next(iter(self._waiting), None)
        if one is None:
            return
        del self._waiting[one]
        if self._waiting:
            self._handle = self._loop.call_soon(self._next)
        one.take_turn()
