"""Which sealed segments are too old to keep.

Pure. Age is counted so that a wrong clock does not remove what it should not: a board that boots in
1970, or whose clock jumps years ahead and stays there, keeps its journal.

Source: docs/journal.md, Retention and the full disk.
"""

from __future__ import annotations

from collections.abc import Sequence

from sensord.log.journal.registry import Sealed

__all__ = ["PLAUSIBLE_FROM_US", "SETTLE_US", "count_expired", "longest_pause"]

PLAUSIBLE_FROM_US = 1_577_836_800_000_000
"""2020-01-01: a clock that says less was never set."""
SETTLE_US = 3600 * 1_000_000
"""How long the clock must have run without a step before it may remove anything."""


def longest_pause(max_age_us: int, segment_age_us: int) -> int:
    """Return what a time without a seal counts at most: beyond it, only the clock tells it."""
    return min(max(max_age_us // 10, 2 * segment_age_us), max_age_us // 2)


def count_expired(
    sealed: Sequence[Sealed], now_us: int, max_age_us: int, pause_us: int, running_us: int = 0
) -> int:
    """Count the oldest segments, from the first on, that are beyond doubt older than the limit.

    ``pause_us`` is `longest_pause`, ``running_us`` how long the writer has run, by the monotonic
    clock.
    """
    if now_us < PLAUSIBLE_FROM_US:
        return 0
    age_us, newer_us, longest_us = 0, now_us, pause_us + running_us
    expired = 0
    for segment in reversed(sealed):
        # Those sealed while the clock was wrong are as old as the next newer ones.
        if PLAUSIBLE_FROM_US <= segment.until_us <= now_us:
            age_us += min(max(newer_us - segment.until_us, 0), longest_us)
            newer_us, longest_us = segment.until_us, pause_us
        expired += age_us > max_age_us
    return expired
