"""What the scenes listen to: rows that are followed, and those who are refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sensord.client import CommandError, Listing, Row, Update
from sensord.errors import ProtocolError

__all__ = ["Rows", "failed", "map_of", "name_of", "refused"]

Condition = Callable[[dict[str, Any]], object]


class Rows:
    """Rows of topics, devices or clients, followed; waits for one of them."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._items = aiter(listing)

    async def until(self, condition: Condition) -> dict[str, Any]:
        """Wait for the next row for which a condition holds; return it."""
        async for item in self._items:
            if isinstance(item, Row) and condition(item.fields):
                return item.fields
        raise AssertionError("the rows have ended")

    async def cancel(self) -> None:
        """Cancel the request: nothing more comes."""
        await self._items.aclose()


async def refused(asking: Awaitable[object]) -> ProtocolError:
    """Return how a request is refused."""
    try:
        told = await asking
    except ProtocolError as exc:
        return exc
    raise AssertionError(f"it was not refused, but {told!r}")


async def failed(acting: Awaitable[object]) -> CommandError:
    """Return how a command fails that was accepted."""
    try:
        told = await acting
    except CommandError as exc:
        return exc
    raise AssertionError(f"it did not fail, but {told!r}")


def map_of(update: Update) -> dict[str, Any]:
    """Return a reading's value, which is a map."""
    assert isinstance(update.reading.value, dict)
    return update.reading.value


def name_of(update: Update, part: str) -> str:
    """Return the name of whom a map speaks of, such as `by`, or nothing."""
    whom = map_of(update)[part]
    return str(whom["name"]) if isinstance(whom, dict) else ""
