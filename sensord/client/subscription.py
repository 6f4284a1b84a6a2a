"""The iterator over a subscription, across reconnections.

Theory of operation. Items wait here for a slow reader, up to a bound. Then the client stops reading
the socket, which leaves the lag to the server. If something else waits on the same connection, the
subscription falls behind instead: new items are dropped, and when the reader has read those that
were held, the subscription is opened again at the place behind them.
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
    """An asynchronous iterator over one stream of readings, across reconnections.

    A new iteration continues where the last one stopped.
    """

    def __init__(self, request: int, line: Line) -> None:
        super().__init__(request)
        self.position: Position | None = None
        """The position to resume from, for the ``start`` of a later subscription."""
        self._line = line
        self._is_behind = False

    async def put(self, event: Items, is_urgent: Callable[[], object]) -> None:
        """Queue items; wait while the reader is far behind, or fall behind and drop them."""
        while len(self._arrived) >= QUEUE and not self._is_ended and not self._is_behind:
            if is_urgent() or self._line.is_shared:
                if self.position is None:
                    break  # where to resume is unknown: it is not much yet
                self._is_behind = True
            else:
                self._taken.clear()
                await self._taken.wait()
        if not self._is_behind:
            self._take(event)

    async def arrived(self) -> Arrived[Item] | None:
        """Return the next items as they came together, or None at the end."""
        if self._is_behind and not self._arrived and not self._is_ended:
            self._is_behind = False
            self._line.open_again(self)
        return await super().arrived()

    def over(self, event: Ended) -> None:
        """End the iteration, as the server ended the request."""
        if not self._is_behind:  # else the rest is still to be requested
            super().over(event)

    def lost(self) -> None:
        """Clear the lag: the request is sent again anyway."""
        self._is_behind = False

    def _take(self, event: Items) -> None:
        items = [i for i in event.items if isinstance(i, Update | Gap | PhaseChange)]
        self._give(items, event.resume)
        # Only now: a frame counts as handled when the reader gets it.
        self.position = self._reached(event)

    def _reached(self, event: Items) -> Position | None:
        """Return where it would resume after these items."""
        if self.position is None and any(isinstance(item, Gap) for item in event.items):
            return None  # it began at a time: later items may be older than the gap
        return event.resume or self.position

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        return await self._next()


class Subscription(Stream):
    """Last values, past and live readings of the topics that the filters select."""

    def __init__(self, asked: Subscribe, line: Line) -> None:
        super().__init__(asked.id, line)
        self.topics = list(asked.topics)
        self._asked = asked

    def opening(self) -> Subscribe:
        """Return the request that resumes it."""
        asked = replace(self._asked, id=self.request)
        return asked if self.position is None else replace(asked, start=self.position)
