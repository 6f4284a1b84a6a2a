"""An answer in several parts: a few in each turn, none while the client is congested.

So a large answer delays neither the other requests of its session nor other clients.
"""

from __future__ import annotations

from collections.abc import Iterator

from sensord.server.open.caller import Caller
from sensord.server.open.request import OpenRequest

__all__ = ["Parts"]

AT_ONCE = 4
"""Packets written in one turn: an announcement and a frame are all that most answers have."""


class Parts(OpenRequest):
    """An open request that writes ready packets, and then ends."""

    def __init__(self, number: int, caller: Caller, packets: Iterator[bytes]) -> None:
        super().__init__(number, caller, caller.shared.groups.turns)
        self._caller = caller
        self._outgoing.add(packets)

    def begin(self) -> None:
        """Write the first packets; the request has been answered and is kept."""
        self._advance()

    def _advance(self) -> None:
        self._outgoing.send(AT_ONCE)
        if self._caller.is_congested:
            return
        if self._outgoing:
            self._come_back()
        else:
            self._caller.end(self.number)
