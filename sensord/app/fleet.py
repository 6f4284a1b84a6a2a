"""The devices of a configuration at work, each with its reader; a reload changes some of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterator
from dataclasses import dataclass

from sensord.bus import Bus
from sensord.config.tree import Device as DeviceConfig
from sensord.control import Control
from sensord.decode import registry as decoders
from sensord.decode.framing import framer_of
from sensord.device.command_runner import ReaderWithCommands
from sensord.device.device import Device
from sensord.device.lens import Lenses, ReaderSeen
from sensord.device.reader import Reader
from sensord.device.supervisor import supervise
from sensord.model.clocks import Clock
from sensord.readers import registry as readers
from sensord.status.clock import ClockStatus

__all__ = ["Begin", "Fleet"]

log = logging.getLogger("sensord.app")

STOP_S = 1.0

Begin = Callable[[str, Coroutine[None, None, None]], "asyncio.Task[None]"]
"""Begins a task by its name."""


@dataclass(slots=True)
class _Member:
    config: DeviceConfig
    device: Device
    reader: Reader
    task: asyncio.Task[None] | None = None


class Fleet:
    """The running devices, by name."""

    def __init__(
        self,
        bus: Bus,
        control: Control,
        lenses: Lenses,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        clock_status: ClockStatus,
        *,
        most_commands: int,
    ) -> None:
        self._bus = bus
        self._control = control
        self._lenses = lenses
        self._loop = loop
        self._clock = clock
        self._clock_status = clock_status
        self._most_commands = most_commands
        self._members: dict[str, _Member] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Device]:
        return (member.device for member in self._members.values())

    def tasks(self) -> list[asyncio.Task[None]]:
        """Return the tasks of the readers."""
        return [one.task for one in self._members.values() if one.task is not None]

    def add(self, config: DeviceConfig) -> None:
        """Build a device that clients may act on; its reader does not run yet."""
        device = self._device(config)
        reader = _reader(config, device)
        self._members[config.name] = _Member(config, device, reader)
        self._control.add(device.commands)
        self._control.forgetting.feeders.append(device)
        self._lenses.add(device.lens)

    def start(self, names: Collection[str], begin: Begin) -> None:
        """Run the readers of devices."""
        for name in names:
            member = self._members[name]
            work = supervise(name, member.reader, member.device, member.device)
            member.task = begin(f"reader:{name}", work)
        self._lenses.settle()

    async def end(self, names: Collection[str], *, removed: Collection[str]) -> None:
        """End devices; the topics of those that are removed are forgotten.

        One whose reader does not stop in time ends all the same, and its port may stay in use.
        """
        members = [self._members.pop(name) for name in names]
        tasks = [member.task for member in members if member.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            _, stuck = await asyncio.wait(tasks, timeout=STOP_S)
            for task in stuck:
                log.error("a reader does not stop", extra={"task": task.get_name()})
        for member in members:
            self._retire(member, is_removed=member.config.name in removed)

    def _retire(self, member: _Member, *, is_removed: bool) -> None:
        device = member.device
        text = "removed from the configuration" if is_removed else "the configuration has changed"
        topics = device.retire(text)
        self._control.remove(device.commands)
        self._control.forgetting.feeders.remove(device)
        self._lenses.remove(device.lens)
        if is_removed:
            self._control.forgetting.retire(topics)

    def _device(self, config: DeviceConfig) -> Device:
        decoder = None
        if config.decoder:
            found = decoders.find(config.decoder)
            assert found is not None, "checked with the configuration"
            decoder = found.create(config.decoder_config)
        return Device(
            config,
            framer_of(config.framing),
            decoder,
            self._bus,
            self._clock,
            self._loop,
            most_commands=self._most_commands,
            clock_trust=self._clock_status,
        )


def _reader(config: DeviceConfig, device: Device) -> Reader:
    found = readers.find(config.reader)
    assert found is not None, "checked with the configuration"
    reader = found.create(config.reader_config)
    if config.commands:
        reader = ReaderWithCommands(reader, device.commands)
    return ReaderSeen(reader, device.lens)
