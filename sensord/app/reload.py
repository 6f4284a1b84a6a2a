"""Reload the configuration: what changed restarts, everything else continues.

The new configuration is checked whole; one with a fault changes nothing. Subscribers stay,
unchanged devices and uplinks are not touched, and the log continues. Settings that only a start
reads are reported, and keep their old values.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from sensord.app.fleet import Begin, Fleet
from sensord.bus import Bus
from sensord.config.difference import Difference, difference
from sensord.config.tree import Config
from sensord.control.alarms import Alarms
from sensord.control.services import Offer, Services
from sensord.device.calls import Call
from sensord.device.derivations import Derivations
from sensord.errors import ConfigError, SensordError
from sensord.host.systemd import Notifier
from sensord.model.readings import Metadata, Reading, Value, ValueType
from sensord.readers.blocking import in_thread
from sensord.server.certificates import Certificates
from sensord.sharing.identity import Identity
from sensord.uplinks.uplinks import Uplinks

__all__ = ["SERVICE", "TOPIC", "Reload"]

log = logging.getLogger("sensord.app")

SERVICE = "reload"
"""The service by which clients have the configuration reloaded."""

TOPIC = "$sys/configuration"

TIMEOUT_S = 30.0
MOST_FAULTS = 5

READ_S = 10.0
"""How long a hanging disk may delay other reloads."""

T = TypeVar("T")

Read = Callable[[], Config]
"""Reads and checks the file; raises `ConfigError`."""


class Reload:
    """The parts that a reload changes."""

    def __init__(
        self,
        config: Config,
        read: Read,
        bus: Bus,
        fleet: Fleet,
        links: Uplinks,
        alarms: Alarms,
        derived: Derivations,
        services: Services,
        certificates: Certificates | None,
        notifier: Notifier,
        begin: Begin,
    ) -> None:
        self._config = config
        self._read = read
        self._bus = bus
        self._fleet = fleet
        self._links = links
        self._alarms = alarms
        self._derived = derived
        self._services = services
        self._certificates = certificates
        self._notifier = notifier
        self._begin = begin
        self._turn = asyncio.Lock()
        self._count = 0
        metadata = Metadata(ValueType.JSON, description="the configuration in use")
        self._channel = bus.channel(TOPIC, metadata)

    def begin(self) -> None:
        """Offer the service, and publish what is in use."""
        text = "reload the configuration; returns what changed, and what needs a restart"
        who = Identity("sensord", "sensord")
        self._services.offer(Offer(SERVICE, who, text, TIMEOUT_S, self._ask, lambda: None))
        self._publish({}, "")

    def ask(self) -> None:
        """Reload, for a signal: faults go to the log and to `TOPIC`."""
        self._begin("reload", self._logged())

    def _ask(self, _number: int, call: Call) -> None:
        call.acting()
        self._begin("reload", self._answer(call))

    async def _logged(self) -> None:
        with contextlib.suppress(SensordError):  # it is in the log
            await self.reload()

    async def _answer(self, call: Call) -> None:
        try:
            changed = await self.reload()
        except SensordError as exc:
            call.failed("refused", _text(exc), may_have_acted=False)
        else:
            call.done(changed.to_value())

    async def reload(self) -> Difference:
        """Read the file and apply what changed; return it.

        Raises:
            SensordError: The new configuration or certificate is faulty; nothing has changed.
        """
        async with self._turn:
            self._notifier.reloading()
            try:
                new = await _in_time(self._read)
                if self._certificates is not None:
                    await _in_time(self._certificates.load)
            except SensordError as exc:
                log.error("not reloaded", extra={"reason": _text(exc)})
                self._publish({}, _text(exc))
                raise
            finally:
                self._notifier.ready()
            for warning in new.warnings:
                found = {"at": warning.place, "reason": warning.message}
                log.warning("doubtful configuration", extra=found)
            changed = difference(self._config, new)
            await self._apply(changed, new)
            value = changed.to_value()
            log.info("reloaded", extra={key: str(one) for key, one in value.items()})
            self._publish(value, "")
            return changed

    async def _apply(self, changed: Difference, new: Config) -> None:
        devices, uplinks = changed.devices, changed.uplinks
        await self._links.end(uplinks.ended)
        await self._fleet.end(devices.ended, removed=devices.removed)
        if changed.derived:
            self._derived.change(new.derived)
        if changed.alarms:
            self._alarms.change(new.alarms, self._services)
        for config in new.devices:
            if config.name in devices.begun:
                self._fleet.add(config)
        self._fleet.start(devices.begun, self._begin)
        for uplink in new.uplinks:
            if uplink.name in uplinks.begun:
                self._links.add(uplink)
        self._links.start(uplinks.begun, self._begin)
        if changed.level is not None:
            logging.getLogger("sensord").setLevel(changed.level.upper())
        # What only a start reads stays as it is, and is named again by the next reload.
        kept: dict[str, Any] = {
            key: getattr(self._config, key)
            for key in ("server", "clients", "control", "log", "journal")
        }
        self._config = dataclasses.replace(new, **kept)

    def _publish(self, changed: dict[str, Any], error: str) -> None:
        now_us = self._bus.now_us()
        if not error:
            self._count += 1
        value: Value = {"reloads": self._count - 1, "changed": changed, "error": error}
        self._bus.publish(self._channel, Reading(now_us, value))


def _text(error: SensordError) -> str:
    if not isinstance(error, ConfigError):
        return str(error)
    faults = [str(fault) for fault in error.faults]
    more = len(faults) - MOST_FAULTS
    return "\n".join(faults[:MOST_FAULTS] + ([f"and {more} more"] if more > 0 else []))


async def _in_time(read: Callable[[], T]) -> T:
    """Read in a thread of its own; a disk that hangs holds up neither other reloads nor the stop.

    Raises:
        SensordError: It does not answer in time.
    """
    try:
        async with asyncio.timeout(READ_S):
            return await in_thread("reload", read)
    except TimeoutError as exc:
        raise SensordError(f"the disk did not answer within {READ_S:g} s") from exc
