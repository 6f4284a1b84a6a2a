"""What there is to know of a running journal, and what it will cost a card."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from sensord.log.journal.shape import CHUNK_BYTES

__all__ = ["State", "Statistics", "forecast_bytes_per_day"]

_DAY_S = 86400
_PAGE = 4096

# Measured with 200 topics, two decimals: see docs/journal.md and bench/journal.py.
_RAW_BYTES = 46.0
"""A reading as an MCAP message."""
_FRAME_BYTES = 8.5
"""A reading in a ring frame."""
_REST_BYTES = 34.0
"""A reading in a segment, with its indexes."""
_SYNC_BYTES = 16384.0
"""What the file system writes of its own when an append is synced."""
_HALF_RING_FRAMES = 128


class State(enum.StrEnum):
    """Whether readings are being recorded."""

    OK = "ok"
    FULL = "full"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Statistics:
    """The journal at one moment. Offsets count readings; times are µs since 1970 UTC."""

    state: State
    reason: str
    """Why the state is not ok."""
    epoch: str
    oldest_offset: int
    oldest_us: int
    """The time at which the oldest segment begins, 0 without segments."""
    committed_offset: int
    """The offset after the last reading that survives a power cut."""
    waiting: int
    """Readings in memory that the disk has not accepted yet."""
    commits: int
    recorded: int
    """Readings committed since the start."""
    dropped: int
    """Readings lost since the start because the disk was full or failed."""
    segments: int
    used_bytes: int
    written_bytes: int
    """Pages written since the start; what the file system adds is not counted."""
    syncs: int
    disk: int
    """The number of the disk that the folder is on, 0 before it was looked at."""
    elapsed_us: int
    """Since the start, by the monotonic clock."""
    damaged: int = 0
    """Damaged places that were found since the start."""
    lost: int = 0
    """Offsets that cannot be read because of them."""
    unforeseen: int = 0
    """Reads that failed in an unforeseen way."""
    strays: tuple[str, ...] = ()
    """Names in the folder that are not part of the journal."""

    @property
    def written_per_day(self) -> float:
        """Bytes that a day like the time since the start writes."""
        return self.written_bytes * _DAY_S * 1e6 / max(self.elapsed_us, 1_000_000)


def forecast_days_kept(readings_per_s: float, max_bytes: int) -> float:
    """Estimate how many days of readings of numbers a journal of that size holds."""
    return max_bytes / (readings_per_s * _REST_BYTES * _DAY_S)


def forecast_bytes_per_day(readings_per_s: float, commit_interval_s: float = 1.0) -> float:
    """Estimate the bytes that the device will be made to write in a day, file system included."""
    if readings_per_s <= 0:
        return 0.0
    # Slow readings leave intervals without a commit.
    commits_per_s = min(1 / commit_interval_s, readings_per_s)
    per_commit = readings_per_s / commits_per_s
    pages = -(-(per_commit * _FRAME_BYTES + 96) // _PAGE)
    commits_per_chunk = min(CHUNK_BYTES / (per_commit * _RAW_BYTES), _HALF_RING_FRAMES / pages)
    framed = max(0.0, 1 - 1 / max(commits_per_chunk, 1))
    ring = commits_per_s * pages * _PAGE * framed
    chunks = readings_per_s * _REST_BYTES + commits_per_s / max(commits_per_chunk, 1) * _SYNC_BYTES
    return (ring + chunks) * _DAY_S
