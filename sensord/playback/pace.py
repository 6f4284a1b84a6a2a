"""When a reading that was recorded is due, pure: times are arguments.

Readings are as far apart as their log times were, divided by the speed. Three things would spoil
that, and do not: a clock that stepped back costs no wait; a silence, or a clock that stepped
forward from 1970, is no longer than the longest wait; and a player that was kept from its work
does not make up for more than a second of it. The clock can be held, and run on at another speed.
"""

from __future__ import annotations

__all__ = ["LONGEST_WAIT_S", "Pace"]

LONGEST_WAIT_S = 60.0
"""No silence is played longer, unless the player's options name another wait."""

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
        self._rest_us = 0.0  # of the last wait, which is in whole microseconds
        self._left_us: float | None = None  # recorded time to the last due, while held

    def due_us(self, log_us: int, now_us: int) -> int:
        """Return when the next reading is due, which was logged at ``log_us``.

        Units: ``now_us`` and the answer are of a clock that never goes back.
        """
        self._due_us, self._rest_us, skipped_us = self._plan(log_us, now_us)
        self.skipped_us += skipped_us
        self._log_us = log_us
        return self._due_us

    def peek_us(self, log_us: int, now_us: int) -> int:
        """Return the same for a reading that is not played yet."""
        return self._plan(log_us, now_us)[0]

    def _plan(self, log_us: int, now_us: int) -> tuple[int, float, int]:
        """Return when a reading is due, the fraction of a microsecond, and the time skipped."""
        if self._log_us is None:
            return now_us, 0.0, 0
        step_us = max(0, log_us - self._log_us)
        exact_us = step_us / self._speed + self._rest_us
        if exact_us >= self._longest_wait_us + 1:
            wait_us, rest_us = self._longest_wait_us, 0.0
            skipped_us = step_us - int(wait_us * self._speed)
        else:
            wait_us = int(exact_us)
            rest_us, skipped_us = exact_us - wait_us, 0
        return max(self._due_us + wait_us, now_us - MOST_LATE_US), rest_us, skipped_us

    def skip_to(self, log_us: int, now_us: int) -> None:
        """Make a reading due now, regardless of its time."""
        self._log_us, self._due_us, self._rest_us = log_us, now_us, 0.0
        if self._left_us is not None:
            self._left_us = 0.0

    def hold(self, now_us: int) -> None:
        """Stop the clock."""
        if self._left_us is None:
            self._left_us = (self._due_us - now_us) * self._speed

    def run(self, now_us: int, speed: float | None = None) -> None:
        """Run the clock on from where it was held, at another speed if one is given."""
        self.hold(now_us)
        assert self._left_us is not None
        self._speed = speed or self._speed
        self._due_us = now_us + round(self._left_us / self._speed)
        self._left_us = None
