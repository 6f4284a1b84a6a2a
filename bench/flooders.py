"""Clients that cost as much as they can: the other side of ``bench.floods``.

``python -m bench.flooders NAME PORT`` connects them and prints ``ready``; they go on until its
input ends, then it prints as JSON how many answers, frames and refusals came.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

__all__ = ["FLOODS"]

Counts = dict[str, int]

PAGES_AT_ONCE = 8
UNREAD = 1_500
CONNECTIONS = 17
SUBSCRIPTIONS = 1_000
REPLAYS = 60
MANY_FILTERS = 700
PUTTERS, PUTS_AT_ONCE = 4, 16
CROWD, CROWD_PUTS = 900, 64
STATE = "x" * 16_000
COMINGS_AT_ONCE = 8


def page(filters: int) -> bytes:
    """Return a request for the last values, with filters that select everything."""
    kinds = ("%23", "+/+")
    query = "&".join(f"topics={kinds[n % len(kinds)]}" for n in range(filters))
    return f"GET /api/readings?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


async def get(port: int, request: bytes, counts: Counts) -> None:
    """Request a page and read all of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        head = await reader.readline()
        counts[head.split()[1].decode() if head else "closed"] = (
            counts.get(head.split()[1].decode() if head else "closed", 0) + 1
        )
        while chunk := await reader.read(65_536):
            counts["bytes"] = counts.get("bytes", 0) + len(chunk)
    except OSError:
        counts["broken"] = counts.get("broken", 0) + 1
    finally:
        writer.close()


async def pages(port: int, counts: Counts, filters: int) -> None:
    """Request pages for ever, a few at a time."""

    async def again() -> None:
        while True:
            await get(port, page(filters), counts)

    async with asyncio.TaskGroup() as group:
        for _ in range(PAGES_AT_ONCE):
            group.create_task(again())


async def unread(port: int, counts: Counts) -> None:
    """Request pages and read nothing; who is refused or cut asks again."""

    async def again() -> None:
        loop = asyncio.get_running_loop()
        while True:
            with socket.socket() as lazy:
                lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                lazy.setblocking(False)  # noqa: FBT003  # the socket's own interface
                try:
                    await loop.sock_connect(lazy, ("127.0.0.1", port))
                    await loop.sock_sendall(lazy, page(1))
                    counts["asked"] = counts.get("asked", 0) + 1
                except OSError:
                    counts["broken"] = counts.get("broken", 0) + 1
                await asyncio.sleep(40)

    async with asyncio.TaskGroup() as group:
        for _ in range(UNREAD):
            group.create_task(again())


async def read(ws: ClientConnection, counts: Counts, asked: dict[int, str]) -> None:
    """Read what comes; count the phases and gaps. What has ended is asked for again."""
    async for raw in ws:
        counts["messages"] = counts.get("messages", 0) + 1
        if isinstance(raw, str) and raw.startswith('{"op"'):
            told = json.loads(raw)
            kind = told["op"]
            if kind == "stream":
                kind = f"{told['phase']} {told.get('reason', '')}".strip()
            elif kind == "gap":
                counts["lost"] = counts.get("lost", 0) + (told["count"] or 0)
            elif kind == "error":
                kind = str(told["code"])
            elif kind == "end":
                await ws.send(asked[told["id"]])
            counts[kind] = counts.get(kind, 0) + 1


async def converse(
    port: int, counts: Counts, number: int, requests: Callable[[int], Iterator[dict[str, object]]]
) -> None:
    """Send requests on one connection and read; come back when it is closed."""
    while True:
        try:
            async with connect(
                f"ws://127.0.0.1:{port}/v1",
                subprotocols=["sensord.v1.json"],  # type: ignore[list-item]  # a text of a kind
                compression=None,
                max_size=None,
            ) as ws:
                await ws.send(json.dumps({"op": "hello", "id": 1, "client": "flood"}))
                asked: dict[int, str] = {}
                async with asyncio.TaskGroup() as group:
                    group.create_task(read(ws, counts, asked))
                    for request in requests(number):
                        text = json.dumps(request)
                        asked[cast("int", request["id"])] = text
                        await ws.send(text)
        except* (ConnectionClosed, OSError):
            counts["closed"] = counts.get("closed", 0) + 1
            await asyncio.sleep(1)


