"""Thinning for an uplink: readings gathered to periods, of which the newest are sent. Pure.

Theory of operation. A period may be longer than a piece of the log, and than a turn of sending.
What is held of an open period is not delivered: the position stays at its beginning, so after a
kill it is read again. A long stretch is cut where the log's time crosses a multiple of the period;
what came since the last turn is one period, for turns are that far apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from sensord.log.thinning import Thinning, newest
from sensord.model.readings import Record

__all__ = ["Windows"]


class Windows:
    """Holds back readings until their period is over, and withholds those within the deadband."""

    def __init__(self, period_s: float, deadband: float) -> None:
        self._thinning = Thinning(period_s, deadband)
        self._period_us = int(period_s * 1e6)
        self._is_single = False
        self._held: list[Record] = []
        self._window = 0
        self.start: int | None = None
        """The offset at which the open period begins, if one is open."""

    def begin(self, *, is_single: bool) -> None:
        """Forget what is held; ``is_single``: all that follows is one period."""
        self._is_single = is_single
        self._held, self.start = [], None

    def add(self, records: Sequence[Record]) -> list[Record]:
        """Add readings; return those of periods that are over."""
        if not self._period_us:
            return self._thinning.thin(records)
        ready: list[Record] = []
        for record in records:
            window = 0 if self._is_single else record.log_us // self._period_us
            if self.start is None or window != self._window:
                ready += self.end()
                self._window, self.start = window, record.offset
            self._held.append(record)
        self._held = newest(self._held)
        return ready

    def end(self) -> list[Record]:
        """Return what is held: its period is over."""
        held, self._held, self.start = self._held, [], None
        return self._thinning.thin(held)
