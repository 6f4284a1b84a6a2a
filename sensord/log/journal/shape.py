"""The sizes and limits that the parts of the journal go by."""

from __future__ import annotations

from dataclasses import dataclass

from sensord.log.journal.options import Options
from sensord.log.journal.ring import RING_BYTES

__all__ = ["CHUNK_BYTES", "Shape"]

CHUNK_BYTES = 256 << 10
"""Small enough to decode in 5 ms, large enough that the heads of its indexes cost little."""

_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """What an operator set, in the units that code counts in, and what only tests set."""

    max_bytes: int
    max_age_us: int
    min_free: int
    segment_bytes: int
    segment_age_us: int
    chunk_bytes: int = CHUNK_BYTES
    ring_bytes: int = RING_BYTES

    @staticmethod
    def of(options: Options) -> Shape:
        """Return the shape that an operator configured."""
        return Shape(
            max_bytes=options.max_bytes,
            max_age_us=int(options.max_age * _US),
            min_free=options.min_free,
            segment_bytes=options.segment_bytes,
            segment_age_us=int(options.segment_age * _US),
        )
