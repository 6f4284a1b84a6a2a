"""The clock of a recording that is being played: it shows the time that is being replayed.

A monitor that asks for the last ten minutes then gets the last ten recorded ones, and the server's
own readings have their place among the recorded ones.
"""

from __future__ import annotations

from sensord.model.clocks import Clock

__all__ = ["PlayedClock"]


class PlayedClock:
    """Runs between two readings at the speed of the replay, but not beyond the next one."""

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
        """Stop at a time: that of the reading just passed on."""
        self._wall_us = self._limit_us = wall_us

    def go_on(self, speed: float, limit_us: int) -> None:
        """Run on from there, up to the time of the next reading."""
        self._at_us = self._clock.monotonic_us()
        self._speed, self._limit_us = speed, limit_us
