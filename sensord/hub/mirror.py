"""A gateway's log in memory, as its stream has it: every offset is the gateway's own.

Theory of operation. Readings are published at the offsets that they have in the gateway's log, so
nothing else may be: what the parts of a server publish by themselves (sessions, clients) is
dropped. Offsets between two messages belong to readings that the gateway does not send; they are
filled with a channel that nobody can select. Offsets that the uplink names as missing, or that are
more than memory holds, are not in memory: cursors find them in the stream, as any past reading.
"""

from __future__ import annotations

from collections.abc import Sequence

from sensord.bus import Bus
from sensord.hub.arrivals import Arrival, Missing
from sensord.log import Log
from sensord.model.clocks import Clock
from sensord.model.readings import Channel, Metadata, Reading, Record, make_record

__all__ = ["Mirror", "ReplacedError"]

NOT_SENT = -1
"""The number of the channel that stands for what the gateway does not send."""


class ReplacedError(Exception):
    """The gateway has begun another log: its offsets do not continue those of the mirror."""


class _MirrorBus(Bus):
    """A bus on which only the mirror publishes."""

    def publish(self, channel: Channel, reading: Reading) -> Record:
        """Drop what a part of the server publishes."""
        return Record(self.log.tail, self.now_us(), channel, reading)

    def publish_all(self, readings: Sequence[tuple[Channel, Reading]], log_us: int) -> None:
        """Drop what a part of the server publishes."""

    def put(self, channel: Channel, reading: Reading, log_us: int) -> None:
        """Publish a reading of the gateway."""
        self._publish(channel, reading, log_us)


class Mirror:
    """One gateway's log and bus, from an offset on."""

    def __init__(self, epoch: str, first: int, capacity: int, clock: Clock) -> None:
        self.log = Log(epoch, capacity, first)
        self.log.is_mirror = True
        self._capacity = capacity
        self._bus = _MirrorBus(self.log, clock)
        self.sequence = 0
        """Of the last message that it has."""

    @property
    def bus(self) -> Bus:
        """What a server serves."""
        return self._bus

    def remember(self, arrival: Arrival) -> None:
        """Keep the last value of a topic that is older than the log in memory."""
        channel = self._bus.channel(arrival.topic, arrival.metadata)
        record = make_record((arrival.offset, arrival.log_us, channel, arrival.reading))
        self._bus.remember(record)

    def add(self, arrival: Arrival | Missing) -> bool:
        """Add a message; return whether cursors must look for a gap in the stream.

        Messages that are delivered again are left out.

        Raises:
            ReplacedError: It is of another log.
        """
        log = self.log
        if arrival.epoch != log.epoch:
            if arrival.offset < log.tail:
                raise ReplacedError
            log.renew_epoch(arrival.epoch)
        self.sequence = max(self.sequence, arrival.sequence)
        if isinstance(arrival, Missing):
            if arrival.stop <= log.tail:
                return False
            log.begin_anew([*log.epochs - {log.epoch}, log.epoch], arrival.stop)
            return True
        if arrival.offset < log.tail:
            return False
        if arrival.offset > log.tail:
            if arrival.offset - log.tail > self._capacity:
                log.begin_anew([*log.epochs - {log.epoch}, log.epoch], arrival.offset)
            else:
                self._fill(arrival)
        self._bus.put(
            self._bus.channel(arrival.topic, arrival.metadata), arrival.reading, arrival.log_us
        )
        return False

    def _fill(self, arrival: Arrival) -> None:
        reading = Reading(arrival.log_us, None)
        for offset in range(self.log.tail, arrival.offset):
            self.log.append(make_record((offset, arrival.log_us, _FILLER, reading)))


_FILLER = Channel(NOT_SENT & 0xFFFFFFFF, "$hub/not-sent", Metadata())
"""Its number fits the array of those that left the memory, and no channel of a bus has it."""
