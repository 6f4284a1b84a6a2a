"""The spine without devices: a log, a bus and a server on a free port of the loopback."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from sensord.access.gate import Gate
from sensord.access.origins import Origins
from sensord.bus import Bus
from sensord.config.tree import Clients
from sensord.log import Log
from sensord.model.clocks import SystemClock
from sensord.model.readings import GOOD, Channel, Kind, Metadata, Quality, Reading, Value, ValueType
from sensord.server.listener import Server
from sensord.server.shared import Limits
from sensord.sharing.sharing import Sharing
from sensord.sharing.store import Store

__all__ = ["EPOCH", "Station"]

EPOCH = "m3x9"


class Station:
    """A server whose readings the test publishes itself.

    Whatever a test does to it, no session may have failed when it ends. With ``clients`` it tells
    who is there; with a folder that survives a restart.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        ring: int = 65_536,
        clients: Clients | None = None,
        folder: Path | None = None,
        origins: Origins | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._origins = origins
        self._gate = gate
        self._clients = clients
        self._folder = folder
        self.limits = limits or Limits()
        self.log = Log(EPOCH, ring)
        self.bus = Bus(self.log, SystemClock())
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        failures = self.server.statistics().failures
        await self.stop()
        if error is None:
            assert failures == 0

    @property
    def server(self) -> Server:
        assert self._server is not None
        return self._server

    @property
    def address(self) -> str:
        return self.server.addresses[0]

    @property
    def url(self) -> str:
        return f"ws://{self.address}"

    async def start(self, address: str = "127.0.0.1:0") -> None:
        loop = asyncio.get_running_loop()
        sharing = None
        if self._clients is not None:
            store = Store(self._folder, loop)
            store.open()
            sharing = Sharing.build(self.bus, store, loop, self._clients)
        self._server = Server(
            self.bus, loop, self.limits, sharing=sharing, origins=self._origins, gate=self._gate
        )
        await self._server.listen([address])

    async def stop(self) -> None:
        await self.server.close(1.0)

    async def restart(self) -> None:
        """Let everybody go and listen on the same port again, with the same log."""
        address = self.address
        await self.stop()
        await self.start(address)

    # -- publishing --------------------------------------------------------------------------------

    def state(self, topic: str, kind: ValueType = ValueType.FLOAT) -> Channel:
        """Return a channel of which only the newest value matters."""
        return self.bus.channel(topic, Metadata(kind))

    def event(self, topic: str, kind: ValueType = ValueType.STRING) -> Channel:
        """Return a channel of which every value counts."""
        return self.bus.channel(topic, Metadata(kind, kind=Kind.EVENT))

    def publish(
        self, channel: str | Channel, *values: Value, quality: Quality = GOOD, time_us: int = 0
    ) -> None:
        """Publish values; a topic stands for its `state` channel of numbers."""
        if isinstance(channel, str):
            channel = self.bus.find(channel) or self.state(channel)
        for value in values:
            reading = Reading(time_us or self.bus.now_us(), value, quality)
            self.bus.publish(channel, reading)
