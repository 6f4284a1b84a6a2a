"""What an operator may set about the journal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from sensord.config.schema import Duration, Printable, Size, Within

__all__ = ["Options"]

MIB = 1 << 20
TIB = 1 << 40
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Options:
    """The ``[journal]`` table."""

    folder: Printable = ""
    """Empty: where the system keeps a service's or a user's state."""
    enabled: bool = True
    commit_interval: Annotated[Duration, Within(0.05, 60)] = 1.0
    """What a power cut may cost; each commit writes at least 4 KiB."""
    max_bytes: Annotated[Size, Within(8 * MIB, 16 * TIB)] = 2048 * MIB
    max_age: Annotated[Duration, Within(60, 36_500 * _DAY_S)] = 30 * _DAY_S
    min_free: Annotated[Size, Within(0, 16 * TIB)] = 64 * MIB
    """Room that is left to others: below it the oldest segments go, then recording stops."""
    segment_bytes: Annotated[Size, Within(MIB // 4, 1024 * MIB)] = 16 * MIB
    segment_age: Annotated[Duration, Within(1, 366 * _DAY_S)] = 3600.0

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what a single field cannot know."""
        if self.segment_bytes * 2 > self.max_bytes:
            yield "segment_bytes", "must be at most half of max_bytes: whole segments are removed"
