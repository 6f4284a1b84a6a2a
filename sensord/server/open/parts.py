"""An answer in several parts: a few in each turn of the loop, none while the client is congested.

So a large answer delays neither the other requests of its session nor anybody else.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

from sensord.server.open.caller import Caller
from sensord.server.open.outgoing import Outgoing

__all__ = ["Parts"]

AT_ONCE = 4
"""Packets written in one turn: an announcement and a frame are all that most answers have."""


class Parts:
    """An open request that writes ready packets, and then ends."""

    def __init__(self, number: int, caller: Caller, packets: Iterator[bytes]) -> None:
        self.lost: Counter[str] = Counter()
        """Stays empty: it answers with what is there."""
        self._number = number
        self._caller = caller
        self._outgoing = Outgoing(caller)
        self._outgoing.add(packets)
        self._turn: asyncio.Handle | None = None
        self._is_closed = False

    def begin(self) -> None:
        """Write the first packets; the request has been answered and is kept."""
        self._go_on()

    def congested(self) -> None:
        """Wait: what is outgoing looks before each packet."""

    def drained(self) -> None:
        """Go on."""
        if self._turn is None and not self._is_closed:
            self._go_on()

    def close(self) -> None:
        """Write no more."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._is_closed = True

    def _go_on(self) -> None:
        self._turn = None
        self._outgoing.send(AT_ONCE)
        if self._caller.is_congested:
            return
        if self._outgoing:
            loop = self._caller.shared.loop
            self._turn = loop.call_soon(self._caller.guard, self._go_on)
        else:
            self._caller.end(self._number)
