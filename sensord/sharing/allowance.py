"""How much clients may write into the log, so that they do not displace devices' readings.

Theory of operation. The journal removes its oldest segments, whatever they contain. So what clients
write is bounded on its way in, by a *bucket* that fills at a rate and holds a burst. The rate keeps
clients within a share of the journal over its longest retention. For each reading of a device,
clients may write in proportion, because a journal with busy devices reaches back less far. No
client may use more than half of a bucket.

Sizes are those of compressed values: each is compressed behind those before it, as in the journal.
Monitors receive values as they are, so large ones have a second bucket for their plain sizes.

The least important rank ends first. When the bucket is half empty, presence is published late and
refusals are counted instead of recorded. Values are refused when a quarter is left, acts when
nothing is left.
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

__all__ = ["ACT_BYTES", "UNLIMITED", "Allowance", "Bounds", "Rank"]

MIB = 1 << 20

MOST_BURST = 16 * MIB
"""Upper bound, whatever the share: it takes minutes to write, and spares the ring in memory."""

READING_BYTES = 30
"""The size of a reading in a segment (docs/journal.md, What it costs)."""

OVERHEAD_BYTES = 20
"""The size of a record without its value: MCAP's index, header and times."""

PLAIN_BYTES = 34
"""The size of the largest record with a number in a segment."""

ACT_BYTES = 110
"""The size of a keyed `set` of a number: the two entries of the audit, with the key."""

STORE_BURST, STORE_RATE = 16 * MIB, 64 * 1024
"""For bodies of messages, which are not readings but are written to the disk, too."""

PLAIN_BURST, PLAIN_RATE = MIB, 128 * 1024
"""For large values before they are compressed: as such they are sent to every monitor. A larger
burst would be more than the monitors' outboxes hold, and make all of them lag."""

SMALL_BYTES = 256
"""The bytes of a value that are free: small ones cost little beyond what the journal needs."""


MINOR_BURST, MINOR_RATE = 500, 20
"""For minor events, such as refusals: every monitor of the audit receives them."""

MOST_KNOWN = 10_000
"""Clients counted before those that used nothing lately are forgotten."""


class Rank(enum.Enum):
    """The kind of a write; the value is the part of the bucket that it must leave."""

    PRESENCE = 0.5
    VALUE = 0.25
    ACT = 0.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds on what clients write into the log."""

    burst_bytes: float
    rate: float
    """Bytes a second."""
    per_reading: float
    """Bytes for each device reading."""

    @classmethod
    def of_share(cls, percent: int, max_bytes: int, max_age_s: float) -> Self:
        """Return the bounds that keep clients within a share of the journal."""
        share = max_bytes * percent / 100
        burst = min(share / 8, MOST_BURST)
        return cls(
            burst,
            (share - burst) / max(max_age_s, 1.0),
            READING_BYTES * percent / (100 - percent),
        )

    def acts_per_s(self, readings_per_s: float) -> float:
        """Estimate the acts a second of one client, in addition to readings of devices."""
        return (self.rate + self.per_reading * readings_per_s) / 2 / ACT_BYTES


UNLIMITED = Bounds(math.inf, 0.0, 0.0)


class _Bucket:
    """The rest of the allowance, for all and for each client that used any of it lately."""

    def __init__(self, burst: float) -> None:
        self._burst = burst
        self._left = burst
        self._gained = 0.0
        self._used: dict[str, tuple[float, float]] = {}
        """By client: its use, and the bucket's total gain by then."""

    @property
    def fill(self) -> float:
        """The part that is left."""
        return self._left / self._burst if self._burst < math.inf else 1.0

    def add(self, gained: float) -> None:
        """Fill the bucket; half of the gain is for each client."""
        self._left = min(self._burst, self._left + gained)
        self._gained += gained

    def spend(self, client: str, size: float) -> None:
        """Spend from the bucket, which may go into debt by one request."""
        self._left -= size
        if len(self._used) >= MOST_KNOWN:
            self._used = {c: used for c, used in self._used.items() if self._used_by(c) > 0}
        self._used[client] = self._used_by(client) + size, self._gained

    def has_for(self, client: str, left_to_others: float) -> bool:
        """Return whether a client may spend from it."""
        return self._used_by(client) <= self._burst / 2 and self.fill > left_to_others

    def _used_by(self, client: str) -> float:
        used, since = self._used.get(client, (0.0, self._gained))
        return max(0.0, used - (self._gained - since) / 2)


