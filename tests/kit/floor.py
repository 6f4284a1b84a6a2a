"""A server with devices, from the text of a configuration, in the test's own process."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from sensord.bus import Bus
from sensord.config.load import parse
from sensord.decode import registry as decoders
from sensord.decode.framing import framer_of
from sensord.device.backoff import Backoff
from sensord.device.command_runner import ReaderWithCommands
from sensord.device.device import Device
from sensord.device.supervisor import supervise
from sensord.log import Log
from sensord.model.clocks import SystemClock
from sensord.model.readings import Record
from sensord.readers import registry as readers
from sensord.server.listener import Server
from sensord.server.shared import Limits, control_for
from sensord.sharing.sharing import Sharing
from tests.kit.running import IMPATIENT

__all__ = ["Floor"]


class Floor:
    """Runs what the text declares, and keeps what is published."""

    def __init__(self, text: str) -> None:
        self._config = parse(text, "test.toml", readers, decoders)
        self._tasks: list[asyncio.Task[Any]] = []
        self.records: list[Record] = []
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        loop, clock = asyncio.get_running_loop(), SystemClock()
        self.bus = Bus(Log("floor", 4096), clock)
        self.bus.attach(["#", "$sys/#", "$audit/#"], self)
        sharing = Sharing.quiet(self.bus, loop)
        control = control_for(self.bus, sharing, loop, self._config.control)
        self.server = Server(self.bus, loop, Limits(), None, sharing=sharing, control=control)
        self._devices = []
        for config in self._config.devices:
            found, decoder = readers.find(config.reader), None
            assert found is not None
            if config.decoder:
                decoding = decoders.find(config.decoder)
                assert decoding is not None
                decoder = decoding.create(config.decoder_config)
            queue = self._config.control.queue
            framer = framer_of(config.framing)
            device = Device(config, framer, decoder, self.bus, clock, loop, most_commands=queue)
            control.add(device.commands)
            self._devices.append(device)
            reader = ReaderWithCommands(found.create(config.reader_config), device.commands)
            backoff = Backoff(IMPATIENT, lambda: 1.0)
            running = supervise(config.name, reader, device, device, backoff=backoff)
            self._tasks.append(asyncio.ensure_future(running))
        control.begin()
        await self.server.listen(["127.0.0.1:0"])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        for device in self._devices:
            device.close()
        failures = self.server.statistics().failures
        await self.server.close(1.0)
        if error is None:
            assert failures == 0
            assert all(task.cancelled() for task in self._tasks)

    @property
    def url(self) -> str:
        return f"ws://{self.server.addresses[0]}"

    async def until(self, topic: str, is_it: Any) -> Any:
        """Wait for a value of a topic that satisfies ``is_it``; return it."""
        while True:
            for record in reversed(self.records):
                if record.channel.topic == topic and is_it(record.reading.value):
                    return record.reading.value
            self._changed.clear()
            await self._changed.wait()

    async def up(self, *devices: str) -> None:
        """Wait until devices are there."""
        for device in devices:
            await self.until(f"$sys/devices/{device}", lambda value: value["state"] == "up")

    def audited(self, what: str) -> list[tuple[str, str, str]]:
        """Return key, result and detail of what stands in the audit."""
        return [
            (str(value.get("key", "")), str(value["result"]), str(value.get("detail", "")))
            for record in self.records
            if record.channel.topic == f"$audit/{what}"
            and isinstance(value := record.reading.value, dict)
        ]

    # -- a sink ------------------------------------------------------------------------------------

    def selected(self, channel: object) -> None:
        """Nothing to do."""

    def push(self, record: Record) -> None:
        self.records.append(record)
        self._changed.set()
