"""The pace of log lines that clients cause: a flood of clients must not become a flood of lines.

A line to the journal's daemon costs a system call that may wait, a sixth of what a short session
costs. Pure.
"""

from __future__ import annotations

__all__ = ["LogPace"]

AT_ONCE = 50.0
PER_S = 20.0


class LogPace:
    """Which lines of one kind are logged."""

    def __init__(self) -> None:
        self._room = AT_ONCE
        self._since_s = 0.0
        self._left_out = 0

    def next(self, now_s: float) -> int | None:
        """Return how many lines before this one were left out, or None to leave it out, too."""
        self._room = min(AT_ONCE, self._room + PER_S * max(0.0, now_s - self._since_s))
        self._since_s = now_s
        if self._room < 1:
            self._left_out += 1
            return None
        self._room -= 1
        left_out, self._left_out = self._left_out, 0
        return left_out
