"""The application: builds every part, joins them, and stops them in order.

The only place that does. Stopping is a written order with a deadline for each step, and each step
runs whatever became of the ones before: refuse new monitors, stop the readers, send what is
pending, close the sessions with "going away", commit and close the journal.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvloop

from sensord.app.fleet import Fleet
from sensord.app.reload import Read, Reload
from sensord.app.stop_order import StopError, StopOrder, stuck_threads
from sensord.bus import Bus
from sensord.config.tree import Config
from sensord.control import Control
from sensord.control.alarms import Alarms
from sensord.device import derivations
from sensord.device.derivations import Derivations
from sensord.errors import JournalBusyError, StartError
from sensord.host.abort import Abort
from sensord.host.activation import passed_sockets
from sensord.host.systemd import Notifier
from sensord.host.tuning import tune
from sensord.log import Archive, JournalArchive, Log
from sensord.log.journal import Recovery
from sensord.log.recorder import Recorder
from sensord.model.clocks import Clock, SystemClock
from sensord.model.readings import Metadata, Position, Reading, Value, ValueType
from sensord.server.addresses import Addresses
from sensord.server.doors import certificates_of, gate_of, limits_of, origins_of
from sensord.server.listener import Server
from sensord.server.shared import control_for
from sensord.sharing.allowance import Bounds
from sensord.sharing.publications import standing
from sensord.sharing.sharing import Sharing
from sensord.sharing.store import Store, StoreError
from sensord.status.clock import ClockStatus, Machine, watch_clock
from sensord.status.journal import folder_of, open_archive, open_log, record, restore_last
from sensord.uplinks.uplinks import Uplinks

__all__ = ["App", "run"]

log = logging.getLogger("sensord.app")

READERS_STOP_S = 1.0
SESSIONS_STOP_S = 0.7
"""Together well under two seconds, so that no one needs to wait, or to kill."""
SPARE_DESCRIPTORS, PER_DEVICE = 16, 3
"""What journal, store and recordings that are read need open at once, and a device: its line, and
the line that is being opened again."""
DISK_STOP_S = 6.0
"""What is at the disk has a deadline of 5 s of its own; this one is for when that fails."""


NO_STORE = "the journal, beside which it is kept, is not there yet"
"""Why nothing that clients share can be kept."""


@dataclass(frozen=True, slots=True)
class _Running:
    """What has to be stopped."""

    tasks: Sequence[asyncio.Task[None]]
    fleet: Fleet
    links: Uplinks
    control: Control
    alarms: Alarms
    derived: Derivations
    server: Server
    archive: JournalArchive | None
    recorder: Recorder | None
    log: Log


class App:
    """The daemon."""

    def __init__(
        self,
        config: Config,
        notifier: Notifier,
        *,
        clock: Clock | None = None,
        is_each_address_needed: bool = False,
        read: Read | None = None,
        aborted: str = "",
    ) -> None:
        """``is_each_address_needed`` ends the start if one is missing: an operator waits at it.

        ``read`` reads the configuration again, for a reload; ``aborted`` is the stack in which the
        run before was aborted.
        """
        self._aborted = aborted
        self._read = read
        self.config = config
        self._is_each_address_needed = is_each_address_needed
        self._notifier = notifier
        self._clock = clock or SystemClock()
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None

    async def run(self, on_ready: Callable[[list[str]], None] | None = None) -> None:
        """Run until stopped; ``on_ready`` is called with the addresses once it listens.

        Raises:
            StartError: It cannot start.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._surprised)
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.stop)
        addresses = Addresses(
            self.config.server.listen,
            self.config.server.outbox,
            () if self.config.server.tls is None else self.config.server.tls.listen,
            passed_sockets(os.environ),
        )
        await addresses.reserve(is_each_needed=self._is_each_address_needed)
        try:
            await self._run(loop, addresses, on_ready)
        finally:
            addresses.close()

    async def _run(
        self,
        loop: asyncio.AbstractEventLoop,
        addresses: Addresses,
        on_ready: Callable[[list[str]], None] | None,
    ) -> None:
        certificates = certificates_of(self.config.server)
        bus_log, recorder, recovery = await self._open_log()
        bus = Bus(bus_log, self._clock)
        archive = open_archive(recorder, recovery, bus, loop)
        clock_status = self._own_status(bus)
        await self._restore_last(bus, archive)
        store = self._store(loop, recovery)
        sharing = Sharing.build(bus, store, loop, self.config.clients, self._bounds())
        control = control_for(bus, sharing, loop, self.config.control)
        server = self._server(bus, loop, archive, sharing, control)
        fleet = Fleet(
            bus,
            control,
            server.shared.lenses,
            loop,
            self._clock,
            clock_status,
            most_commands=self.config.control.queue,
        )
        for device in self.config.devices:
            fleet.add(device)
        derived = self._derived(bus, loop, store)
        control.forgetting.feeders.append(derived)
        control.begin(None if recovery is None else Position(recovery.epoch, recovery.end))
        links = Uplinks(bus, archive, store, control)
        for uplink in self.config.uplinks:
            links.add(uplink)
        server.certificates = certificates
        alarms = Alarms(self.config.alarms, bus, store, sharing.audit, loop, self._clock)
        alarms.begin(control.services)
        derived.begin()
        store.on_late = partial(_join, store, sharing, control, derived, links, alarms)
        await server.serve(addresses)
        if self.config.server.socket:
            await server.serve_locally(self.config.server.socket, self.config.server.group)
        async with asyncio.TaskGroup() as group:
            begin = partial(self._begin, group)
            fleet.start([device.name for device in self.config.devices], begin)
            tasks: list[asyncio.Task[None]] = []
            tasks.append(self._begin(group, "watchdog", self._watch()))
            recording = record(recorder, archive, bus, self._clock, server.renew, store.open_late)
            tasks.append(self._begin(group, "recorder", recording))
            tasks.append(self._begin(group, "clock", watch_clock(clock_status)))
            tasks.append(self._begin(group, "addresses", server.keep_listening()))
            links.start([uplink.name for uplink in self.config.uplinks], begin)
            _calm_collector()
            self._notifier.ready()
            if self._read is not None:
                reload = Reload(
                    self.config,
                    self._read,
                    bus,
                    fleet,
                    links,
                    alarms,
                    derived,
                    control.services,
                    certificates,
                    self._notifier,
                    partial(self._begin_beside, tasks, group),
                )
                reload.begin()
                loop.add_signal_handler(signal.SIGHUP, reload.ask)
            log.info("ready", extra={"devices": len(fleet)})
            if on_ready is not None:
                on_ready(server.addresses)
            await self._stop.wait()
            running = _Running(
                tasks, fleet, links, control, alarms, derived, server, archive, recorder, bus_log
            )
            await self._stop_in_order(running)
        log.info("stopped", extra={"offset": bus_log.tail})
        if self._failure is not None:
            raise self._failure

    async def _stop_in_order(self, running: _Running) -> None:
        """Run every step, even if an earlier one failed; the first failure ends in an error."""
        # Its default would cut the stop.
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _ignore)
        with StopOrder() as order:
            order.step("service manager", self._notifier.stopping)
            order.step("listeners", running.server.refuse)
            tasks = [*running.tasks, *running.fleet.tasks(), *running.links.tasks()]
            for task in tasks:
                task.cancel()
            _, stuck = await asyncio.wait(tasks, timeout=READERS_STOP_S)
            for device in running.fleet:
                order.step(f"device {device.name}", device.close)
            order.step("derived channels", running.derived.close)
            order.step("alarms", running.alarms.close)
            order.step("commands", running.control.close)  # outcomes are in the journal too
            # What is served to the last is recorded too: no offset that was seen is given again.
            server, recorder = running.server, running.recorder
            await order.wait("sessions", lambda: server.close(SESSIONS_STOP_S), DISK_STOP_S)
            if running.archive is not None:
                await order.wait("archive", running.archive.close, DISK_STOP_S)
            if recorder is not None:
                await order.wait("journal", lambda: recorder.close(running.log), DISK_STOP_S)
        if order.failed and self._failure is None:
            self._failure = StopError(order.failed)
        if order.is_broken:
            self._cut_off(order.failed)
        names = [*(task.get_name() for task in stuck), *stuck_threads("journal-")]
        if names:
            self._cut_off(names)

    def _begin(
        self, group: asyncio.TaskGroup, name: str, work: Coroutine[None, None, None]
    ) -> asyncio.Task[None]:
        """Begin a task; what it raises stops the daemon in order, where the group would cut it."""

        async def carried() -> None:
            try:
                await work
            except Exception as exc:  # noqa: BLE001  # carried to the loop's handler
                context = {"message": f"the task {name} failed", "exception": exc}
                self._surprised(asyncio.get_running_loop(), context)

        return group.create_task(carried(), name=name)

    def _begin_beside(
        self,
        tasks: list[asyncio.Task[None]],
        group: asyncio.TaskGroup,
        name: str,
        work: Coroutine[None, None, None],
    ) -> asyncio.Task[None]:
        """Begin a task that may come to its end before the stop, which cancels it."""
        task = self._begin(group, name, work)
        tasks[:] = [*(one for one in tasks if not one.done()), task]
        return task

    async def _open_log(self) -> tuple[Log, Recorder | None, Recovery | None]:
        try:
            return await open_log(self.config.journal, self.config.log.ring, self._clock)
        except JournalBusyError as exc:
            raise StartError(f"{exc}; give this daemon a journal.folder of its own") from exc

    def _server(
        self,
        bus: Bus,
        loop: asyncio.AbstractEventLoop,
        archive: Archive | None,
        sharing: Sharing,
        control: Control,
    ) -> Server:
        doors = self.config.server
        limits = limits_of(doors, SPARE_DESCRIPTORS + PER_DEVICE * len(self.config.devices))
        origins, gate = origins_of(doors), gate_of(doors)
        return Server(bus, loop, limits, archive, sharing, control, origins, gate)

    def _own_status(self, bus: Bus) -> ClockStatus:
        """Look at the clock before anything is stamped by it; then report an abort."""
        status = ClockStatus(bus, self._clock, Machine.present())
        status.look()
        self._report_abort(bus)
        return status

    async def _restore_last(self, bus: Bus, archive: JournalArchive | None) -> None:
        names = [device.name for device in self.config.devices]
        written = standing(bus, self.config.clients.topics)
        await restore_last(bus, archive, names, written, self._clock)

    def _store(self, loop: asyncio.AbstractEventLoop, recovery: Recovery | None) -> Store:
        """Open the store next to the journal.

        If the journal is not open, its folder may still change: then the store is opened with the
        journal.
        """
        folder = None
        if self.config.journal.enabled:
            folder = folder_of(self.config.journal, os.environ, is_root=os.geteuid() == 0)
        store = Store(folder, loop, refusal=NO_STORE if folder and recovery is None else "")
        store.open(is_expected=recovery is not None and not recovery.is_new)
        return store

    def stop(self) -> None:
        """Begin to stop."""
        self._stop.set()

    def _bounds(self) -> Bounds:
        journal = self.config.journal
        percent = self.config.clients.journal_share
        return Bounds.of_share(percent, journal.max_bytes, journal.max_age)

    def _derived(self, bus: Bus, loop: asyncio.AbstractEventLoop, store: Store) -> Derivations:
        """Build the derived channels."""

        def keep(topic: str, value: Value) -> None:
            try:
                store.put(derivations.KIND, topic, value)
            except StoreError as exc:
                log.error("a total is not kept", extra={"topic": topic, "reason": str(exc)})

        kept = store.load(derivations.KIND)
        return Derivations(self.config.derived, bus, loop, kept, keep)

    def _report_abort(self, bus: Bus) -> None:
        """Report that the run before did not answer the watchdog, and what it did instead."""
        if not self._aborted:
            return
        log.error("the run before was aborted", extra={"stack": self._aborted})
        metadata = Metadata(ValueType.JSON, description="why the run before was aborted")
        value: Value = {"stack": self._aborted}
        bus.publish(bus.channel("$sys/aborted", metadata), Reading(bus.now_us(), value))

    async def _watch(self) -> None:
        """Report to the service manager that the loop still turns."""
        interval_s = self._notifier.watchdog_interval_s
        while interval_s is not None:
            self._notifier.watchdog()
            await asyncio.sleep(interval_s)

    def _cut_off(self, names: list[str]) -> None:
        """End the process although something hangs: the rest is done."""
        log.error("not all has stopped, cut off", extra={"hanging": " ".join(sorted(names))})
        logging.shutdown()
        os._exit(0 if self._failure is None else 1)

    def _surprised(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Stop on an uncaught error: an unknown state must not continue serving."""
        exception = context.get("exception")
        if exception is None:
            loop.default_exception_handler(context)
            return
        log.error(context["message"], exc_info=exception)
        self._failure = self._failure or exception
        self.stop()


def run(
    config: Config,
    notifier: Notifier,
    on_ready: Callable[[list[str]], None] | None = None,
    read: Read | None = None,
) -> None:
    """Run the daemon until a signal stops it; ``read`` reads the configuration again.

    Raises:
        StartError: It cannot start.
    """
    tune()
    aborted = Abort(os.environ).watch()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(config, notifier, on_ready, read, aborted))


async def _run(
    config: Config,
    notifier: Notifier,
    on_ready: Callable[[list[str]], None] | None,
    read: Read | None,
    aborted: str,
) -> None:
    await App(config, notifier, read=read, aborted=aborted).run(on_ready)


def _ignore() -> None:
    """Reload nothing any more."""


def _join(
    store: Store,
    sharing: Sharing,
    control: Control,
    derived: Derivations,
    links: Uplinks,
    alarms: Alarms,
) -> None:
    """Load the store's rows that came late; presence comes first, because the others use it."""
    sharing.join()
    control.join()
    derived.join(store.load(derivations.KIND))
    links.join()
    alarms.join()


def _calm_collector() -> None:
    """Run the garbage collector rarely, and not on what was made at the start.

    Records hold no cycles, but the ring keeps some 100,000 tuples that each full collection would
    walk: measured at 10,000 readings a second, a tenth of all CPU and pauses of 10 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
