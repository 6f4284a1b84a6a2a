"""The listener: accepts connections, counts sessions, and checks on those that fall silent.

One sweep a second checks all connections: which sent no hello in time, which must be pinged, which
have lagged for too long. One timer for all costs less than one for each, and a second is exact
enough for time-outs of ten and more.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import sensord
from sensord.access.gate import Gate, Origin
from sensord.access.guesses import LONGEST_S, Guesses
from sensord.access.origins import Origins
from sensord.access.rights import Rights
from sensord.bus import Bus
from sensord.config.addresses import is_loopback
from sensord.config.tree import Control as ControlOptions
from sensord.control import Control
from sensord.host.process import usage
from sensord.log import Archive
from sensord.model.readings import Channel, Kind, Metadata, Reading, Value, ValueType
from sensord.server import local_socket
from sensord.server.addresses import BACKLOG, Addresses, AddressStatus, written
from sensord.server.certificates import Certificates
from sensord.server.connection import Connection, Host
from sensord.server.http.entrance import Entrance
from sensord.server.http.forms import Events
from sensord.server.http.routes import Answer, Routes
from sensord.server.http.transfer import Places
from sensord.server.live.group import Groups
from sensord.server.log_pace import LogPace
from sensord.server.room import Room
from sensord.server.session import Session
from sensord.server.shared import Limits, Shared, control_for
from sensord.server.turns import Turns
from sensord.sharing.sharing import Sharing
from sensord.status.loop_lag import LoopLag
from sensord.status.metrics import Metric
from sensord.wire.frames import Codec

__all__ = ["Server", "Statistics"]

log = logging.getLogger("sensord.server")

SWEEP_S = 1.0

SERVING_S = 0.002
"""Requests that had to wait are served for so long in one turn of the loop."""

TLS_END_S = 1.0
"""How long a client may take to end its TLS session."""

RETRY_S = 2.0
"""How long a missing address waits for the next attempt to bind it."""

WARNINGS = {"lagging": "monitor lags", "costly": "monitor costs more than its share"}


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the server has done since it started."""

    connections: int
    sessions: int
    sessions_total: int
    lagging: int
    groups: int
    failures: int


