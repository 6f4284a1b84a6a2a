"""How long a line may be silent before it counts as lost. Pure: times are arguments.

Theory of operation. A device has a rhythm: it speaks ten times a second, or once an hour. Its
pauses are noted, and one that came at least twice, and soon enough after the first time to be a
habit, is its period; several periods of silence are too many. Until a device has been heard for a
while nothing is known, and the line is given minutes. Each time that this was too short, because
the line fell silent all the same, it gets twice as long: opening a port resets many boards, so one
that speaks every ten minutes would otherwise be reset before it ever speaks.

A silence that was declared decides alone.
"""

from __future__ import annotations

from collections import deque
from itertools import combinations

__all__ = ["FIRST_S", "LONGEST_S", "PERIODS", "SHORTEST_S", "Rhythm"]

FIRST_S = 300.0
"""What a line is given of which nothing is known."""

SHORTEST_S = 60.0
"""However often a device speaks, it may be silent for so long."""

LONGEST_S = 3600.0
"""What a line is given at most, unless its period is known to need more."""

PERIODS = 4
"""So many periods of silence are too many."""

MIN_PAUSE_S = SHORTEST_S / PERIODS
"""Shorter ones change nothing."""

MAX_PAUSE_S = 6 * 3600.0
"""Longer ones are no rhythm: the device was off."""

PAUSES = 8
"""So many are remembered."""

HABIT = 3
"""A pause that comes again within so many times its own length is a habit."""


class Rhythm:
    """What is known of one line, over all times that it was opened.

    Units: every time is in seconds, of a clock that never goes back.
    """

    def __init__(self, declared_s: float | None, now_s: float = 0.0) -> None:
        self._declared_s = declared_s
        self._patience_s = FIRST_S
        self._first_at: float | None = None
        self._heard_at = now_s
        self._since = now_s
        self._silences = 0  # in a row
        self._pauses: deque[tuple[float, float]] = deque(maxlen=PAUSES)  # when it ended, how long
        self._period_s = 0.0

    @property
    def is_judged(self) -> bool:
        """Whether silence ever counts."""
        return self._declared_s != 0

    @property
    def was_ever_heard(self) -> bool:
        """Whether the line has spoken at all."""
        return self._first_at is not None

    @property
    def period_s(self) -> float:
        """The longest habitual pause; 0 without one."""
        return self._period_s

    @property
    def limit_s(self) -> float:
        """How long the line may be silent now; 0 means without limit."""
        if self._declared_s is not None:
            return self._declared_s
        known_s = PERIODS * self._period_s
        if not self._is_known():
            return max(self._patience_s, known_s)
        base_s = max(SHORTEST_S, known_s)
        return min(base_s * (1 << self._silences), max(base_s, LONGEST_S))

    def _is_known(self) -> bool:
        return self._first_at is not None and self._heard_at - self._first_at >= self._patience_s

    def opened(self, now_s: float) -> None:
        """Accept that the line was opened."""
        self._since = now_s
        if not self._silences:
            self._heard_at = now_s  # it was away, which is no pause of the device's

    def heard(self, now_s: float) -> None:
        """Accept that the line spoke."""
        pause_s = now_s - self._heard_at
        self._heard_at = self._since = now_s
        self._silences = 0
        if self._first_at is None:
            self._first_at = now_s
        elif MIN_PAUSE_S <= pause_s <= MAX_PAUSE_S:
            self._pauses.append((now_s, pause_s))
            self._period_s = max(map(_habit, combinations(self._pauses, 2)), default=0.0)

    def silence_s(self, now_s: float) -> float:
        """Return how long the line has been open and silent."""
        return now_s - self._since

    def fell_silent(self) -> None:
        """Accept that it was silent for too long, so that it will be opened again."""
        if not self._is_known():
            self._patience_s = min(2 * self._patience_s, LONGEST_S)
        self._silences = min(self._silences + 1, PAUSES)


def _habit(pauses: tuple[tuple[float, float], tuple[float, float]]) -> float:
    (one_end, one_s), (other_end, other_s) = pauses
    shorter_s = min(one_s, other_s)
    return shorter_s if other_end - one_end <= HABIT * shorter_s else 0.0
