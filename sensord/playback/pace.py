"""When a reading that was recorded is due, pure: times are arguments.

Readings are as far apart as their log times were, divided by the speed. Three things would spoil
that, and do not: a clock that stepped back costs no wait; a silence, or a clock that stepped
forward from 1970, is no longer than the longest wait; and a player that was kept from its work
does not make up for more than a second of it.
"""

from __future__ import annotations

__all__ = ["Pace"]

MOST_LATE_US = 1_000_000


class Pace:
    """Keeps the time of one recording being played."""

    def __init__(self, speed: float, longest_wait_us: int) -> None:
        self.skipped_us = 0
        """How much recorded time was passed over in waits that would have been too long."""
        self._speed = speed
        self._longest_wait_us = longest_wait_us
        self._log_us: int | None = None
        self._due_us = 0

    def due_us(self, log_us: int, now_us: int) -> int:
        """Say when the next reading is due, which was logged at ``log_us``.

        Units: ``now_us`` and the answer are of a clock that never goes back.
        """
        if self._log_us is None:
            self._due_us = now_us
        else:
            step_us = max(0, log_us - self._log_us)
            wait_us = int(step_us / self._speed)
            if wait_us > self._longest_wait_us:
                wait_us = self._longest_wait_us
                self.skipped_us += step_us - int(wait_us * self._speed)
            self._due_us = max(self._due_us + wait_us, now_us - MOST_LATE_US)
        self._log_us = log_us
        return self._due_us
