"""A loop whose turns and time, and a clock whose hands, a test moves itself."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVarTuple, cast

__all__ = ["ManualClock", "ManualLoop", "manual_loop"]

Ts = TypeVarTuple("Ts")

START_US = 1_700_000_000_000_000
"""Where the wall clock of a test begins."""


class ManualClock:
    """Both clocks of the daemon; only a test moves them."""

    def __init__(self, wall_us: int = START_US, monotonic_us: int = 0) -> None:
        self.now_wall_us = wall_us
        self.now_us = monotonic_us

    def wall_us(self) -> int:
        return self.now_wall_us

    def monotonic_us(self) -> int:
        return self.now_us

    def move(self, us: int) -> None:
        """Let time pass on both."""
        self.now_wall_us += us
        self.now_us += us


class ManualLoop(asyncio.AbstractEventLoop):
    """The part of an event loop that plain callbacks need.

    `turn` runs what one iteration of a real loop runs: what was ready when it began. What a
    callback raises is raised there.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count()

    def time(self) -> float:
        return self.now

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        if when <= self.now:
            # As uvloop does it: what is due is no timer, and cannot be asked for its time.
            return cast("asyncio.TimerHandle", self.call_soon(callback, *args, context=context))
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: a cancelled timer is skipped when its time comes."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise context["exception"]

    @property
    def next_timer(self) -> float | None:
        """When the next timer is due, or None."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is ready; timers may be pending."""
        return all(handle.cancelled() for handle in self._ready)

    def turn(self) -> None:
        """Run what is ready and what is due by now."""
        while (when := self.next_timer) is not None and when <= self.now:
            self._ready.append(heapq.heappop(self._timers)[2])
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()

    def settle(self, *, turns: int = 10_000) -> None:
        """Turn until nothing is ready at the present time."""
        for _ in range(turns):
            when = self.next_timer
            if self.is_idle and (when is None or when > self.now):
                return
            self.turn()
        raise AssertionError("the loop does not come to rest")

    def run_until(self, when: float) -> None:
        """Let time pass up to ``when``, each timer at its own time."""
        self.settle()
        while (timer := self.next_timer) is not None and timer <= when:
            self.now = max(self.now, timer)
            self.settle()
        self.now = when

    def drain(self, *, timers: int = 10_000) -> None:
        """Let time pass until neither a callback nor a timer is left."""
        for _ in range(timers):
            self.settle()
            when = self.next_timer
            if when is None:
                return
            self.now = max(self.now, when)
        raise AssertionError("the timers do not come to an end")


def manual_loop() -> ManualLoop:
    """Make a loop; it has callbacks and timers, and no sockets, tasks or threads."""
    return ManualLoop()  # type: ignore[abstract]  # as it says
