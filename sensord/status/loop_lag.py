"""How late the event loop is: what a reading or a request may wait before it is even looked at."""

from __future__ import annotations

import asyncio

__all__ = ["LoopLag"]

EVERY_S = 0.5
SPAN_S = 30.0
"""The greatest lag is that of the present span and the one before: of the last 30 to 60 s."""


class LoopLag:
    """Measures how late a timer of the loop fires."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due = 0.0
        self._turned = 0.0
        self._present = self._before = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def greatest_s(self) -> float:
        """The greatest lag of the last 30 to 60 s."""
        return max(self._present, self._before)

    def start(self) -> None:
        """Begin to measure."""
        if self._timer is None:
            self._turned = self._loop.time()
            self._wait()

    def stop(self) -> None:
        """Measure no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._due = self._loop.time() + EVERY_S
        self._timer = self._loop.call_at(self._due, self._measure)

    def _measure(self) -> None:
        now = self._loop.time()
        if now - self._turned >= SPAN_S:
            self._before, self._present, self._turned = self._present, 0.0, now
        self._present = max(self._present, now - self._due)
        self._wait()
