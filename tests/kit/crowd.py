"""Many monitors in a process of their own, for ``python -m tests.kit.crowd HOST PORT COUNT``.

A line of JSON says ``snapshots`` when each has had its own, with the values in every different one;
another says ``frames`` when each has had the next frame, with the values in every different one. It
ends when its stdin does.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from typing import cast

import msgpack
import uvloop
from websockets.frames import Frame, Opcode

__all__ = ["main"]

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


def values(data: bytes) -> list[object]:
    """Return the value of the first reading of each frame."""
    return [message[3][2] for message in messages(data) if isinstance(message, list)]


def say(**told: object) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


async def crowd(host: str, port: int, count: int) -> None:
    """Connect them all, and tell what they get."""
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> Light:
        async with gate:
            _, light = await loop.create_connection(Light, host, port)
            await light.live
            return light

    lights = await asyncio.gather(*(one() for _ in range(count)))
    snapshots = {bytes(light.received) for light in lights}
    say(snapshots=sorted({str(values(snapshot)) for snapshot in snapshots}))
    await asyncio.gather(*(light.told for light in lights))
    frames = {bytes(light.received[light.live_at :]) for light in lights}
    say(frames=[values(frame) for frame in frames])
    await asyncio.to_thread(sys.stdin.read)  # they stay until then


def main(host: str, port: int, count: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(crowd(host, port, count))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
