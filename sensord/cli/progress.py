"""Report on stderr what a long command does: lines, and its progress on a terminal."""

from __future__ import annotations

import sys
import time
from typing import Final

__all__ = ["REFRESH_S", "Progress"]

REFRESH_S = 0.5
"""How often the line of progress changes."""


class Progress:
    """Prints lines, and below them one line that is overwritten as the work proceeds.

    The latter on a terminal only, and not before ``quiet_s``: short work shows no progress.
    """

    def __init__(self, quiet_s: float = 0.0) -> None:
        self.is_terminal: Final = sys.stderr.isatty()
        self._due = time.monotonic() + quiet_s
        self._is_shown = False

    @property
    def is_due(self) -> bool:
        """Whether `show` is worth calling: on a terminal, and not too soon after the last time."""
        return self.is_terminal and time.monotonic() >= self._due

    def show(self, text: str) -> None:
        """Overwrite the line of progress."""
        if self.is_terminal:
            self._due, self._is_shown = time.monotonic() + REFRESH_S, True
            print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)

    def print(self, text: str) -> None:
        """Print a line that stays."""
        self.wipe()
        print(text, file=sys.stderr, flush=True)

    def wipe(self) -> None:
        """Remove the line of progress."""
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._is_shown = False