class Allowance:
    """Bounds what clients write into the log."""

    def __init__(
        self, bus: Bus, now: Callable[[], float] | None = None, bounds: Bounds = UNLIMITED
    ) -> None:
        """Set the bounds; ``now`` is a monotonic clock in seconds, None for no bounds."""
        self._bus = bus
        self._now = now
        self._bounds = bounds
        self._history = _Bucket(bounds.burst_bytes)
        self._bodies = _Bucket(STORE_BURST)
        self._plain = _Bucket(PLAIN_BURST)
        self._minor = _Bucket(MINOR_BURST)
        self._filled_at = 0.0 if now is None else now()
        self._written = 0
        """Records written by clients."""
        self._others = bus.log.tail
        """The log's tail less those records."""
        self._meter = _Meter()

    def admit(self, client: str, rank: Rank) -> None:
        """Admit a client's write.

        Raises:
            ProtocolError: The allowance is used up.
        """
        if not self.has_room(client, rank):
            text = (
                f"clients write more than {self._bounds.rate:.0f} bytes/s into the history, which"
                " is clients.journal_share; try again later"
            )
            raise ProtocolError("too_many", text)

    def admit_value(self, client: str, size: int) -> None:
        """Admit a value that monitors will receive; ``size`` is its own.

        It is charged now: many may wait for the disk before the first is published.

        Raises:
            ProtocolError: The allowance is used up.
        """
        self.admit(client, Rank.VALUE)
        if self._now is not None and not self._plain.has_for(client, 0.0):
            text = (
                f"clients publish more than {PLAIN_RATE} bytes/s of large values; try again later"
            )
            raise ProtocolError("too_many", text)
        self._plain.spend(client, max(0, size - SMALL_BYTES))

    def admits_minor(self, client: str) -> bool:
        """Return whether a minor event may be recorded, and charge it."""
        if not self.has_room(client, Rank.PRESENCE):
            return False
        if self._now is not None:
            if not self._minor.has_for(client, 0.0):
                return False
            self._minor.spend(client, 1)
        return True

    def has_room(self, client: str, rank: Rank) -> bool:
        """Return whether a client may write something of this rank into the history."""
        self._fill()
        return self._history.has_for(client, rank.value)

    def admit_body(self, client: str, size: int) -> None:
        """Admit a message that is kept on the disk.

        Raises:
            ProtocolError: The allowance is used up.
        """
        self.admit(client, Rank.VALUE)
        if self._now is not None and not self._bodies.has_for(client, 0.0):
            text = f"clients send more than {STORE_RATE} bytes/s of messages; try again later"
            raise ProtocolError("too_many", text)
        self._bodies.spend(client, size)

    def publish(self, client: str, channel: Channel, reading: Reading) -> Record:
        """Publish a client's reading, and charge it to the allowance."""
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
        self._plain.add(elapsed_s * PLAIN_RATE)
        self._minor.add(elapsed_s * MINOR_RATE)


class _Meter:
    """Measures the size of values that are compressed one after the other."""

    def __init__(self) -> None:
        self._compressor: zstandard.ZstdCompressionObj | None = None

    def size(self, value: Value) -> int:
        """Return the approximate size of a record in a segment."""
        if value is None or isinstance(value, int | float):
            return PLAIN_BYTES
        if self._compressor is None:
            self._compressor = zstandard.ZstdCompressor(level=1).compressobj()
        text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
        packed = self._compressor.compress(text)
        packed += self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        return OVERHEAD_BYTES + len(packed)
