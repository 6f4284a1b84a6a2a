"""Packets that a request has ready to send: made one by one, none while its client is congested.

Packets are made when they are sent, so that no turn of the loop makes many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from sensord.server.packets import Write, packet
from sensord.wire.frames import Codec
from sensord.wire.ops.base import Sendable

__all__ = ["Outgoing", "Writer"]


class Writer(Protocol):
    """The session, as far as packets are written to it."""

    codec: Codec

    @property
    def write(self) -> Write:
        """Write bytes to the client."""
        ...

    @property
    def is_congested(self) -> bool:
        """Whether the unsent bytes are above the high-water mark."""
        ...


class Outgoing:
    """A queue of packets, sent before anything else of a request."""

    def __init__(self, client: Writer) -> None:
        self._client = client
        self._waiting: deque[Iterator[bytes]] = deque()

    def __bool__(self) -> bool:
        """Return whether something may be left to send."""
        return bool(self._waiting)

    def add(self, packets: Iterator[bytes]) -> None:
        """Append packets; each is made when it is sent."""
        self._waiting.append(packets)

    def message(self, message: Sendable) -> None:
        """Append a control message."""
        codec = self._client.codec
        self.add(iter((packet(codec, codec.message(message.write())),)))

    def squeeze(self) -> None:
        """Make all packets now: they are a hundredth of the readings that they are made of."""
        made = [data for packets in self._waiting for data in packets]
        self._waiting.clear()
        if made:
            self._waiting.append(iter(made))

    def send(self, most: int) -> None:
        """Send up to ``most`` packets, fewer if no more are left or the client is congested."""
        while self._waiting and most and not self._client.is_congested:
            data = next(self._waiting[0], None)
            if data is None:
                self._waiting.popleft()
            else:
                self._client.write(data)
                most -= 1
