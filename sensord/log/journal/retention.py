"""Which sealed segments are too old to keep.

Pure. Age is the time that really passed, counted along the clock records, so that no wrong clock
removes anything: neither a board that boots in 1970 or 2024, nor one whose clock jumps years ahead.

Source: docs/journal.md, Retention and the full disk.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from sensord.log.journal.registry import Sealed
from sensord.log.journal.timeline import ClockRecord, Trust, elapsed_bases

__all__ = ["PLAUSIBLE_FROM_US", "SETTLE_US", "count_expired"]

PLAUSIBLE_FROM_US = 1_577_836_800_000_000
"""2020-01-01: a clock that shows an earlier time was never set."""
SETTLE_US = 3600 * 1_000_000
"""How long the clock must have run without a step before anything is removed for its age."""


def count_expired(
    sealed: Sequence[Sealed], records: Sequence[ClockRecord], monotonic_us: int, max_age_us: int
) -> int:
    """Count the oldest segments, from the first on, that are beyond doubt older than the limit.

    The last record is of the present boot, ``monotonic_us`` is its clock now.
    """
    if not records:
        return 0
    bases = elapsed_bases(
        records, Trust.SYNCHRONISED, longest_pause_us=max_age_us // 2, uses_log_times=False
    )
    oldest_us = bases[-1] + monotonic_us - max_age_us
    expired = 0
    for elapsed_us in _ends(sealed, records, bases, monotonic_us):
        if elapsed_us >= oldest_us:
            break
        expired += 1
    return expired


def _ends(
    sealed: Sequence[Sealed],
    records: Sequence[ClockRecord],
    bases: Sequence[int],
    monotonic_us: int,
) -> Iterator[int]:
    """Yield the elapsed time at the last reading of each segment; it never falls."""
    firsts = [record.first for record in records]
    # Of what is older than the first record nothing is known.
    newest_us = bases[0] + records[0].monotonic_us
    for segment in sealed:
        i = bisect_right(firsts, segment.end - 1) - 1
        if i >= 0:
            record = records[i]
            at_us = segment.end_us - record.drift_us
            end_us = _end_of(records, i, monotonic_us)
            at_us = max(record.monotonic_us, min(at_us, end_us))
            newest_us = max(newest_us, bases[i] + at_us)
        yield newest_us


def _end_of(records: Sequence[ClockRecord], i: int, monotonic_us: int) -> int:
    """Return the monotonic clock at the end of what a record covers, as far as it is known."""
    if i + 1 == len(records):
        return monotonic_us
    record, following = records[i], records[i + 1]
    return (following if following.boot == record.boot else record).monotonic_us
