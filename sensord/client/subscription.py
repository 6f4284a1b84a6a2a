"""A subscription as a program iterates over it, across reconnections.

Theory of operation. What a slow reader has not taken waits here, up to a bound. Then the socket is
left unread, so that the server deals with the lag; but where somebody else waits for something on
the same connection, the subscription falls behind instead: what comes is dropped, and when its
reader has taken what was held, it is opened anew at the place behind that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Self

from sensord.client.conversation import Ended, Gap, Item, Items, PhaseChange, Update
from sensord.client.inflow import QUEUE, Arrived, Inflow, Line
from sensord.model.readings import Position
from sensord.wire.ops.subscriptions import Subscribe

__all__ = ["Stream", "Subscription"]


class Stream(Inflow[Item]):
    """An asynchronous iterator over what one stream of readings brings, across reconnections.

    An iteration that was left continues where it stopped when another one begins.
    """

    def __init__(self, request: int, line: Line) -> None:
        super().__init__(request)
        self.position: Position | None = None
        """Where it would resume: hand it to ``start`` of a later subscription."""
        self._line = line
        self._is_behind = False

    async def put(self, event: Items, is_urgent: Callable[[], object]) -> None:
        """Take what arrived; wait while the reader is far behind, or let it fall behind."""
        while len(self._arrived) >= QUEUE and not self._is_ended and not self._is_behind:
            if is_urgent() or self._line.is_shared:
                if self.position is None:
                    break  # nothing tells where it could go on: it is not much yet
                self._is_behind = True
            else:
                self._taken.clear()
                await self._taken.wait()
        if not self._is_behind:
            self._take(event)

    async def arrived(self) -> Arrived[Item] | None:
        """Return what came next, whole, or None at the end; for those who do not iterate."""
        if self._is_behind and not self._arrived and not self._is_ended:
            self._is_behind = False
            self._line.open_again(self)
        return await super().arrived()

    def over(self, event: Ended) -> None:
        """Learn that the server has ended its request: of a replay, at its end."""
        if not self._is_behind:  # else the rest of it is still to be asked for
            super().over(event)

    def lost(self) -> None:
        """Learn that it is opened anew anyway."""
        self._is_behind = False

    def _take(self, event: Items) -> None:
        items = [i for i in event.items if isinstance(i, Update | Gap | PhaseChange)]
        self._give(items, event.resume)
        # Only now: a frame counts as handled when it is on its way to the reader.
        self.position = self._reached(event)

    def _reached(self, event: Items) -> Position | None:
        """Return where it would go on after what arrived."""
        if self.position is None and any(isinstance(item, Gap) for item in event.items):
            return None  # it began with a time: what follows the gap may be older than that
        return event.resume or self.position

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        return await self._next()


class Subscription(Stream):
    """Last values, the past and live readings of what some filters select."""

    def __init__(self, asked: Subscribe, line: Line) -> None:
        super().__init__(asked.id, line)
        self.topics = list(asked.topics)
        self._asked = asked

    def opening(self) -> Subscribe:
        """Return the request that opens it where it stands."""
        asked = replace(self._asked, id=self.request)
        return asked if self.position is None else replace(asked, start=self.position)
