"""What clients asked for, by client and key, so that asking again finds the first one. Pure.

What is open is never forgotten. What has ended is kept for a time, the last ones of each client and
of all, with a bound on their weight; the one that ended first is forgotten first.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Memory"]

T = TypeVar("T")


class _Ended(NamedTuple, Generic[T]):
    item: T
    weight: int
    until: float


class Memory(Generic[T]):
    """Items of one kind; ``keep_s`` is how long an ended one is kept."""

    def __init__(self, *, of_client: int, of_all: int, weight: int, keep_s: float) -> None:
        self._most_of_client = of_client
        self._most_of_all = of_all
        self._most_weight = weight
        self._keep_s = keep_s
        self._items: dict[tuple[str, str], T] = {}
        self._ended: OrderedDict[tuple[str, str], _Ended[T]] = OrderedDict()
        self._of_client: dict[str, deque[str]] = {}  # keys of ended items, in the same order
        self._weight = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def due(self) -> float:
        """When the oldest ended item is forgotten; infinite if there is none."""
        return next((one.until for one in self._ended.values()), math.inf)

    def ended(self) -> Iterator[T]:
        """Yield the items that have ended, the oldest first."""
        return (one.item for one in self._ended.values())

    def find(self, client: str, key: str) -> T | None:
        """Return a client's item, or None."""
        return self._items.get((client, key))

    def add(self, client: str, key: str, item: T) -> None:
        """Add an open item."""
        self._items[client, key] = item

    def end(self, client: str, key: str, now: float, *, weight: int) -> list[T]:
        """Move an item to the ended ones; return those that are forgotten for it."""
        self._ended[client, key] = _Ended(self._items[client, key], weight, now + self._keep_s)
        self._weight += weight
        own = self._of_client.setdefault(client, deque())
        own.append(key)
        forgotten = [self.forget(client, own[0])] if len(own) > self._most_of_client else []
        return forgotten + self.expire(now)

    def expire(self, now: float) -> list[T]:
        """Forget the ended items whose time is over or that are too many; return them."""
        forgotten = []
        while self._ended and (
            len(self._ended) > self._most_of_all
            or self._weight > self._most_weight
            or self.due <= now
        ):
            forgotten.append(self.forget(*next(iter(self._ended))))
        return forgotten

    def forget(self, client: str, key: str) -> T:
        """Forget an item, which frees its key."""
        ended = self._ended.pop((client, key), None)
        if ended is not None:
            self._weight -= ended.weight
            own = self._of_client[client]
            own.remove(key)
            if not own:
                del self._of_client[client]
        return self._items.pop((client, key))
