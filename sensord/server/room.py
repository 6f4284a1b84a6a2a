"""Room for connections: how many there may be, and which are closed when there are more.

Descriptors are shared with the journal, the store and the devices. When they run out, uvloop drops
connections silently and the journal cannot open its files; so some are reserved, and connections
are closed before those are used: the oldest that has not said hello first.
"""

from __future__ import annotations

import logging
import resource
from pathlib import Path
from typing import Protocol

from sensord.bus import Bus
from sensord.model.readings import Channel, Metadata, Reading, Value, ValueType

__all__ = ["Guest", "Room", "descriptors_left"]

log = logging.getLogger("sensord.server")

LEAST = 4
"""So many there may be, however few descriptors there are."""

CALM_SWEEPS = 10
"""So many sweeps without a connection that gave way end the shortage."""


class Guest(Protocol):
    """A connection, as far as room is concerned."""

    @property
    def is_announced(self) -> bool:
        """Whether it has said hello."""
        ...

    def abort(self) -> None:
        """Cut it."""
        ...


def descriptors_left(spare: int) -> int:
    """Return how many descriptors connections may use when ``spare`` are reserved."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir())) - 1  # but for that of the list itself
    return limit - used - spare


class Room:
    """Counts connections, and makes room for new ones."""

    def __init__(self, bus: Bus, most_unannounced: int) -> None:
        self._bus = bus
        self._most = 1 << 62
        self._most_unannounced = most_unannounced
        self._guests = 0
        self._waiting: dict[Guest, None] = {}
        """Those without a hello at the last check, the oldest first."""
        self._cut = 0  # since the start
        self._reported = 0  # of these, at the last sweep
        self._calm: int | None = None  # sweeps since the last one gave way; None without shortage
        self._channel: Channel | None = None

    def measure(self, spare: int) -> None:
        """Count the descriptors that connections may use."""
        left = descriptors_left(spare)
        self._most = max(LEAST, left)
        if left < LEAST:
            log.error("too few descriptors", extra={"left": left, "mend": "raise LimitNOFILE"})

    def enter(self, guest: Guest) -> None:
        """Note a new connection; cut the oldest without a hello, or this one, if it is too many."""
        self._guests += 1
        self._waiting[guest] = None
        if self._guests > self._most:
            self._make_room()
        elif len(self._waiting) > self._most_unannounced:
            self._forget_announced()
            if len(self._waiting) > self._most_unannounced:
                self._make_room()

    def leave(self, guest: Guest) -> None:
        """Note that a connection is over."""
        self._guests -= 1
        self._waiting.pop(guest, None)

    def _forget_announced(self) -> None:
        for guest in [guest for guest in self._waiting if guest.is_announced]:
            del self._waiting[guest]

    def _make_room(self) -> None:
        """Cut the oldest connection that has not said hello; that may be the newest."""
        while self._waiting:
            guest = next(iter(self._waiting))
            del self._waiting[guest]
            if not guest.is_announced:
                self._cut += 1
                guest.abort()
                return

    def sweep(self) -> bool:
        """Log when a shortage begins and ends; return whether there is one."""
        cut = self._cut - self._reported
        self._reported = self._cut
        if cut and self._calm is None:
            log.warning(
                "too many connections, the oldest without hello are cut", extra=self._fields()
            )
            self._calm = 0
            self._report("full")
        elif cut:
            self._calm = 0
        elif self._calm is not None:
            self._calm += 1
            if self._calm >= CALM_SWEEPS:
                self._calm = None
                log.info("room for connections again", extra=self._fields())
                self._report("ok")
        return self._calm is not None

    def _fields(self) -> dict[str, Value]:
        return {"connections": self._guests, "most": min(self._most, 1 << 31), "cut": self._cut}

    def _report(self, state: str) -> None:
        if self._channel is None:
            metadata = Metadata(ValueType.JSON, description="whether there is room for connections")
            self._channel = self._bus.channel("$sys/connections", metadata)
        value: Value = {"state": state, **self._fields()}
        self._bus.publish(self._channel, Reading(self._bus.now_us(), value))
