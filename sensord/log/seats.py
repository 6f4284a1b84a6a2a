"""Seats: who may hold readings that were fetched from the disk. Pure.

Theory of operation. What is fetched is a decoded chunk of the journal or more, and is handed over
in pieces. A reader needs a seat before it fetches, and leaves it with the last piece; so memory is
bounded by the number of seats, however many readers there are. Those without a seat queue. A reader
that cannot use what it holds, because its client does not read or is not ready for it, is idle: it
loses its seat, with what it holds, as soon as somebody queues, and fetches again later.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["SEATS", "Seats", "Sitter"]

SEATS = 8
"""Readers that hold what they fetched: some 3 MiB each at most, 24 MiB together."""


class Sitter(Protocol):
    """A reader of the disk."""

    is_reading: bool
    """Whether what it fetches has not come yet."""

    @property
    def is_idle(self) -> bool:
        """Whether it has no use at present for what it holds."""
        ...

    def sit(self) -> None:
        """Fetch: there is a seat."""
        ...

    def drop(self) -> None:
        """Forget what was fetched: the seat is somebody else's."""
        ...


class Seats:
    """The seats, and the queue for them."""

    def __init__(self, most: int = SEATS) -> None:
        self._most = most
        self._seated: dict[Sitter, None] = {}
        self._queue: dict[Sitter, None] = {}

    def __len__(self) -> int:
        return len(self._seated)

    def ask(self, one: Sitter) -> None:
        """Call `Sitter.sit` as soon as there is a seat."""
        if one in self._seated:
            one.sit()
        else:
            self._queue[one] = None
            self.review()

    def leave(self, one: Sitter) -> None:
        """Give the seat to the next in the queue; leave the queue."""
        self._queue.pop(one, None)
        self._seated.pop(one, None)
        self.review()

    def review(self) -> None:
        """Seat whoever queues, as far as seats are free or held by idle readers."""
        while self._queue and self._has_room():
            one = next(iter(self._queue))
            del self._queue[one]
            self._seated[one] = None
            one.sit()

    def _has_room(self) -> bool:
        if len(self._seated) < self._most:
            return True
        idle = next((s for s in self._seated if s.is_idle and not s.is_reading), None)
        if idle is not None:
            del self._seated[idle]
            idle.drop()
        return idle is not None
