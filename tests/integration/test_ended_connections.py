"""Connections that ended leave nothing in memory: the daemon's collector hardly ever looks."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.server import ServerProtocol

from sensord.server.connection import Connection
from tests.kit.loops import on_each_loop
from tests.kit.monitor import monitor
from tests.kit.station import Station

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

TIMES = 5


async def leave(station: Station) -> None:
    """Subscribe, and close with a good-bye."""
    async with monitor(station.url) as client:
        await client.subscribe("plant/#")


async def cut(station: Station) -> None:
    """Connect, and be gone without a good-bye."""
    client = await connect(f"{station.url}/v1", subprotocols=["sensord.v1.json"], proxy=None)  # type: ignore[list-item]  # a text is one
    client.transport.abort()
    await client.wait_closed()


async def break_protocol(station: Station) -> None:
    """Send a frame with a reserved opcode."""
    client = await connect(f"{station.url}/v1", subprotocols=["sensord.v1.json"], proxy=None)  # type: ignore[list-item]  # a text is one
    client.transport.write(b"\x83\x80\0\0\0\0")
    await client.wait_closed()


def sending(data: bytes) -> Callable[[Station], Awaitable[None]]:
    """Return a client that sends bytes and reads until the end."""

    async def send(station: Station) -> None:
        host, port = station.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(data)
        await reader.read()
        writer.close()
        await writer.wait_closed()

    return send


ENDINGS: dict[str, Callable[[Station], Awaitable[None]]] = {
    "good-bye": leave,
    "cut": cut,
    "broken protocol": break_protocol,
    "page": sending(GET),
    "no HTTP": sending(b"\x16\x03\x01 hello\r\n\r\n"),
    "long line": sending(b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n"),
    "long header": sending(b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n"),
}


@contextmanager
def uncollected() -> Iterator[None]:
    """Let nothing collect cycles."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive() -> list[Connection | ServerProtocol]:
    """Return the server's objects of connections, open or not."""
    # By type: a weak proxy would answer `isinstance` for what is gone.
    kinds = (Connection, ServerProtocol)
    return [one for one in gc.get_objects() if issubclass(type(one), kinds)]


async def ended(station: Station) -> None:
    """Wait until the server has no connection, and its transports have let go of the last one."""
    server = station.server
    while server.statistics().connections:
        server._emptied.clear()
        await server._emptied.wait()
    await asyncio.sleep(0)


@pytest.mark.parametrize("ending", ENDINGS)
@on_each_loop
async def test_an_ended_connection_is_freed_without_the_collector(ending: str) -> None:
    """However it ends: 25,000 sessions of a morning are not to wait for a full collection."""
    async with Station() as station:
        with uncollected():
            for _ in range(TIMES):
                await ENDINGS[ending](station)
            await ended(station)
            assert alive() == []
