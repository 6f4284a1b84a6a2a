"""The queue between the connection and the program that iterates over one request."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from sensord.client.conversation import Ended, Items
from sensord.model.readings import Position
from sensord.wire.ops import Request, Result
from sensord.wire.ops.acting import Outcome
from sensord.wire.places import Place, Since, Start, read_place, read_start

__all__ = ["Arrived", "Inflow", "Line", "Opened", "Query", "place_of", "start_of"]

T = TypeVar("T")
R = TypeVar("R", bound=Result)

QUEUE = 64
"""Frames that may wait for a slow reader before reading stops: about a second's worth."""


class Arrived(NamedTuple, Generic[T]):
    """Items that came together. ``position`` is the place behind them in the log.

    It is None if that is unknown, as for last values.
    """

    items: list[T]
    position: Position | None


class Inflow(ABC, Generic[T]):
    """An asynchronous iterator over the items of one request, across reconnections."""

    def __init__(self, request: int) -> None:
        self.request = request
        """The id of its request."""
        self._arrived: deque[Arrived[T]] = deque()
        self._frame: deque[T] = deque()  # the rest of the current frame
        self._woken = asyncio.Event()  # something arrived, or the end
        self._taken = asyncio.Event()  # there is room again
        self._is_ended = False
        self._error: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more arrives."""
        return self._is_ended

    @abstractmethod
    def opening(self) -> Request[Result] | None:
        """Return the request that resumes it; None if nothing needs to be sent now."""

    def lost(self) -> None:  # by default, do nothing
        """Prepare for `opening` to be sent again, after a lost connection."""

    def too_late(self) -> None:  # the same
        """Give up what must not be repeated any more: the connection has been lost for long."""

    def answered(self, result: Result) -> None:  # the same
        """Process the result of its request."""

    def settled(self, outcome: Outcome) -> None:  # the same
        """Process the outcome of its act."""

    async def put(self, event: Items, is_urgent: Callable[[], object]) -> None:
        """Queue items; wait while the reader is far behind, unless ``is_urgent``.

        It is urgent while a request waits for its answer, which arrives later on the connection.
        """
        while len(self._arrived) >= QUEUE and not self._is_ended and not is_urgent():
            self._taken.clear()
            await self._taken.wait()
        self._take(event)

    @abstractmethod
    def _take(self, event: Items) -> None:
        """Queue items for the reader, and record where the request would resume."""

    def _give(self, items: list[T], position: Position | None) -> None:
        self._arrived.append(Arrived(items, position))
        self._woken.set()

    def hurry(self) -> None:
        """Make `put` check again if it must wait."""
        self._taken.set()

    def over(self, _event: Ended) -> None:
        """End the iteration, as the server ended the request."""
        self.end(None)

    def end(self, error: Exception | None) -> None:
        """End the iteration after what has already arrived."""
        self._is_ended = True
        self._error = error
        self._woken.set()
        self._taken.set()

    async def _next(self) -> T:
        """Wait for the next item.

        Raises:
            StopAsyncIteration: There are no more.
        """
        while not self._frame:
            arrived = await self.arrived()
            if arrived is None:
                raise StopAsyncIteration
            self._frame.extend(arrived.items)
        return self._frame.popleft()

    async def arrived(self) -> Arrived[T] | None:
        """Return the next items as they came together, or None at the end.

        An alternative to iteration; cancelling it loses nothing.

        Raises:
            SensordError: The request was refused, or the client ended.
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


class Line(Protocol):
    """An iterator's view of the connection."""

    id: str
    """The id by which other clients know this one; empty before the first hello."""

    @property
    def is_shared(self) -> bool:
        """Whether several iterators wait for what arrives."""
        ...

    def send(self, request: Request[Result]) -> None:
        """Send a request, now or when the connection is back.

        Raises:
            ClientError: The client has ended.
        """
        ...

    async def ask(self, request: Request[R]) -> R:
        """Send a request that is answered at once, and return its result.

        Raises:
            ProtocolError: The server refuses.
            ClientError: The connection is lost before the answer; it may have been served.
        """
        ...

    def cancel(self, request: int) -> None:
        """Cancel a request and ignore its answer."""
        ...

    def open_again(self, inflow: Inflow[Any]) -> None:
        """Replace an iterator's request by one that continues from where it stands."""
        ...

    def number(self) -> int:
        """Return the id for the next request."""
        ...

    def fits(self, request: Request[Result]) -> bool:
        """Return whether a request is small enough for the server."""
        ...


class Query(Inflow[T]):
    """An iterator whose request is cancelled when a ``break`` or an error leaves the iteration."""

    def __init__(self, request: int, line: Line) -> None:
        super().__init__(request)
        self._line = line

    async def __aiter__(self) -> AsyncGenerator[T]:
        try:
            while True:
                try:
                    item = await self._next()
                except StopAsyncIteration:
                    return
                yield item
        finally:
            self.close()

    def close(self) -> None:
        """Cancel the request, unless it has ended; no more items come."""
        if not self._is_ended:
            self.end(None)
            self._line.cancel(self.request)
        self._arrived.clear()
        self._frame.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


Opened = TypeVar("Opened", bound=Inflow[Any])


def start_of(where: str | Position | int) -> Start:
    """Convert a program's argument to the start of a subscription; a number is a time in µs.

    Raises:
        ProtocolError: It is invalid.
    """
    return read_start(where) if isinstance(where, str) else place_of(where)


def place_of(where: str | Position | int) -> Place:
    """Convert a program's argument to a place in the log; a number is a time in µs.

    Raises:
        ProtocolError: It is invalid.
    """
    match where:
        case Position():
            return where
        case int():
            return Since(where)
    return read_place("from", where)
