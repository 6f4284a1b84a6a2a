"""Slow down addresses that send wrong tokens: each refusal makes the next answer later.

Pure. Only the answer waits, never the loop. Tokens cannot be guessed; this keeps a program with an
old token from asking a thousand times a second.
"""

from __future__ import annotations

__all__ = ["Guesses"]

FIRST_S, LONGEST_S = 0.1, 5.0
FORGET_S = 600.0
MOST = 1024
"""Addresses remembered; beyond it the one that failed first is forgotten."""


class Guesses:
    """Counts refused tokens by address."""

    def __init__(self) -> None:
        self._failed: dict[str, tuple[int, float]] = {}

    def failed(self, address: str, now_s: float) -> float:
        """Count a refusal; return how many seconds its answer waits."""
        count, since_s = self._failed.pop(address, (0, now_s))
        if now_s - since_s > FORGET_S:
            count = 0
        if len(self._failed) >= MOST:
            del self._failed[next(iter(self._failed))]
        self._failed[address] = (count + 1, now_s)
        return float(min(LONGEST_S, FIRST_S * 2 ** min(count, 10)))

    def succeeded(self, address: str) -> None:
        """Forget what an address has failed."""
        self._failed.pop(address, None)
