"""What arrives for one request, waiting for the program that iterates over it."""

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
"""Frames a slow reader may be behind before the socket is left unread: about a second's worth."""


class Arrived(NamedTuple, Generic[T]):
    """Items that came together. ``position`` is behind them: where a cursor that handled them is.

    It is None where nobody can tell, as for last values.
    """

    items: list[T]
    position: Position | None


class Inflow(ABC, Generic[T]):
    """An asynchronous iterator over what one request brings, across reconnections."""

    def __init__(self, request: int) -> None:
        self.request = request
        """The id of its request."""
        self._arrived: deque[Arrived[T]] = deque()
        self._frame: deque[T] = deque()  # what is left of the frame that is being read
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
        """Return the request that opens it where it stands; None if nothing is to be asked now."""

    def lost(self) -> None:  # most have nothing to do
        """Note that the connection is lost: `opening` is sent again."""

    def answered(self, result: Result) -> None:  # the same
        """Accept the result of its request."""

    def settled(self, outcome: Outcome) -> None:  # the same
        """Accept the outcome of the act that it asked for."""

    async def put(self, event: Items, is_urgent: Callable[[], object]) -> None:
        """Take what arrived; waits while the reader is far behind, unless ``is_urgent``.

        It is urgent while somebody waits for an answer, which comes behind.
        """
        while len(self._arrived) >= QUEUE and not self._is_ended and not is_urgent():
            self._taken.clear()
            await self._taken.wait()
        self._take(event)

    @abstractmethod
    def _take(self, event: Items) -> None:
        """Hand what arrived to the reader, and note where it would go on."""

    def _give(self, items: list[T], position: Position | None) -> None:
        self._arrived.append(Arrived(items, position))
        self._woken.set()

    def hurry(self) -> None:
        """Have `put` look again whether it must wait."""
        self._taken.set()

    def over(self, _event: Ended) -> None:
        """Learn that the server has ended its request."""
        self.end(None)

    def end(self, error: Exception | None) -> None:
        """Let the iteration end after what has already arrived."""
        self._is_ended = True
        self._error = error
        self._woken.set()
        self._taken.set()

    async def _next(self) -> T:
        """Wait for the next item.

        Raises:
            StopAsyncIteration: There is none any more.
        """
        while not self._frame:
            arrived = await self.arrived()
            if arrived is None:
                raise StopAsyncIteration
            self._frame.extend(arrived.items)
        return self._frame.popleft()

    async def arrived(self) -> Arrived[T] | None:
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


class Line(Protocol):
    """The connection, as what is asked on it sees it."""

    id: str
    """What other clients know this one by; empty before the first hello."""

    @property
    def is_shared(self) -> bool:
        """Whether several iterators wait for what arrives."""
        ...

    def send(self, request: Request[Result]) -> None:
        """Send a request when there is a connection.

        Raises:
            ClientError: There will be none any more.
        """
        ...

    async def ask(self, request: Request[R]) -> R:
        """Send a request that is answered at once; return its result.

        Raises:
            ProtocolError: The server refuses.
            ClientError: The connection is lost before the answer; it may have been served.
        """
        ...

    def cancel(self, request: int) -> None:
        """Cancel what is not wanted any more."""
        ...

    def open_again(self, inflow: Inflow[Any]) -> None:
        """Ask anew, where an iterator stands, under another id; the old request is cancelled."""
        ...

    def number(self) -> int:
        """Return the id for another request."""
        ...

    def fits(self, request: Request[Result]) -> bool:
        """Tell whether a request is small enough for the server."""
        ...


class Query(Inflow[T]):
    """One that is cancelled when its iteration is left: by its end, a ``break``, or an error."""

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
        """Cancel it, unless it is over: nothing more comes."""
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
    """Return where a subscription begins, as a program gives it; a number is a time in µs.

    Raises:
        ProtocolError: It is invalid.
    """
    return read_start(where) if isinstance(where, str) else place_of(where)


def place_of(where: str | Position | int) -> Place:
    """Return a place in the log, as a program gives it; a number is a time in µs.

    Raises:
        ProtocolError: It is invalid.
    """
    match where:
        case Position():
            return where
        case int():
            return Since(where)
    return read_place("from", where)