class Server:
    """Everything that listens, and what its connections share."""

    def __init__(
        self,
        bus: Bus,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        archive: Archive | None = None,
        sharing: Sharing | None = None,
        control: Control | None = None,
        origins: Origins | None = None,
        gate: Gate | None = None,
    ) -> None:
        sharing = sharing or Sharing.quiet(bus, loop)
        control = control or control_for(bus, sharing, loop, ControlOptions())
        self.shared = Shared(
            bus, archive, Groups(bus, loop), loop, limits, sharing, control, gate or Gate()
        )
        self.shared.gate.refresh()
        self._guesses = Guesses()
        self._machines: Counter[str] = Counter()
        """Sessions of each other machine."""
        self.certificates: Certificates | None = None
        """Those of the listeners that encrypt."""
        self._local = ("", "")
        """The path of the Unix socket, and the group that may do everything over it."""
        self.serving = Turns(loop, SERVING_S)
        """Those whose requests wait to be served."""
        self.entrance = Entrance(self.shared.gate, origins or Origins(), bus.now_us)
        self.places = Places()
        """The pages that are being read."""
        self.uploads: set[Connection] = set()
        """Those that post."""
        self.events = Events(lambda: bus.log.epoch)
        """The form of streams."""
        self.within: dict[str, Server] = {}
        """Servers whose paths begin with a name of their own: gateways at a hub."""
        self._routes = Routes(bus, self._health, self._metrics)
        self._room = Room(bus, limits.unannounced)
        self._addresses = Addresses([], limits.outbox_bytes)
        self._address_status = AddressStatus(bus)
        self._listeners: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._sessions: dict[Session, Connection] = {}
        self._slots: list[int] = []  # given back, smallest first
        self._sessions_total = 0
        self._ends, self._crowds, self._fulls = LogPace(), LogPace(), LogPace()
        self._failures = 0
        self._lagging: dict[Session, Channel] = {}
        """Sessions whose topic reports that they lag or cost too much."""
        self._published_states: dict[Session, str] = {}
        self._sweeper: asyncio.Handle | None = None
        self._lag = LoopLag(loop)
        self._first_offset = bus.log.tail
        self._lost_total = 0  # readings named in gaps of sessions that are over
        self._is_stopping = False
        self._emptied = asyncio.Event()

    @property
    def addresses(self) -> list[str]:
        """Where it listens."""
        return self._addresses.listening

    async def listen(self, wanted: Sequence[str]) -> None:
        """Accept connections on all of these addresses.

        Raises:
            StartError: An address cannot be listened on.
        """
        addresses = Addresses(wanted, self.shared.limits.outbox_bytes)
        await addresses.reserve(is_each_needed=True)
        await self.serve(addresses)

    async def serve_locally(self, path: str, group: str) -> None:
        """Accept connections on a Unix socket.

        Raises:
            StartError: It cannot be made.
        """
        made = local_socket.bound(path)
        self._local = (path, group)
        loop = self.shared.loop
        self._listeners.append(await loop.create_unix_server(lambda: Connection(self), sock=made))
        log.info("listening", extra={"addresses": path})

    async def serve(self, addresses: Addresses) -> None:
        """Accept connections on those of the addresses that exist."""
        self._addresses = addresses
        self._lag.start()
        await self._accept()
        # Each that is missing needs a descriptor when it comes.
        spare = self.shared.limits.spare_descriptors + len(addresses.missing)
        self._room.measure(spare)

    async def keep_listening(self) -> None:
        """Bind the missing addresses when they come; return when none is missing."""
        while self._addresses.missing:
            await asyncio.sleep(RETRY_S)
            await self._addresses.bind()
            await self._accept()

    async def _accept(self) -> None:
        """Accept connections on what has been bound, and report what has not."""
        new = self._addresses.take_new()
        for bound in new:
            listener = await self.shared.loop.create_server(
                lambda: Connection(self), sock=bound, backlog=BACKLOG, **self._tls(bound)
            )
            self._listeners.append(listener)
        if new:
            names = " ".join(written(bound) for bound in new)
            log.info("listening", extra={"addresses": names})
        self._address_status.report(self.addresses, self._addresses.missing)

    def _tls(self, bound: socket.socket) -> dict[str, Any]:
        """Return the options of a listener that encrypts; none for the others."""
        if bound not in self._addresses.encrypted:
            return {}
        assert self.certificates is not None, "checked with the configuration"
        return {
            "ssl": self.certificates.context,
            "ssl_handshake_timeout": self.shared.limits.hello_timeout_s,
            "ssl_shutdown_timeout": TLS_END_S,
        }

    def refuse(self) -> None:
        """Accept no more connections."""
        if self._local[0] and not self._is_stopping:
            local_socket.unlinked(self._local[0])
        self._is_stopping = True
        for listener in self._listeners:
            listener.close()

    async def close(self, deadline_s: float) -> None:
        """Close all connections and wait until they are gone, or until the deadline."""
        self.refuse()
        # Each of these runs even if the others raise, the last one first.
        async with contextlib.AsyncExitStack() as steps:
            steps.callback(self.shared.sharing.close)
            steps.push_async_callback(self._emptied_within, deadline_s)
            for connection in tuple(self._connections):
                steps.callback(connection.close, 1001, "going away")
            steps.callback(self.shared.groups.flush)
            steps.callback(self.shared.control.close)
            steps.callback(self.shared.gate.write_uses, self.shared.bus.now_us(), is_last=True)

    async def _emptied_within(self, deadline_s: float) -> None:
        """Wait until all connections have ended; cut those that do not."""
        try:
            async with asyncio.timeout(deadline_s):
                while self._connections:
                    self._emptied.clear()
                    await self._emptied.wait()
        except TimeoutError:
            log.warning("sessions cut", extra={"count": len(self._connections)})
            for connection in tuple(self._connections):
                connection.abort()
        self._lag.stop()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def renew(self) -> None:
        """Make every monitor reconnect: the log continues under another epoch."""
        self.shared.groups.flush()
        for connection in tuple(self._connections):
            connection.close(4003, "the log goes on under another epoch; reconnect and resume")

    def statistics(self) -> Statistics:
        """Return what the server has done since it started."""
        return Statistics(
            connections=len(self._connections),
            sessions=len(self._sessions),
            sessions_total=self._sessions_total,
            lagging=len(self._lagging),
            groups=len(self.shared.groups),
            failures=self._failures,
        )

    def _health(self) -> dict[str, object]:
        bus_log, archive = self.shared.bus.log, self.shared.archive
        health: dict[str, object] = {"epoch": bus_log.epoch, "offset": bus_log.tail}
        health["sessions"] = len(self._sessions)
        if missing := self._addresses.missing:
            health["status"] = "incomplete"
            health["missing"] = {one.address: f"{one.error}: {one.reason}" for one in missing}
        if archive is not None:
            damaged, lost, _ = archive.ledger.losses()
            if damaged:
                health["status"] = "damaged"
            strays = len(archive.ledger.strays)
            health["journal"] = {"damaged": damaged, "lost": lost, "strays": strays}
        return health

    def _metrics(self) -> list[Metric]:
        statistics, bus_log, process = self.statistics(), self.shared.bus.log, usage()
        lost = self._lost_total + sum(session.lost.total() for session in self._sessions)
        readings = bus_log.tail - self._first_offset
        found: list[tuple[str, str, str, float | None]] = [
            ("sensord_readings_total", "counter", "Readings published since the start.", readings),
            ("sensord_log_offset", "gauge", "The offset of the next reading.", bus_log.tail),
            ("sensord_connections", "gauge", "Open connections.", statistics.connections),
            ("sensord_sessions", "gauge", "Connected monitors.", statistics.sessions),
            ("sensord_sessions_lagging", "gauge", "Lagging monitors.", statistics.lagging),
            ("sensord_sessions_total", "counter", "Sessions begun.", statistics.sessions_total),
            ("sensord_session_failures_total", "counter", "Bugs met.", statistics.failures),
            ("sensord_groups", "gauge", "Distinct live subscriptions.", statistics.groups),
            ("sensord_gap_readings_total", "counter", "Readings named in gaps.", lost),
            (
                "sensord_loop_lag_seconds",
                "gauge",
                "The greatest lateness of the event loop in the last 30 to 60 s.",
                self._lag.greatest_s,
            ),
            ("process_cpu_seconds_total", "counter", "Processor time used.", process.cpu_s),
            ("process_resident_memory_bytes", "gauge", "Memory in use.", process.resident_bytes),
            ("process_open_fds", "gauge", "Open descriptors.", process.descriptors),
            ("process_max_fds", "gauge", "Most open descriptors.", process.most_descriptors),
            ("process_start_time_seconds", "gauge", "Start, in Unix time.", process.started_s),
        ]
        info = {"version": sensord.__version__, "epoch": bus_log.epoch}
        return [
            Metric("sensord_info", "gauge", "Version, and epoch of the log.", [(info, 1.0)]),
            *(
                Metric(n, k, text, [({}, value)])
                for n, k, text, value in found
                if value is not None
            ),
        ]

    # -- called by connections ---------------------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        """Add a connection."""
        self._connections.add(connection)
        if self._is_stopping:
            connection.abort()
        elif self._sweeper is None:
            self._sweeper = self.shared.loop.call_later(SWEEP_S, self._sweep)
        self._room.enter(connection)

    def opened(self, connection: Connection, codec: Codec) -> Session | None:
        """Make a session, or None if there are too many."""
        if len(self._sessions) >= self.shared.limits.sessions:
            fields = {"address": connection.address}
            self._paced(self._fulls, logging.WARNING, "too many sessions", fields)
            return None
        if not self._has_room_from(connection):
            fields = {"address": connection.address}
            self._paced(self._crowds, logging.WARNING, "too many sessions of one machine", fields)
            return None
        # Slots are reused: each one is a topic under $sys/sessions, and topics are never removed.
        slot = heapq.heappop(self._slots) if self._slots else len(self._sessions) + 1
        self._sessions_total += 1
        name = str(self._sessions_total)
        session = Session(name, slot, connection.address, codec, connection, self.shared)
        self._sessions[session] = connection
        return session

    def _has_room_from(self, connection: Connection) -> bool:
        """Count a session by the machine that it comes from; one proxy here may serve all users."""
        if connection.origin is not Origin.NETWORK:
            return True
        machine = connection.address.rpartition(":")[0]
        if self._machines[machine] >= self.shared.limits.sessions_of_address:
            return False
        self._machines[machine] += 1
        return True

    def ended(self, session: Session) -> None:
        """End a session."""
        machine = session.address.rpartition(":")[0]
        if machine in self._machines:
            self._machines[machine] -= 1
            if not self._machines[machine]:
                del self._machines[machine]
        session.ended()
        self._lost_total += session.lost.total()
        del self._sessions[session]
        heapq.heappush(self._slots, session.slot)
        if session in self._lagging:
            self._publish_lag(session, "ended")
            del self._lagging[session], self._published_states[session]
        if session.client or session.lost:
            fields = {**_identity(session), "lost": session.lost.total()}
            self._paced(self._ends, logging.INFO, "session ended", fields)

    def _paced(self, pace: LogPace, level: int, text: str, fields: Mapping[str, object]) -> None:
        """Log a line that clients cause, unless there are too many of them."""
        left_out = pace.next(self.shared.loop.time())
        if left_out is not None:
            log.log(level, text, extra={**fields, **({"left_out": left_out} if left_out else {})})

    def failed(self) -> None:
        """Count an internal fault."""
        self._failures += 1

    def disconnected(self, connection: Connection) -> None:
        """Remove a connection that has ended."""
        self._connections.discard(connection)
        self._room.leave(connection)
        if not self._connections:
            self._emptied.set()

    def host_of(self, path: str) -> tuple[Host, str] | None:
        """Return the server whose paths begin as this one does, and the rest of it; or None."""
        if not self.within:
            return None
        path, mark, query = path.partition("?")
        name, slash, rest = path.removeprefix("/").partition("/")
        found = self.within.get(unquote(name))
        return None if found is None else (found, f"{slash}{rest}{mark}{query}")

    def http(self, path: str, rights: Rights) -> Answer:
        """Answer a plain HTTP request."""
        return self._routes.get(path, rights)

    def origin_of(self, transport: asyncio.Transport) -> Origin:
        """Return where a connection comes from."""
        found = transport.get_extra_info("socket")
        if found is not None and found.family == socket.AF_UNIX:
            is_owner = local_socket.is_owner(found.fileno(), self._local[1])
            return Origin.OWNER if is_owner else Origin.LOOPBACK
        peer = transport.get_extra_info("peername")
        return Origin.LOOPBACK if peer and is_loopback(peer[0]) else Origin.NETWORK

    def denied(self, address: str) -> float:
        """Count a wrong token; return how long its answer waits."""
        wait_s = self._guesses.failed(address.rpartition(":")[0], self.shared.loop.time())
        if wait_s < LONGEST_S:  # so a program with an old token fills no log
            log.warning("not let in", extra={"address": address, "wait_s": wait_s})
        return wait_s

    def let_in(self, address: str) -> None:
        """Forget the wrong tokens from an address."""
        self._guesses.succeeded(address.rpartition(":")[0])

    # -- looking after them ------------------------------------------------------------------------

    def _sweep(self) -> None:
        self._sweeper = None
        now, limits = self.shared.loop.time(), self.shared.limits
        self._end_those_without_right()
        for connection in tuple(self._connections):
            session = connection.session
            if connection.is_answering:
                continue  # it has a deadline of its own
            if connection.is_congested:
                if now - connection.clogged_at > limits.lag_timeout_s:
                    self._close_lagging(connection)
                continue
            if session is None or not session.is_ready:
                if now - connection.made_at > limits.hello_timeout_s:
                    connection.close(4202, "no hello in time")
            elif connection.pinged_at is not None:
                if now - connection.pinged_at > limits.silence_s:
                    connection.close(4001, "no answer to a ping")
            elif now - connection.heard_at > limits.silence_s:
                connection.ping()
        self._publish_lags()
        is_short = self._room.sweep()
        if self._connections or is_short:
            self._sweeper = self.shared.loop.call_later(SWEEP_S, self._sweep)

    def _end_those_without_right(self) -> None:
        """Close the sessions whose tokens were revoked, have expired or have other rights now."""
        gate, now_us = self.shared.gate, self.shared.bus.now_us()
        gate.refresh()
        for session, connection in tuple(self._sessions.items()):
            why = gate.ended(session.entry, now_us)
            if why is not None:
                log.info("session must end", extra=_identity(session) | {"reason": why})
                connection.close(4004 if "changed" in why else 4203, why)
        gate.write_uses(now_us)

    def _close_lagging(self, connection: Connection) -> None:
        if connection.session is not None:
            log.warning("monitor too slow, closed", extra=_identity(connection.session))
        connection.close(4002, "lagged for too long; reconnect and resume")

    def _publish_lags(self) -> None:
        """Name under $sys/sessions who lags or costs too much: at most once a sweep."""
        held = self.shared.groups.held_clients
        for session, connection in tuple(self._sessions.items()):
            state = "live"
            if connection.is_congested:
                state = "lagging"
            elif session in held:
                state = "costly"
            if state != self._published_states.get(session, "live"):
                if state != "live":
                    log.warning(WARNINGS[state], extra=_identity(session))
                self._published_states[session] = state
                self._publish_lag(session, state)
                if state == "live":
                    del self._lagging[session], self._published_states[session]

    def _publish_lag(self, session: Session, state: str) -> None:
        bus = self.shared.bus
        channel = self._lagging.get(session)
        if channel is None:
            metadata = Metadata(
                ValueType.JSON,
                kind=Kind.STATE,
                description="a monitor that lags or costs too much, or did",
            )
            channel = bus.channel(f"$sys/sessions/{session.slot}", metadata)
            self._lagging[session] = channel
        value: Value = {**_identity(session), "state": state, "lost": {**session.lost}}
        bus.publish(channel, Reading(bus.now_us(), value))


def _identity(session: Session) -> dict[str, str]:
    return {"session": session.name, "client": session.client, "address": session.address}
