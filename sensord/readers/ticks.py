"""When the next tick is due. Pure: times are arguments."""

from __future__ import annotations

import math

__all__ = ["next_tick"]


def next_tick(due: float, interval: float, now: float) -> tuple[float, int]:
    """Return when the tick after the one due at ``due`` comes, and how many were missed.

    Ticks stand on a fixed grid, so lateness never adds up. A caller that is more than one interval
    late skips what was missed: a burst would bring a device, or a monitor, nothing new.
    """
    following = due + interval
    if following > now:
        return following, 0
    missed = math.floor((now - due) / interval)
    following = due + (missed + 1) * interval
    if following <= now:  # the division was rounded down
        return following + interval, missed + 1
    return following, missed
