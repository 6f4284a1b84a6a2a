"""Turn a subscription's messages into readings as a recording has them. Pure.

The wire carries values, times and the cursor after each frame, but neither the offset nor the log
time of each reading. So these are approximated: offsets are the last ones before the cursor, in
order; a live reading was logged when it arrived, an older one at its report time.
"""

from __future__ import annotations

from collections.abc import Sequence

from sensord.log.journal import Batch
from sensord.model.readings import Channel, Position, Reading, Record
from sensord.recordings.columns import batch_of

__all__ = ["TimedReading", "Transcript"]

TimedReading = tuple[Channel, Reading, int]
"""A reading of a channel, and its report time."""

TRAVEL_US = 5_000_000
"""A reading with a report time older than this on arrival comes from another clock."""


class Transcript:
    """Gives readings their places, in the order in which they arrive."""

    def __init__(self) -> None:
        self._epoch = ""
        self._next = 0
        self._log_us = 0

    @property
    def next_offset(self) -> int:
        """The offset after the newest reading."""
        return self._next

    def batch(
        self,
        readings: Sequence[TimedReading],
        position: Position | None,
        now_us: int,
        *,
        is_live: bool,
    ) -> Batch:
        """Return readings that arrived together, at least one, as a batch.

        ``position`` is after them, if it is known; ``now_us`` is the server's clock.
        """
        self._enter(position)
        first = self._next
        if position is not None:
            first = max(first, position.offset - len(readings))
        self._next = first + len(readings)
        return batch_of(
            [
                Record(offset, self._logged(reported_us, now_us, is_live=is_live), channel, reading)
                for offset, (channel, reading, reported_us) in enumerate(readings, first)
            ]
        )

    def passed(self, position: Position | None) -> None:
        """Continue at a position: readings before it will not come."""
        self._enter(position)
        if position is not None:
            self._next = max(self._next, position.offset)

    def _enter(self, position: Position | None) -> None:
        if position is not None and position.epoch != self._epoch:
            # Another log: its offsets have nothing to do with those before.
            self._epoch, self._next = position.epoch, 0

    def _logged(self, reported_us: int, now_us: int, *, is_live: bool) -> int:
        if is_live and not now_us - TRAVEL_US <= reported_us <= now_us:
            reported_us = now_us
        elif reported_us > now_us:
            reported_us = self._log_us  # a device whose clock is ahead does not report the past
        self._log_us = max(self._log_us, reported_us)
        return self._log_us
