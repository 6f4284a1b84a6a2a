"""What an operator may set about the journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sensord.config.schema import Duration, Printable, Size

__all__ = ["Options"]

MIB = 1 << 20
_DAY_S = 86400.0
_SMALLEST_BYTES = 8 * MIB


@dataclass(frozen=True, slots=True)
class Options:
    """The ``[journal]`` table."""

    folder: Printable = ""
    """Empty: where the system keeps a service's or a user's state."""
    enabled: bool = True
    commit_interval: Duration = 1.0
    """What a power cut may cost; each commit writes at least 4 KiB."""
    max_bytes: Size = 2048 * MIB
    max_age: Duration = 30 * _DAY_S
    min_free: Size = 64 * MIB
    """Room that is left to others: below it the oldest segments go, then recording stops."""
    segment_bytes: Size = 16 * MIB
    segment_age: Duration = 3600.0

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what a single field cannot know."""
        if not 0.05 <= self.commit_interval <= 60:  # noqa: PLR2004  # said in the message
            yield "commit_interval", "must be from 50ms to 60s"
        if self.max_bytes < _SMALLEST_BYTES:
            yield "max_bytes", "must be at least 8MiB"
        if self.segment_bytes * 2 > self.max_bytes:
            yield "segment_bytes", "must be at most half of max_bytes: whole segments are removed"
        if self.segment_age <= 0:
            yield "segment_age", "must be positive"
