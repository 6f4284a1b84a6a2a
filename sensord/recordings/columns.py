"""Records as a batch: the columns that outputs and players accept."""

from __future__ import annotations

from collections.abc import Sequence

from sensord.log.journal import Batch
from sensord.model.readings import GOOD, Record

__all__ = ["batch_of"]

_LAST_NS = (1 << 64) - 1


def batch_of(records: Sequence[Record]) -> Batch:
    """Return records, at least one, as a batch; their offsets rise."""
    readings = [record.reading for record in records]
    qualities = [reading.quality for reading in readings]
    restates = [reading.restates for reading in readings]
    return Batch(
        records[-1].offset + 1,
        [record.offset for record in records],
        [record.channel.number for record in records],
        [_ns(record.log_us) for record in records],
        [_ns(reading.time_us) for reading in readings],
        [reading.value for reading in readings],
        qualities if any(quality != GOOD for quality in qualities) else None,
        restates if any(restates) else None,
        {record.channel.number: record.channel for record in records},
    )


def _ns(time_us: int) -> int:
    """A file has times from 1970 to 2554."""
    return min(max(time_us, 0) * 1000, _LAST_NS)
