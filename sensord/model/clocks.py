"""The two clocks: a monotonic one for timers and the wall clock for timestamps.

They are passed in, so that tests set them by hand. Pure modules take times as arguments instead.
"""

from __future__ import annotations

import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Where the daemon gets its times from."""

    def wall_us(self) -> int:
        """Return microseconds since 1970-01-01 UTC; may step."""
        ...

    def monotonic_us(self) -> int:
        """Return microseconds that never go back, from an arbitrary start."""
        ...


class SystemClock:
    """The operating system's clocks."""

    def wall_us(self) -> int:
        """Return microseconds since 1970-01-01 UTC; may step."""
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        """Return microseconds that never go back, from an arbitrary start."""
        return time.monotonic_ns() // 1000
