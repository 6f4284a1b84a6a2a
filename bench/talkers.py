"""Clients that are there and talk to each other: the other side of ``bench.together``.

``python -m bench.talkers URL CLIENTS RATE`` connects them and says ``ready``; then they send each
other messages until its input ends, and it tells as JSON how many were sent, delivered and had.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys

from sensord.client import Client

__all__ = ["talk"]

AT_ONCE = 50
"""Connections being made at a time."""


class Talk:
    """What was said."""

    def __init__(self) -> None:
        self.sent = self.delivered = self.other = self.had = 0

    async def listen(self, client: Client) -> None:
        """Have the messages of a client."""
        async for _ in client.messages():
            self.had += 1

    async def say(self, client: Client, to: str) -> None:
        """Send a message, and wait until it is known what became of it."""
        self.sent += 1
        status = ""
        async for receipt in client.send_to({"text": "x" * 100}, client=to):
            status = receipt.status
        if status == "delivered":
            self.delivered += 1
        else:
            self.other += 1


async def talk(url: str, count: int, rate: float) -> None:
    """Connect, talk, and tell."""
    loop, gate, over = asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE), asyncio.Event()
    clients = [Client(url, name=f"talker {number}") for number in range(count)]

    async def enter(client: Client) -> None:
        async with gate:
            await client.__aenter__()

    await asyncio.gather(*(enter(client) for client in clients))
    told = Talk()
    async with asyncio.TaskGroup() as group:
        listeners = [group.create_task(told.listen(client)) for client in clients]
        print("ready", flush=True)  # to the benchmark
        loop.run_in_executor(None, sys.stdin.read).add_done_callback(lambda _: over.set())
        saying: set[asyncio.Task[None]] = set()
        due = loop.time()
        while not over.is_set():
            due += 1 / rate
            one, other = random.sample(clients, 2)
            task = group.create_task(told.say(one, other.id))
            saying.add(task)
            task.add_done_callback(saying.discard)
            await asyncio.sleep(max(0.0, due - loop.time()))
        if saying:
            await asyncio.wait(saying, timeout=30)
        print(json.dumps(vars(told)), flush=True)  # to the benchmark
        for listener in listeners:
            listener.cancel()
    await asyncio.gather(*(client.__aexit__(None, None, None) for client in clients))


if __name__ == "__main__":
    asyncio.run(talk(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
