"""Thinning: what a subscription with `period` or `deadband` asked to be spared. Pure.

Only values of `state` channels are withheld; events and changes of quality always pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sensord.device.policy import is_change
from sensord.model.readings import Reading, Record
from sensord.wire.ops.subscriptions import Options

__all__ = ["Thinning", "conflate", "newest"]


def newest(records: Sequence[Record]) -> list[Record]:
    """Keep of each `state` channel the newest record, and every event, in order."""
    last = {r.channel.number: r.offset for r in records if not r.channel.is_event}
    return [r for r in records if last.get(r.channel.number, r.offset) == r.offset]


def conflate(records: Sequence[Record]) -> tuple[list[Record], Counter[str]]:
    """Like `newest`, and count by topic what gave way."""
    kept = newest(records)
    if len(kept) == len(records):
        return kept, Counter()
    counts = Counter(r.channel.topic for r in records)
    counts.subtract(r.channel.topic for r in kept)
    return kept, +counts


class Thinning:
    """One stream's thinning; deadbands need to know what was sent last of each channel."""

    def __init__(self, period_s: float, deadband: float) -> None:
        self._period_us = int(period_s * 1e6)
        self._deadband = deadband
        self._sent: dict[int, Reading] = {}

    @classmethod
    def of(cls, options: Options) -> Thinning | None:
        """Return what these options ask for, or None if they ask for everything."""
        if options.period_s or options.deadband:
            return cls(options.period_s, options.deadband)
        return None

    def thin(self, records: Sequence[Record]) -> list[Record]:
        """Return those of one period's records that were asked for."""
        kept = newest(records) if self._period_us else list(records)
        return self._beyond_deadband(kept)

    def thin_past(self, records: Sequence[Record]) -> list[Record]:
        """Return those of a stretch of the log, of many periods, that were asked for."""
        kept = list(records)
        if period_us := self._period_us:
            last = {(r.channel.number, r.log_us // period_us): r.offset for r in records}
            kept = [
                r
                for r in records
                if r.channel.is_event or last[r.channel.number, r.log_us // period_us] == r.offset
            ]
        return self._beyond_deadband(kept)

    def _beyond_deadband(self, records: list[Record]) -> list[Record]:
        return [r for r in records if self._passes(r)] if self._deadband else records

    def _passes(self, record: Record) -> bool:
        if record.channel.is_event:
            return True
        reading = record.reading
        before = self._sent.get(record.channel.number)
        if before is not None and not is_change(before, reading, self._deadband, 0.0):
            # A heartbeat of the value that was sent passes; of one that was withheld it would
            # confirm what the client never saw.
            return reading.restates and reading.value == before.value
        self._sent[record.channel.number] = reading
        return True
