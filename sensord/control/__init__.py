"""Acting on devices and services: what can be called, keys, commands and leases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from sensord.audit import Audit
from sensord.bus import Bus
from sensord.config.tree import Control as Options
from sensord.control.calls import Calls
from sensord.control.dispatch import Dispatch
from sensord.control.keys import Keys
from sensord.control.leases import Leases
from sensord.store import Store

__all__ = ["Control"]


@dataclass(frozen=True, slots=True)
class Control:
    """The parts, built in order."""

    sets: Calls
    """What can be set, by topic."""
    calls: Calls
    """What can be called, by name."""
    leases: Leases
    dispatch: Dispatch

    @classmethod
    def build(
        cls,
        bus: Bus,
        audit: Audit,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        options: Options,
        *,
        grace_s: float,
        is_there: Callable[[str], bool],
    ) -> Self:
        """Build them; ``is_there`` tells whether a client is there or away, and not gone."""
        sets, calls = Calls(), Calls()
        leases = Leases(
            bus,
            audit,
            store,
            loop,
            longest_s=options.longest_lease,
            grace_s=grace_s,
            is_there=is_there,
        )
        keys = Keys(store, options.remember)
        return cls(sets, calls, leases, Dispatch(sets, calls, leases, keys, audit, bus, loop))

    def begin(self) -> None:
        """Go on with what was promised before the start; everything is declared."""
        self.leases.begin()
        self.dispatch.begin()

    def close(self) -> None:
        """End what is under way and stop all timers; leases and keys stay in the store."""
        self.dispatch.close()
        self.leases.close()
