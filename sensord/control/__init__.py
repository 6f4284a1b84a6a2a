"""Acting on devices and services: what can be called, keys, commands and leases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from sensord.bus import Bus
from sensord.config.command_options import Argument
from sensord.config.tree import Control as Options
from sensord.control.dispatch import Dispatch
from sensord.control.forgetting import Forgetting
from sensord.control.keys import Keys
from sensord.control.leases import Leases
from sensord.control.services import Services
from sensord.device.calls import Calls
from sensord.device.commands import Commands
from sensord.model.readings import Metadata, Position, Reading, Value, ValueType
from sensord.sharing.audit import Audit
from sensord.sharing.store import Store

__all__ = ["Control"]


@dataclass(frozen=True, slots=True)
class Control:
    """The parts, built in order."""

    bus: Bus
    sets: Calls
    """What can be set, by topic."""
    calls: Calls
    """What can be called, by name."""
    leases: Leases
    dispatch: Dispatch
    services: Services
    forgetting: Forgetting

    @classmethod
    def build(
        cls,
        bus: Bus,
        audit: Audit,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        options: Options,
        *,
        grace_s: float,
        is_there: Callable[[str], bool],
    ) -> Self:
        """Build them; ``is_there`` tells whether a client is there or away, and not gone."""
        sets, calls = Calls(), Calls()
        leases = Leases(
            bus,
            audit,
            store,
            loop,
            longest_s=options.longest_lease,
            grace_s=grace_s,
            is_there=is_there,
        )
        keys = Keys(store, options.remember)
        dispatch = Dispatch(sets, calls, leases, keys, audit, bus, loop)
        services = Services(calls, leases, audit, bus, loop)
        forgetting = Forgetting(bus, audit, store)
        return cls(bus, sets, calls, leases, dispatch, services, forgetting)

    def add(self, commands: Commands) -> None:
        """Offer a device's declared commands to clients, and publish what they are."""
        if not commands.commands:
            return
        settable: dict[str, Value] = {}
        callable_: dict[str, Value] = {}
        self.leases.declare(commands.device)
        for command, target in commands.targets():
            (self.sets if command.is_set else self.calls).register(command.name, target)
            self.leases.declare(command.name, within=commands.device)
            arguments = {name: _json_of(one) for name, one in command.arguments.items()}
            facts: dict[str, Value] = {"timeout": command.timeout_s}
            if command.description:
                facts["description"] = command.description
            if command.is_set:
                settable[command.name] = {**arguments["value"], **facts}
            else:
                callable_[command.name] = {"args": {**arguments}, **facts}
        metadata = Metadata(ValueType.JSON, description="what clients may set and call")
        channel = self.bus.channel(f"$sys/control/{commands.device}", metadata)
        value: Value = {"set": settable, "call": callable_}
        self.bus.publish(channel, Reading(self.bus.now_us(), value))

    def remove(self, commands: Commands) -> None:
        """Withdraw a device's commands from clients."""
        for command, _ in commands.targets():
            (self.sets if command.is_set else self.calls).unregister(command.name)
        self.leases.withdraw(commands.device)
        channel = self.bus.find(f"$sys/control/{commands.device}")
        if channel is not None:
            value: Value = {"set": {}, "call": {}}
            self.bus.publish(channel, Reading(self.bus.now_us(), value))
            self.bus.forget(channel.topic)

    def begin(self, committed: Position | None = None) -> None:
        """Continue what was promised before the start; everything is declared.

        ``committed`` is where the log ended on the disk, if it goes on from there.
        """
        self.forgetting.begin()
        self.leases.begin()
        self.dispatch.begin(committed)
        self.services.begin()

    def join(self) -> None:
        """Load the store's rows that came late."""
        self.forgetting.begin(is_late=True)
        self.leases.begin()
        self.dispatch.begin(None)

    def close(self) -> None:
        """End what is under way and stop all timers; leases and keys stay in the store."""
        # Each is done whatever the others raise, the last one first.
        with ExitStack() as steps:
            steps.callback(self.services.close)
            steps.callback(self.leases.close)
            steps.callback(self.dispatch.close)


def _json_of(argument: Argument) -> dict[str, Value]:
    facts: dict[str, Value] = {"type": argument.type.value}
    if argument.unit:
        facts["unit"] = argument.unit
    if argument.range:
        facts["range"] = [*argument.range]
    if argument.choices:
        facts["choices"] = [*argument.choices]
    if argument.default is not None:
        facts["default"] = argument.default
    return facts
