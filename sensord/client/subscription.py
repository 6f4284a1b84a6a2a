"""A subscription as a program iterates over it, across reconnections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from sensord.client.conversation import Gap, Item, Items, PhaseChange, Update
from sensord.client.inflow import Inflow, place
from sensord.model import Position

__all__ = ["Subscription"]


class Subscription(Inflow[Item]):
    """An asynchronous iterator over what one subscription brings, across reconnections."""

    def __init__(self, request: int, topics: Sequence[str], options: dict[str, Any]) -> None:
        super().__init__(request)
        self.topics = list(topics)
        self.position: Position | None = None
        """Where it would resume: hand it to ``start`` of a later subscription."""
        self._options = options

    def message(self) -> dict[str, Any]:
        """Return the request that opens it where it stands."""
        message = {"op": "subscribe", "id": self.request, "topics": self.topics, **self._options}
        if self.position is not None:
            message["from"] = place(self.position)
        return message

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
