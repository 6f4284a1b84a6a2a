"""Which sealed segments are too old to keep.

Pure. Age is judged so that a wrong clock does not remove what it should not: a board that boots
in 1970, or is sent to 2040 for a minute, keeps its journal.

Source: docs/journal.md, Retention and the full disk.
"""

from __future__ import annotations

from collections.abc import Sequence

from sensord.log.journal.registry import Sealed

__all__ = ["PLAUSIBLE_FROM_US", "SETTLE_US", "count_expired"]

PLAUSIBLE_FROM_US = 1_577_836_800_000_000
"""2020-01-01: a clock that says less was never set."""
SETTLE_US = 3600 * 1_000_000
"""How long the clock must have run without a step before it may remove anything."""


def count_expired(sealed: Sequence[Sealed], now_us: int, max_age_us: int) -> int:
    """Count the oldest segments, from the first on, that are beyond doubt older than the limit."""
    if now_us < PLAUSIBLE_FROM_US:
        return 0
    # Those sealed while the clock was wrong are as old as the next newer ones.
    until: list[int] = []
    known = now_us
    for segment in reversed(sealed):
        if PLAUSIBLE_FROM_US <= segment.until_us <= now_us:
            known = segment.until_us
        until.append(known)
    expired, latest = 0, 0
    for sealed_us in reversed(until):
        latest = max(latest, sealed_us)
        if now_us - latest <= max_age_us:
            break
        expired += 1
    return expired
