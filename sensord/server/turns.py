"""Turns: requests that have more to send advance one at a time, one in each turn of the loop.

Theory of operation. Clients take turns, however many requests each has waiting. What a request
sends in its turn, a piece of the log, costs a millisecond or two. Between two turns the loop serves
everything else: a live reading waits for one turn at most, however many requests are behind.

Urgent ones get every other turn while there are any: a health check must get an answer while
thousands connect.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

__all__ = ["Behind", "Turns"]

AT_ONCE_S = 0.004
"""How long requests that need not wait may take in one turn of the loop."""


class Behind(Protocol):
    """A request that waits for its turn."""

    def take_turn(self) -> None:
        """Send a little; raise nothing."""
        ...


class Turns:
    """The queue of requests that are behind, each in it once, by client."""

    def __init__(self, loop: asyncio.AbstractEventLoop, share_s: float = 0.0) -> None:
        """``share_s``: others follow in the same turn of the loop until this time has passed."""
        self._loop = loop
        self._share_s = share_s
        self._queues: dict[object, dict[Behind, None]] = {}
        """By client, the next one first."""
        self._clients: dict[Behind, object] = {}
        self._urgent: dict[Behind, None] = {}
        self._was_urgent = False  # the last turn
        self._handle: asyncio.Handle | None = None
        self._spent_s = 0.0
        self._renewal: asyncio.Handle | None = None

    def wait(self, one: Behind, client: object = None) -> None:
        """Call `Behind.take_turn` in turn; ``client`` owns it."""
        if one in self._clients:
            return
        client = one if client is None else client
        self._clients[one] = client
        self._queues.setdefault(client, {})[one] = None
        if self._handle is None:
            self._handle = self._loop.call_soon(self._next)

    def start(self, one: Behind, client: object = None) -> None:
        """Call `Behind.take_turn` now if no other waits and time is left, else in turn.

        The first in a turn of the loop need not wait; all together have `AT_ONCE_S`.
        """
        if self._queues or self._spent_s >= AT_ONCE_S:
            self.wait(one, client)
            return
        begun = time.monotonic()
        one.take_turn()
        self._spent_s += time.monotonic() - begun
        if self._renewal is None:
            self._renewal = self._loop.call_soon(self._renew)

    def hurry(self, one: Behind) -> None:
        """Call `Behind.take_turn` before those that wait, at most in every other turn."""
        if one not in self._clients:
            self._urgent[one] = None
            if self._handle is None:
                self._handle = self._loop.call_soon(self._next)

    def leave(self, one: Behind) -> None:
        """Wait no longer."""
        self._urgent.pop(one, None)
        client = self._clients.pop(one, None)
        if client is not None:
            queue = self._queues[client]
            del queue[one]
            if not queue:
                del self._queues[client]

    def _renew(self) -> None:
        self._renewal = None
        self._spent_s = 0.0

    def _next(self) -> None:
        self._handle = None
        until = time.monotonic() + self._share_s
        while (one := self._take_first()) is not None:
            if (self._queues or self._urgent) and self._handle is None:
                self._handle = self._loop.call_soon(self._next)
            one.take_turn()
            if time.monotonic() >= until:
                return

    def _take_first(self) -> Behind | None:
        """Return the next one, and move its client to the end."""
        self._was_urgent = bool(self._urgent) and not (self._was_urgent and self._queues)
        if self._was_urgent:
            one = next(iter(self._urgent))
            del self._urgent[one]
            return one
        client = next(iter(self._queues), None)
        if client is None:
            return None
        queue = self._queues.pop(client)
        one = next(iter(queue))
        del queue[one], self._clients[one]
        if queue:
            self._queues[client] = queue
        return one
