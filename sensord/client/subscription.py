"""A subscription as a program iterates over it, across reconnections."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

from sensord.client.conversation import Item
from sensord.model import Position

__all__ = ["Arrived", "Subscription", "place"]

QUEUE = 64
"""Frames a slow reader may be behind before the socket is left unread: about a second's worth."""


class Arrived(NamedTuple):
    """Items that came together. ``position`` is behind them: where a cursor that handled them is.

    It is None where nobody can tell, as for last values.
    """

    items: list[Item]
    position: Position | None


class Subscription:
    """An asynchronous iterator over what one subscription brings, across reconnections."""

    def __init__(self, request: int, topics: Sequence[str], options: dict[str, Any]) -> None:
        self.request = request
        """The id of its request."""
        self.topics = list(topics)
        self.position: Position | None = None
        """Where it would resume: hand it to ``start`` of a later subscription."""
        self._options = options
        self._arrived: deque[Arrived] = deque()
        self._frame: deque[Item] = deque()  # what is left of the frame that is being read
        self._woken = asyncio.Event()  # something arrived, or the end
        self._taken = asyncio.Event()  # there is room again
        self._is_ended = False
        self._error: Exception | None = None

    def message(self) -> dict[str, Any]:
        """Return the request that opens it where it stands."""
        message = {"op": "subscribe", "id": self.request, "topics": self.topics, **self._options}
        if self.position is not None:
            message["from"] = place(self.position)
        return message

    async def put(self, arrived: Arrived, is_urgent: Callable[[], object]) -> None:
        """Take what arrived; waits while the reader is far behind, unless ``is_urgent``."""
        while len(self._arrived) >= QUEUE and not self._is_ended and not is_urgent():
            self._taken.clear()
            await self._taken.wait()
        self._arrived.append(arrived)
        self._woken.set()

    def hurry(self) -> None:
        """Have `put` look again whether it must wait."""
        self._taken.set()

    def end(self, error: Exception | None) -> None:
        """Let the iteration end after what has already arrived."""
        self._is_ended = True
        self._error = error
        self._woken.set()
        self._taken.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while not self._frame:
            arrived = await self.arrived()
            if arrived is None:
                raise StopAsyncIteration
            self._frame.extend(arrived.items)
        return self._frame.popleft()

    async def arrived(self) -> Arrived | None:
        """Return what came next, whole, or None at the end; for those who do not iterate.

        May be cancelled without losing anything.

        Raises:
            SensordError: It was refused, or the client ended.
        """
        while not self._arrived:
            if self._is_ended:
                if self._error is not None:
                    raise self._error
                return None
            self._woken.clear()
            await self._woken.wait()
        self._taken.set()
        return self._arrived.popleft()


def place(where: str | Position | int) -> object:
    """Write a place in the log as requests do; a number is a time in µs."""
    if isinstance(where, Position):
        return {"epoch": where.epoch, "offset": where.offset}
    return {"time_us": where} if isinstance(where, int) else where
