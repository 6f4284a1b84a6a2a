"""The clock of a recording that is being played: it says the time that is being replayed.

So a monitor that asks for the last ten minutes gets the last ten that were recorded, and what the
server tells of itself stands among the readings where it belongs.
"""

from __future__ import annotations

from sensord.model.clocks import Clock

__all__ = ["PlayedClock"]


class PlayedClock:
    """Goes on between two readings at the speed of the replay, but not beyond the next one."""

    def __init__(self, clock: Clock, wall_us: int) -> None:
        self._clock = clock
        self._wall_us = wall_us
        self._at_us = clock.monotonic_us()
        self._speed = 0.0
        self._limit_us = wall_us

    def wall_us(self) -> int:
        """Return the time that is being replayed."""
        passed_us = int((self._clock.monotonic_us() - self._at_us) * self._speed)
        return max(self._wall_us, min(self._wall_us + passed_us, self._limit_us))

    def monotonic_us(self) -> int:
        """Return microseconds that never go back."""
        return self._clock.monotonic_us()

    def reached(self, wall_us: int) -> None:
        """Stand at a time: that of a reading just handed on."""
        self._wall_us = self._limit_us = wall_us

    def go_on(self, speed: float, limit_us: int) -> None:
        """Go on from there, up to the time of the next reading."""
        self._at_us = self._clock.monotonic_us()
        self._speed, self._limit_us = speed, limit_us
