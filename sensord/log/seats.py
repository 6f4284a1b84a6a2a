"""Seats: the right to hold readings that were fetched from the disk. Pure.

Theory of operation. A fetch yields at least one decoded chunk of the journal, handed over in
pieces. A reader needs a seat before it fetches, and leaves it with the last piece; so the number of
seats bounds the memory, however many readers there are. Readers without a seat queue. A reader that
cannot use what it holds, because its client does not read or is not ready, is idle: it loses its
seat and what it holds as soon as another reader queues, and fetches again later.
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
        """Drop what was fetched: another reader gets the seat."""
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
        """Seat the queued readers, as far as seats are free or held by idle readers."""
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