def subscribing(number: int) -> Iterator[dict[str, object]]:
    """Subscribe to everything, each time with an option of its own."""
    each = -(-SUBSCRIPTIONS // CONNECTIONS)
    for i in range(min(each, SUBSCRIPTIONS - number * each)):
        deadband = (number * each + i) * 1e-9 + 1e-9
        yield {
            "op": "subscribe",
            "id": 2 + i,
            "topics": ["load/#"],
            "from": "now",
            "deadband": deadband,
        }


def replaying(number: int) -> Iterator[dict[str, object]]:
    """Replay everything as fast as can be, again and again."""
    del number
    for i in range(10):
        yield {
            "op": "replay",
            "id": 2 + i,
            "topics": ["#"],
            "from": "-1h",
            "speed": 1e9,
        }


async def joined(port: int) -> ClientConnection:
    """Connect and say hello."""
    ws = await connect(
        f"ws://127.0.0.1:{port}/v1",
        subprotocols=["sensord.v1.json"],  # type: ignore[list-item]  # a text of a kind
        compression=None,
    )
    await ws.send(json.dumps({"op": "hello", "id": 1, "client": "flood"}))
    return ws


async def puts(port: int, counts: Counts, clients: int, at_once: int) -> None:
    """Let each client put large states, so many at a time, again and again."""

    def state(number: int, i: int) -> str:
        topic = f"state/flood/{number}/{i % at_once}"
        return json.dumps({"op": "put", "id": 2 + i, "topic": topic, "value": STATE[i % 99 :]})

    async def again(number: int) -> None:
        ws = await joined(port)
        for i in range(at_once):
            await ws.send(state(number, i))
        i = at_once
        async for raw in ws:
            told = json.loads(raw)
            kind = str(told.get("code", told["op"]))
            counts[kind] = counts.get(kind, 0) + 1
            if told["id"] != 1:
                await ws.send(state(number, i))
                i += 1

    await all_of([again(number) for number in range(clients)])


async def comings(port: int, counts: Counts) -> None:
    """Join and leave again and again."""

    async def again() -> None:
        while True:
            try:
                ws = await joined(port)
                await ws.recv()
                await ws.close()
                counts["joined"] = counts.get("joined", 0) + 1
            except (ConnectionClosed, OSError):
                counts["broken"] = counts.get("broken", 0) + 1

    await all_of([again() for _ in range(COMINGS_AT_ONCE)])


async def all_of(acts: Sequence[Awaitable[None]]) -> None:
    """Do them all."""
    await asyncio.gather(*acts)


FLOODS: dict[str, Callable[[int, Counts], Coroutine[None, None, None]]] = {
    "filters": lambda port, counts: pages(port, counts, MANY_FILTERS),
    "pages": lambda port, counts: pages(port, counts, 60),
    "unread": unread,
    "groups": lambda port, counts: all_of(
        [converse(port, counts, n, subscribing) for n in range(CONNECTIONS)]
    ),
    "replays": lambda port, counts: all_of(
        [converse(port, counts, n, replaying) for n in range(REPLAYS // 10)]
    ),
    "puts": lambda port, counts: puts(port, counts, PUTTERS, PUTS_AT_ONCE),
    "crowd": lambda port, counts: puts(port, counts, CROWD, CROWD_PUTS),
    "comings": comings,
}
"""By name: 700 filters, 60 filters, pages that nobody reads, groups, replays, four clients that put
large states, 900 that do, and clients that come and go."""


async def main(name: str, port: int) -> None:
    """Flood until standard input ends."""
    counts: Counts = {}
    task = asyncio.ensure_future(FLOODS[name](port, counts))
    print("ready", flush=True)  # to the benchmark
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    task.cancel()
    await asyncio.wait([task])
    print(json.dumps(counts), flush=True)  # to the benchmark


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
