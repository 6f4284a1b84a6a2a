"""Four thousand monitors at the real daemon at once."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgpack
import pytest
from websockets.frames import Frame, Opcode

from sensord.client import Client
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.fakeport import FakePort
from tests.kit.follower import Follower

MONITORS = 4000
AT_ONCE = 500
"""Connections being made at a time; the others have theirs already."""

UPGRADE = b"\r\n".join(
    (
        b"GET /v1 HTTP/1.1",
        b"Host: localhost",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Protocol: sensord.v1.msgpack",
        b"",
        b"",
    )
)

REQUESTS = b"".join(
    Frame(Opcode.BINARY, msgpack.packb(message)).serialize(mask=True)
    for message in (
        {"op": "hello", "id": 1, "client": "one of many"},
        {"op": "subscribe", "id": 2, "topics": ["plant/#"]},
    )
)


class Light(asyncio.Protocol):
    """As little of a monitor as can be: keeps all bytes after the handshake."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.received = bytearray()
        self.live: asyncio.Future[None] = loop.create_future()
        self.told: asyncio.Future[None] = loop.create_future()
        """Set when something came after it was live."""
        self.live_at = 0
        self._transport: asyncio.Transport | None = None
        self._is_upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(UPGRADE)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self._is_upgraded:
            head, end, rest = bytes(self.received).partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101 ")
            self._is_upgraded = True
            self.received = bytearray(rest)
            assert self._transport is not None
            self._transport.write(REQUESTS)
        elif not self.live.done():
            # Complete when the last message says so; it is the last one for now.
            if messages(bytes(self.received))[-1:] and b"\xa4live" in self.received:
                self.live_at = len(self.received)
                self.live.set_result(None)
        elif not self.told.done():
            self.told.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        for waited in (self.live, self.told):
            if not waited.done():
                waited.set_exception(ConnectionError(f"the server ended it: {exc}"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def messages(data: bytes) -> list[object]:
    """Take the server's messages apart; none of those here is longer than 65,535 bytes."""
    found = []
    while len(data) > 2:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        found.append(msgpack.unpackb(data[start : start + size]))
        data = data[start + size :]
    return found


@pytest.fixture
def _many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("_many_descriptors")
@on_uvloop(deadline_s=110)
async def test_four_thousand_monitors_get_the_snapshot_and_the_same_next_reading(
    tmp_path: Path,
) -> None:
    """All of them connected at once, and a client of ours among them that notices nothing."""
    config = f"""
[devices.boiler]
reader = "serial"
port = "{tmp_path / "ttyUSB0"}"
decoder = "json"
topic = "plant/{{field}}"
publish = {{ policy = "every" }}
"""
    with FakePort(tmp_path / "ttyUSB0") as port, Daemon(tmp_path, config) as daemon:
        async with Client(daemon.url) as client:
            ours = Follower(client.subscribe("plant/#"))
            await in_thread(daemon.wait_for_log, "device is up")
            port.feed(b'{"temperature": 1.5}\n')
            await ours.value(1.5)
            before = daemon.rss_bytes()
            lights = await crowd(daemon.address)
            try:
                for light in lights:
                    told = messages(bytes(light.received))
                    assert [m[3][2] for m in told if isinstance(m, list)] == [1.5]
                assert (await client.get("plant/#"))[0].reading.value == 1.5
                port.feed(b'{"temperature": 2.5}\n')
                await asyncio.gather(*(light.told for light in lights))
                frames = {bytes(light.received[light.live_at :]) for light in lights}
                assert len(frames) == 1  # the very same bytes for all
                [frame] = messages(frames.pop())
                assert isinstance(frame, list)
                assert frame[3][2] == 2.5
                await ours.value(2.5)
                each = (daemon.rss_bytes() - before) / MONITORS
                assert each < 40_000, f"{each:.0f} bytes for each monitor"
                assert daemon.descriptors() > MONITORS
            finally:
                for light in lights:
                    light.close()
            await client.ping()
    assert ours.values == [1.5, 2.5]


async def crowd(address: str) -> list[Light]:
    """Connect them all; each has had its snapshot when this returns."""
    host, port = address.split(":")
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> Light:
        async with gate:
            _, light = await loop.create_connection(Light, host, int(port))
            await light.live
            return light

    return await asyncio.gather(*(one() for _ in range(MONITORS)))
