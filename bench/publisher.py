"""Publish a load to a peer of sensord.

    python -m bench.publisher PROTOCOL PORT RATE TOPICS PATTERN

The readings come from sensord's own simulated reader. Each is published as ``TIME VALUE``, the
shortest payload with which a subscriber can tell how old it is. One tick of one device is one
write. Ends, and prints how many readings were published, at the end of its standard input.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Callable, Iterable

from bench.load import DECIMALS, Load, Pattern
from sensord.decode.base import Sample
from sensord.device.reader import DEVICE, Route
from sensord.model.readings import Metadata, Value
from sensord.readers import simulated

__all__ = ["main", "mqtt_connect", "mqtt_publish", "mqtt_text", "nats_publish"]

Encode = Callable[[str, bytes], bytes]
"""Makes a message of a topic and a payload."""


def mqtt_text(text: str) -> bytes:
    """Write a text as MQTT does: its length in two bytes, then UTF-8."""
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw


def mqtt_packet(head: int, body: bytes) -> bytes:
    """Write a packet of less than 16 KiB."""
    size = len(body)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([head]) + length + body


def mqtt_connect(client_id: str = "") -> bytes:
    """Write a CONNECT of MQTT 3.1.1: clean session, no keep-alive."""
    return mqtt_packet(0x10, mqtt_text("MQTT") + bytes([4, 2, 0, 0]) + mqtt_text(client_id))


def mqtt_publish(topic: str, payload: bytes) -> bytes:
    """Write a PUBLISH with QoS 0."""
    return mqtt_packet(0x30, mqtt_text(topic) + payload)


def nats_publish(topic: str, payload: bytes) -> bytes:
    """Write a PUB."""
    return b"PUB %s %d\r\n%s\r\n" % (topic.replace("/", ".").encode(), len(payload), payload)


class Outlet:
    """A simulated device's link whose samples go to a peer."""

    published = 0

    def __init__(self, device: str, connection: socket.socket, encode: Encode) -> None:
        self._device = device
        self._connection = connection
        self._encode = encode

    def samples(self, samples: Iterable[Sample], route: Route = DEVICE) -> None:
        """Publish one tick."""
        del route
        stamp = time.time_ns() // 1000
        encode, device = self._encode, self._device
        messages = [
            encode(f"{device}/{field}", f"{stamp} {value:.{DECIMALS}f}".encode())
            for field, value, *_ in samples
            if isinstance(value, float)
        ]
        self._connection.sendall(b"".join(messages))
        Outlet.published += len(messages)

    def opened(self, detail: str) -> None:
        """Learn that the device is there."""

    def data(self, data: bytes) -> None:
        """Not called: simulated devices have no bytes."""

    def message(self, route: Route, payload: bytes) -> None:
        """Not called: simulated devices have no messages."""

    def availability(self, name: str, *, is_there: bool) -> None:
        """Not called: a simulated device is always there."""

    def describe(self, field: str, metadata: Metadata, *, device: str = "") -> None:
        """Not called: simulated fields have no metadata."""

    def received(self, data: bytes, source: str = "") -> None:
        """Not called: nobody looks."""

    def sent(self, data: bytes, source: str = "") -> None:
        """Not called: nobody looks."""

    def when_kept(self, act: Callable[[], None]) -> None:
        """Not called: nothing is acknowledged."""

    def position(self) -> Value:
        """Return None: nothing is known."""
        return None

    def reached(self, position: Value) -> None:
        """Do nothing: nothing is recorded."""

    def fault(self, reason: str, detail: str, *, device: str = "") -> None:
        """Not called: nothing fails."""


async def publish(load: Load, connection: socket.socket, encode: Encode) -> None:
    """Publish until standard input ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    tasks = [
        asyncio.ensure_future(simulated.Reader(config).run(Outlet(name, connection, encode)))
        for name, config in load.devices().items()
    ]
    await ended.wait()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def main(protocol: str, port: int, load: Load) -> None:
    """Connect, publish, and tell how much."""
    with socket.create_connection(("127.0.0.1", port), 5.0) as connection:
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if protocol == "nats":
            connection.sendall(b'CONNECT {"verbose":false}\r\n')
            connection.recv(65536)  # INFO
        else:
            connection.sendall(mqtt_connect("publisher"))
            connection.recv(4)  # CONNACK
        encode = nats_publish if protocol == "nats" else mqtt_publish
        asyncio.run(publish(load, connection, encode))
        print(Outlet.published, flush=True)
        if protocol == "nats":
            connection.sendall(b"PING\r\n")
            connection.recv(65536)  # PONG: it has everything
        connection.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    _, protocol_, port_, rate_, topics_, pattern_ = sys.argv
    pattern: Pattern = "spread" if pattern_ == "spread" else "burst"
    main(protocol_, int(port_), Load(float(rate_), int(topics_), pattern))
