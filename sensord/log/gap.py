"""A range of the log's offsets that a reader asked for and does not get."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from sensord.model.readings import Channel

__all__ = ["EXPIRED", "Gap"]

EXPIRED = "expired"
"""The reason of what was there and is no longer kept."""


class Gap(NamedTuple):
    """Readings that are not available: from ``start`` up to, not including, ``stop``.

    ``counts`` is by channel number, or None where it is not known.
    """

    start: int
    stop: int
    reason: str
    detail: str = ""
    counts: Counter[int] | None = None

    def lost(self, channels: Iterable[Channel]) -> Counter[str] | None:
        """Return how many readings of some channels are among them, by topic, or None."""
        if self.counts is None:
            return None
        lost: Counter[str] = Counter()
        for channel in channels:
            lost[channel.topic] += self.counts[channel.number]
        return +lost
