"""How much clients may write into the log, so that devices' readings keep their place in it.

Theory of operation. The journal removes its oldest segments, whatever is in them. So what clients
write is bounded on its way in: by a *bucket* that fills at a rate and holds a burst. The rate is
such that in the longest time that the journal keeps anything no more comes together than a share
of it; and for each reading of a device clients may write in proportion, for where devices write
much, the journal reaches back less far. No client may take more than half of a bucket.

Sizes are those of the compressed values: each is compressed behind those before it, as it will be
in the journal.

Ranks: what matters less ends first. Who comes and goes is told late, and refusals are counted
instead of recorded, when the bucket is half empty; values are refused when a quarter is left; acts
when nothing is.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import zstandard

from sensord.bus import Bus
from sensord.errors import ProtocolError
from sensord.model.readings import Channel, Reading, Record, Value

__all__ = ["UNLIMITED", "Allowance", "Bounds", "Rank"]

MIB = 1 << 20

MOST_BURST = 16 * MIB
"""Whatever the share: it takes minutes to write, and none of the ring in memory should be lost."""

READING_BYTES = 30
"""What a reading takes in a segment (docs/journal.md, What it costs)."""

OVERHEAD_BYTES = 20
"""Of each record beside its value: MCAP's index, header and times."""

PLAIN_BYTES = 34
"""Of a record with a number: what the worst one takes in a segment."""

STORE_BURST, STORE_RATE = 16 * MIB, 64 * 1024
"""Of bodies of messages, which are no readings but are written to the disk, too."""


MOST_KNOWN = 10_000
"""Clients whose part is counted before those are forgotten that have used none of it lately."""


class Rank(enum.Enum):
    """What is to be written; the value is the part of the bucket that is left to those behind."""

    PRESENCE = 0.5
    VALUE = 0.25
    ACT = 0.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What clients may write into the log."""

    burst_bytes: float
    rate: float
    """Bytes a second."""
    per_reading: float
    """Bytes for each reading that is not a client's."""

    @classmethod
    def of_share(cls, percent: int, max_bytes: int, max_age_s: float) -> Self:
        """Return what keeps clients within a share of the journal."""
        share = max_bytes * percent / 100
        burst = min(share / 8, MOST_BURST)
        return cls(
            burst,
            (share - burst) / max(max_age_s, 1.0),
            READING_BYTES * percent / (100 - percent),
        )


UNLIMITED = Bounds(math.inf, 0.0, 0.0)


class _Bucket:
    """What is left, for all and for each client that has used any of it lately."""

    def __init__(self, burst: float) -> None:
        self._burst = burst
        self._left = burst
        self._gained = 0.0
        self._used: dict[str, tuple[float, float]] = {}
        """By client: what it used, and what the bucket had gained in all by then."""

    @property
    def fill(self) -> float:
        """Which part of it is left."""
        return self._left / self._burst if self._burst < math.inf else 1.0

    def add(self, gained: float) -> None:
        """Fill it; of what it gains, half is for each client."""
        self._left = min(self._burst, self._left + gained)
        self._gained += gained

    def spend(self, client: str, size: float) -> None:
        """Take from it; it may owe what one request needs."""
        self._left -= size
        if len(self._used) >= MOST_KNOWN:
            self._used = {c: used for c, used in self._used.items() if self._used_by(c) > 0}
        self._used[client] = self._used_by(client) + size, self._gained

    def has_for(self, client: str, left_to_others: float) -> bool:
        """Tell whether a client may take from it."""
        return self._used_by(client) <= self._burst / 2 and self.fill > left_to_others

    def _used_by(self, client: str) -> float:
        used, since = self._used.get(client, (0.0, self._gained))
        return max(0.0, used - (self._gained - since) / 2)


class Allowance:
    """What clients write into the log goes through here."""

    def __init__(
        self, bus: Bus, now: Callable[[], float] | None = None, bounds: Bounds = UNLIMITED
    ) -> None:
        """``now`` is a monotonic clock in seconds; without one nothing is bounded."""
        self._bus = bus
        self._now = now
        self._bounds = bounds
        self._history = _Bucket(bounds.burst_bytes)
        self._bodies = _Bucket(STORE_BURST)
        self._filled_at = 0.0 if now is None else now()
        self._written = 0
        """Records of clients."""
        self._others = bus.log.tail
        """Where the log would stand without them."""
        self._meter = _Meter()

    def admit(self, client: str, rank: Rank) -> None:
        """Let a client write, or refuse.

        Raises:
            ProtocolError: Too much was written already.
        """
        if not self.has_room(client, rank):
            text = (
                f"clients write more than {self._bounds.rate:.0f} bytes/s into the history, which"
                " is clients.journal_share; try again later"
            )
            raise ProtocolError("too_many", text)

    def has_room(self, client: str, rank: Rank) -> bool:
        """Tell whether a client may write something of this rank."""
        self._fill()
        return self._history.has_for(client, rank.value)

    def admit_body(self, client: str, size: int) -> None:
        """Let a client send a message that is kept on the disk, or refuse.

        Raises:
            ProtocolError: Too much was sent already.
        """
        self.admit(client, Rank.VALUE)
        if self._now is not None and not self._bodies.has_for(client, 0.0):
            text = f"clients send more than {STORE_RATE} bytes/s of messages; try again later"
            raise ProtocolError("too_many", text)
        self._bodies.spend(client, size)

    def publish(self, client: str, channel: Channel, reading: Reading) -> Record:
        """Publish what a client wrote."""
        if self._now is not None:
            self._history.spend(client, self._meter.size(reading.value))
        self._written += 1
        return self._bus.publish(channel, reading)

    def _fill(self) -> None:
        if self._now is None:
            return
        now = self._now()
        others = self._bus.log.tail - self._written
        elapsed_s, self._filled_at = now - self._filled_at, now
        readings, self._others = max(0, others - self._others), others
        self._history.add(elapsed_s * self._bounds.rate + readings * self._bounds.per_reading)
        self._bodies.add(elapsed_s * STORE_RATE)


class _Meter:
    """Measures what values take when they are compressed one behind the other."""

    def __init__(self) -> None:
        self._compressor: zstandard.ZstdCompressionObj | None = None

    def size(self, value: Value) -> int:
        """Return what a record with a value takes in a segment, roughly."""
        if value is None or isinstance(value, int | float):
            return PLAIN_BYTES
        if self._compressor is None:
            self._compressor = zstandard.ZstdCompressor(level=1).compressobj()
        text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
        packed = self._compressor.compress(text)
        packed += self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        return OVERHEAD_BYTES + len(packed)
