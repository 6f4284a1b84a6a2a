"""HubApp: finds the gateways' streams, and serves each gateway under its name.

Stateless: everything is in the streams, so any number of hubs stand side by side. The hub's own
topics are ``$sys/gateways/<name>``: what it knows of each gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
from collections.abc import Callable

import nats.errors
import uvloop
from nats.aio.client import Client

from sensord.access.gate import GateWithin
from sensord.bus import Bus
from sensord.errors import StartError
from sensord.host.nats_servers import connection
from sensord.host.tuning import tune
from sensord.hub.gateway import Gateway
from sensord.hub.options import HubConfig
from sensord.hub.stream import Stream
from sensord.log import Log
from sensord.model.clocks import Clock, SystemClock
from sensord.model.readings import Channel, Metadata, Reading, ValueType
from sensord.server.addresses import Addresses
from sensord.server.doors import certificates_of, gate_of, limits_of, origins_of
from sensord.server.listener import Server

__all__ = ["HubApp", "run"]

log = logging.getLogger("sensord.hub")

LOOK_S = 2.0
"""How often new streams are looked for, and the state of gateways is published."""

RING = 4096
"""Of the hub's own topics."""

SPARE_DESCRIPTORS = 16

CONNECT_S = 5.0

STOP_S = 1.0
"""How long sessions have to end."""


class HubApp:
    """The hub."""

    def __init__(self, config: HubConfig, *, clock: Clock | None = None) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._stop = asyncio.Event()
        self._gateways: dict[str, Gateway] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._channels: dict[str, Channel] = {}
        self._bus = Bus(Log(secrets.token_hex(8), RING), self._clock)
        self._client = Client()
        self._is_lost = False

    async def run(self, on_ready: Callable[[list[str]], None] | None = None) -> None:
        """Serve until stopped; ``on_ready`` is called with the addresses once it listens.

        Raises:
            StartError: It cannot listen, or no NATS server can be reached.
        """
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.stop)
        doors = self._config.server
        server = Server(
            self._bus,
            loop,
            limits_of(doors, SPARE_DESCRIPTORS),
            origins=origins_of(doors),
            gate=gate_of(doors),
        )
        server.certificates = certificates_of(doors)
        addresses = Addresses(
            doors.listen, doors.outbox, () if doors.tls is None else doors.tls.listen
        )
        await addresses.reserve(is_each_needed=True)
        try:
            await self._connect()
            await self._look(server)
            await server.serve(addresses)
            if doors.socket:
                await server.serve_locally(doors.socket, doors.group)
            log.info("ready", extra={"gateways": len(self._gateways)})
            if on_ready is not None:
                on_ready(server.addresses)
            await self._keep(server)
        finally:
            addresses.close()
        log.info("stopped")

    def stop(self) -> None:
        """Begin to stop."""
        self._stop.set()

    async def _connect(self) -> None:
        async def lost() -> None:
            self._is_lost = True
            log.warning("the servers are lost")

        async def back() -> None:
            self._is_lost = False
            log.info("the servers are back")

        options = connection(self._config.hub) | {
            "name": "sensord hub",
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": 0.5,
            "disconnected_cb": lost,
            "reconnected_cb": back,
            "error_cb": _ignored,
        }
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._client.connect(**options)
        except (nats.errors.Error, OSError, TimeoutError) as exc:
            where = ", ".join(self._config.hub.servers)
            raise StartError(f"no NATS server can be reached at {where}: {exc}") from exc

    async def _keep(self, server: Server) -> None:
        """Look for gateways until it is stopped; then end everything in order."""
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._stop.wait()
            if not self._stop.is_set() and not self._is_lost:
                await self._look(server)
        server.refuse()
        for task in self._following.values():
            task.cancel()
        if self._following:
            await asyncio.wait(self._following.values())
        for gateway in self._gateways.values():
            await gateway.close(STOP_S)
        await server.close(STOP_S)
        with contextlib.suppress(nats.errors.Error):
            await self._client.close()

    # -- gateways ----------------------------------------------------------------------------------

    async def _look(self, server: Server) -> None:
        """Begin to follow streams that are new, and publish the state of each gateway."""
        try:
            infos = await self._client.jetstream().streams_info()
        except (nats.errors.Error, OSError, TimeoutError) as exc:
            log.warning("streams cannot be listed", extra={"reason": str(exc)})
            return
        for info in infos:
            stream = info.config.name or ""
            name = self._config.hub.gateway_of(stream)
            if name is not None and name not in self._gateways:
                self._begin(name, stream, server)
        for gateway in self._gateways.values():
            self._publish(gateway)

    def _begin(self, name: str, stream: str, server: Server) -> None:
        doors = self._config.server
        gateway = Gateway(
            name,
            Stream(self._client, stream),
            self._clock,
            self._config.hub.ring,
            limits_of(doors, SPARE_DESCRIPTORS),
            origins_of(doors),
            GateWithin(server.shared.gate, name),
        )

        def changed(gateway: Gateway) -> None:
            if gateway.server is None:
                server.within.pop(name, None)
            else:
                server.within[name] = gateway.server
            self._publish(gateway)

        gateway.on_change = changed
        self._gateways[name] = gateway
        log.info("gateway found", extra={"gateway": name, "stream": stream})
        self._following[name] = asyncio.create_task(self._follow(gateway), name=f"gateway:{name}")

    async def _follow(self, gateway: Gateway) -> None:
        """Follow a gateway; what nobody foresaw ends the hub, as it ends a daemon."""
        try:
            await gateway.run()
        except Exception:
            log.exception("a gateway cannot be followed", extra={"gateway": gateway.name})
            self.stop()
            raise

    def _publish(self, gateway: Gateway) -> None:
        channel = self._channels.get(gateway.name)
        if channel is None:
            metadata = Metadata(ValueType.JSON, description="a gateway, as the hub has it")
            channel = self._bus.channel(f"$sys/gateways/{gateway.name}", metadata)
            self._channels[gateway.name] = channel
        value = gateway.status()
        last = self._bus.last(channel)
        if last is None or last.reading.value != value:
            self._bus.publish(channel, Reading(self._bus.now_us(), value))


def run(config: HubConfig, on_ready: Callable[[list[str]], None] | None = None) -> None:
    """Run a hub until a signal stops it.

    Raises:
        StartError: It cannot start.
    """
    tune()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(config, on_ready))


async def _run(config: HubConfig, on_ready: Callable[[list[str]], None] | None) -> None:
    await HubApp(config).run(on_ready)


async def _ignored(_exc: Exception) -> None:
    """Report nothing: what matters is raised where it is waited for."""
