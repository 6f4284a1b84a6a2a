"""Systems that readers read, with what a test does to each: send, kill, start again."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from nats.aio.client import Client

from tests.kit.nats import JetStream

__all__ = ["NatsSource", "NatsWorkSource", "Source"]


class Source(Protocol):
    """A system that holds messages until they are read."""

    numbers: bool
    """Whether its messages have numbers that exclude doubles."""

    def prepare(self) -> None:
        """Start it for the first time, with all that the device needs."""
        ...

    def close(self) -> None: ...

    @property
    def device(self) -> str:
        """The reader and its options; its values get the topic plant/a."""
        ...

    def send(self, first: int, stop: int) -> None:
        """Send numbers, and return when the system has them."""
        ...

    def start(self) -> None: ...

    def kill(self) -> None: ...


class NatsSource:
    """A stream that keeps what was read."""

    numbers = True
    more = ""
    retention = "limits"

    def __init__(self, folder: Path) -> None:
        self._server = JetStream(folder)
        self.start, self.kill = self._server.start, self._server.kill

    def prepare(self) -> None:
        """Start it, and make the stream."""
        self.start()

        async def prepare(client: Client) -> None:
            await client.jetstream().add_stream(
                name="plant", subjects=["in.>"], retention=self.retention
            )

        self._server.ask(prepare)

    def close(self) -> None:
        self.kill()

    @property
    def device(self) -> str:
        return f"""
reader = "nats"
servers = ["{self._server.url}"]
stream = "plant"
topics = [{{ filter = "in.*" }}]
{self.more}
"""

    @property
    def url(self) -> str:
        return self._server.url

    def send_bytes(self, data: bytes) -> None:
        """Send a message of any bytes."""

        async def act(client: Client) -> None:
            await client.jetstream().publish("in.a", data)

        self._server.ask(act)

    def send(self, first: int, stop: int) -> None:
        for start in range(first, stop, 1000):
            self._send_part(start, min(start + 1000, stop))

    def _send_part(self, first: int, stop: int) -> None:
        async def act(client: Client) -> None:
            stream = client.jetstream()
            waiting = [await stream.publish_async("in.a", b"%d" % i) for i in range(first, stop)]
            for one in waiting:
                await one

        self._server.ask(act)


class NatsWorkSource(NatsSource):
    """A stream that removes what was read: after a crash some may come again."""

    numbers = False
    more = 'durable = "gateway"'
    retention = "workqueue"
