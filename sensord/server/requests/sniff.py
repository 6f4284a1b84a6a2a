"""The request ``sniff``: the traffic of a device's connection, for as long as a client asks.

Theory of operation. Sights wait in the request, and leave a few times a second. What waits is
bounded: beyond it, pieces are only counted, and the count takes their place. So a client that reads
slowly loses sights and nothing else; the device, its readings and other clients do not notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from sensord.device.lens import Lens
from sensord.errors import ProtocolError
from sensord.model.sights import Sight, What
from sensord.model.weight import weight_of
from sensord.server.open.caller import Caller
from sensord.server.open.request import OpenRequest
from sensord.wire.ops import Request, Result
from sensord.wire.ops.sniff import Sights, Sniff, SniffOpened

__all__ = ["HANDLERS", "MOST_BYTES", "MOST_SIGHTS"]

MOST_SIGHTS = 1024
MOST_BYTES = 128 * 1024
"""What may wait for one client, about; some seconds of a busy line."""

PART_SIGHTS, PART_BYTES = 256, 32 * 1024
"""In one message."""

PAUSE_S = 0.05
"""People look at it: twenty messages a second are enough, and cost little."""


class _Sniffing(OpenRequest):
    """An eye at a lens, whose sights are sent to a client."""

    def __init__(self, number: int, caller: Caller, lens: Lens) -> None:
        super().__init__(number, caller, caller.shared.groups.turns)
        self._caller = caller
        self._lens = lens
        self._waiting: list[Sight] = []
        self._bytes = 0
        self._dropped = 0
        self._timer: asyncio.Handle | None = None

    def begin(self) -> None:
        """Begin to look; the request has been answered."""
        self._lens.open(self)
        self._audit("begun")

    def close(self) -> None:
        """Look no more."""
        super().close()
        if self._timer is not None:
            self._timer.cancel()
        self._lens.close(self)
        self._audit("ended")

    def see(self, sight: Sight) -> None:
        """Keep what was seen until it is sent, if there is room."""
        if len(self._waiting) >= MOST_SIGHTS or self._bytes >= MOST_BYTES:
            self._dropped += 1
            return
        if self._dropped:
            self._waiting.append(Sight(sight.time_us, What.DROPPED, count=self._dropped))
            self._dropped = 0
        self._waiting.append(sight)
        self._bytes += _size_of(sight)
        if self._timer is None and not self._caller.is_congested:
            self._timer = self._caller.shared.loop.call_later(PAUSE_S, self._due)

    def moved(self, lens: Lens) -> None:
        """Close the new one at the end."""
        self._lens = lens

    def ended(self) -> None:
        """End the request: the device was removed."""
        self._caller.guard(self._caller.end, self.number)

    def _due(self) -> None:
        self._timer = None
        self._come()

    def _advance(self) -> None:
        if self._caller.is_congested or not self._waiting:
            return
        part = self._take_part()
        if self._dropped and not self._waiting:
            part.append(Sight(part[-1].time_us, What.DROPPED, count=self._dropped))
            self._dropped = 0
        self._caller.send(Sights(self.number, part))
        if self._waiting:
            self._come_back()

    def _take_part(self) -> list[Sight]:
        count = size = 0
        for sight in self._waiting[:PART_SIGHTS]:
            size += _size_of(sight)
            if count and size > PART_BYTES:
                size -= _size_of(sight)
                break
            count += 1
        part, self._waiting = self._waiting[:count], self._waiting[count:]
        self._bytes -= size
        return part

    def _audit(self, result: str) -> None:
        audit = self._caller.shared.sharing.audit
        audit.note("sniff", self._caller.identity, self._lens.name, result)


def _size_of(sight: Sight) -> int:
    return 100 + len(sight.data) + len(sight.detail) + weight_of(sight.value)


def sniff(caller: Caller, request: Sniff) -> None:
    """Show what a device's connection carries until the request is cancelled."""
    lens = caller.shared.lenses.find(request.device)
    if lens is None:
        names = ", ".join(sorted(one.name for one in caller.shared.lenses)[:20])
        text = f"there is no device {request.device}; there are {names}" if names else "no device"
        raise ProtocolError("not_found", text)
    sniffing = _Sniffing(request.id, caller, lens)
    caller.keep(request.id, sniffing)
    caller.send(SniffOpened(request.id, lens.name))
    sniffing.begin()


HANDLERS: Mapping[type[Request[Result]], Callable[[Caller, Any], None]] = {Sniff: sniff}
