"""What a `Client`'s subscription brings, kept, so that a test can wait for something in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sensord.client import Gap, Item, PhaseChange, Replay, Subscription, Update

__all__ = ["Follower"]


class Follower:
    """Follows one subscription."""

    def __init__(self, subscription: Subscription | Replay) -> None:
        self.items: list[Item] = []
        self._count = 0  # of readings
        self._arriving = aiter(subscription)

    async def until(self, condition: Callable[[Item], object]) -> Item:
        """Wait for the first new item for which ``condition`` holds; return it."""
        async for item in self._arriving:
            self.items.append(item)
            self._count += isinstance(item, Update)
            if condition(item):
                return item
        raise AssertionError("the subscription ended")

    async def update(self, condition: Callable[[Update], object]) -> Update:
        """Wait for the first new reading for which ``condition`` holds; return it."""
        found = await self.until(lambda item: isinstance(item, Update) and condition(item))
        assert isinstance(found, Update)
        return found

    async def value(self, value: object) -> Update:
        """Wait for a reading of this value."""
        return await self.update(lambda update: update.reading.value == value)

    async def live(self) -> None:
        """Wait until the subscription is at the tail."""
        await self.until(lambda item: item == PhaseChange("live"))

    async def count(self, number: int) -> None:
        """Wait until so many readings have come in all."""
        if self._count < number:
            await self.until(lambda _: self._count >= number)

    @property
    def updates(self) -> list[Update]:
        return [item for item in self.items if isinstance(item, Update)]

    @property
    def values(self) -> list[Any]:
        return [update.reading.value for update in self.updates]

    @property
    def gaps(self) -> list[Gap]:
        return [item for item in self.items if isinstance(item, Gap)]

    @property
    def phases(self) -> list[str]:
        return [item.phase for item in self.items if isinstance(item, PhaseChange)]
