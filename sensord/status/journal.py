"""Recording: the journal as the rest of the daemon sees it.

Opens the journal at start, returns where the log continues and the last reading of each device, and
reports its state under ``$sys/journal``. Streaming works without a usable journal.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from sensord.bus import Bus
from sensord.errors import JournalBusyError, JournalError
from sensord.log import JournalArchive, Log
from sensord.log.journal import (
    MEASURED_US,
    Described,
    Options,
    Recovery,
    Statistics,
    WearMeter,
    first_offset,
)
from sensord.log.recorder import Recorder
from sensord.model.clocks import Clock
from sensord.model.readings import (
    Channel,
    Level,
    Metadata,
    Quality,
    Reading,
    Reason,
    Record,
    Value,
    ValueType,
)
from sensord.model.topics import POSITIONS

__all__ = ["JournalStatus", "folder_of", "open_archive", "open_log", "record", "restore_last"]

log = logging.getLogger("sensord.journal")

RESTORE_S = 0.2
"""The start waits for it: readings further back than can be read meanwhile are not restored.

Chunks that hold none of the readings looked for cost nothing: millions of readings are passed."""

STRAYS_NAMED = 16

STATUS_US = 60 * 1_000_000
"""The status is itself recorded, so it is published rarely, unless something changes."""


def folder_of(options: Options, environment: Mapping[str, str], *, is_root: bool) -> Path:
    """Return the journal's folder: the configured one, else the default for state."""
    if options.folder:
        return Path(options.folder)
    if state := environment.get("STATE_DIRECTORY"):  # set by systemd for StateDirectory=
        return Path(state.partition(":")[0]) / "journal"
    if is_root:
        return Path("/var/lib/sensord/journal")
    home = environment.get("XDG_STATE_HOME") or f"{environment.get('HOME', '.')}/.local/state"
    return Path(home) / "sensord" / "journal"


async def open_log(
    options: Options, ring: int, clock: Clock
) -> tuple[Log, Recorder | None, Recovery | None]:
    """Open the journal and return the log that continues where it ended.

    Without a recovery the journal could not be opened: the log is in memory only, and `record`
    tries again. Without a recorder, none is wanted.

    Raises:
        JournalBusyError: Another process writes it.
    """
    if options.enabled:
        folder = folder_of(options, os.environ, is_root=os.geteuid() == 0)
        recorder = Recorder(replace(options, folder=str(folder)), clock)
        try:
            recovery = await recorder.open()
        except JournalBusyError:
            # Not for the disk to heal: started as it is, this daemon would never record.
            raise
        except JournalError as exc:
            log.error("not recording", extra={"reason": str(exc)})
            first = first_offset(clock.wall_us())
            return Log(secrets.token_hex(8), ring, first), recorder, None
        log.info("recording", extra={"folder": str(folder), "epoch": recovery.epoch})
        found = Log(recovery.epoch, ring, recovery.next_offset, recovery.epochs)
        found.timeline, found.last_us = recovery.timeline, recovery.last_us
        return found, recorder, recovery
    return Log(secrets.token_hex(8), ring), None, None


def open_archive(
    recorder: Recorder | None, recovery: Recovery | None, bus: Bus, loop: asyncio.AbstractEventLoop
) -> JournalArchive | None:
    """Return what reads the journal; empty as long as that is not open."""
    if recorder is None:
        return None
    archive = JournalArchive(bus.described, loop, recorder.ledger)
    if recovery is not None:
        _restore_channels(bus, recovery)
        archive.open(recorder.writer)
    return archive


def _restore_channels(bus: Bus, recovery: Recovery) -> None:
    """Make the bus know the channels of old readings, so that they can be read and selected."""
    # The newest of a topic's comes first, for that one has the topic.
    for topic, metadata in reversed(recovery.channels):
        bus.restore(topic, metadata)


async def restore_last(
    bus: Bus,
    archive: JournalArchive | None,
    devices: Collection[str],
    clients: Collection[Channel],
    clock: Clock,
) -> None:
    """Restore the last readings from before the start: of devices, and of channels clients wrote.

    They are restored, not published: they are not new. Those of devices are uncertain until each
    device has sent; for the others, their publisher knows what still holds.
    """
    if archive is None:
        return
    written = set(clients)
    wanted = [
        Described(channel.topic, channel.metadata)
        for channel in bus.select(["#", f"{POSITIONS}+"])
        if channel in written
        or (channel.metadata.device in devices and bus.find(channel.topic) is channel)
    ]
    if not wanted:
        return
    found = await archive.newest(wanted, RESTORE_S)
    for record in found:
        if record.channel in written:
            bus.remember(record._replace(reading=record.reading._replace(restates=True)))
        else:
            bus.remember(_from_before(record, clock.wall_us()))
    log.info("last values restored", extra={"channels": len(found), "of": len(wanted)})


def _from_before(record: Record, now_us: int) -> Record:
    """Return a state as uncertain, since it may have changed; an event stays as it happened.

    A bad or uncertain reading keeps its reason: that has not improved.
    """
    reading = record.reading
    if record.channel.is_event:
        return record
    if reading.quality.level is Level.GOOD:
        reading = reading._replace(quality=Quality(Level.UNCERTAIN, Reason.STALE))
    return record._replace(log_us=now_us, reading=reading._replace(restates=True))


async def record(
    recorder: Recorder | None,
    archive: JournalArchive | None,
    bus: Bus,
    clock: Clock,
    on_renewal: Callable[[], None],
    on_late: Callable[[], None],
) -> None:
    """Carry the log to the journal until cancelled, and publish its state.

    ``on_renewal`` is called when the log continues under another epoch, ``on_late`` when a journal
    that the start could not open has been opened.
    """
    status = JournalStatus(bus, clock, None if recorder is None else recorder.options)
    if recorder is None or archive is None:
        status.report(None)
        return

    def report() -> None:
        status.report(recorder.statistics())

    if recorder.is_open:
        report()
    else:
        epoch = bus.log.epoch
        recovery = await recorder.join(bus.log, report)
        log.info("recording", extra={"folder": recorder.options.folder, "epoch": bus.log.epoch})
        _restore_channels(bus, recovery)
        archive.open(recorder.writer)
        on_late()
        if bus.log.epoch != epoch:
            on_renewal()
    await recorder.run(bus.log, report, on_renewal)


class JournalStatus:
    """Publishes the journal's state under ``$sys/journal``."""

    def __init__(self, bus: Bus, clock: Clock, options: Options | None = None) -> None:
        self._bus = bus
        self._options = options
        self._clock = clock
        self._channel = bus.channel(
            "$sys/journal", Metadata(ValueType.JSON, description="how recording fares")
        )
        self._published_us = -STATUS_US
        self._published: tuple[str, str, int] = ("", "", 0)
        self._meter = WearMeter()

    def report(self, statistics: Statistics | None) -> None:
        """Publish it, if something changed or it was not published for a while."""
        state = "off" if statistics is None else statistics.state.value
        state_now = (
            state,
            *(("", 0) if statistics is None else (statistics.reason, statistics.damaged)),
        )
        now_us = self._clock.monotonic_us()
        if state_now == self._published and now_us - self._published_us < STATUS_US:
            return
        self._published, self._published_us = state_now, now_us
        value: dict[str, Value] = {"state": state}
        if statistics is not None:
            value |= {
                "reason": statistics.reason,
                "oldest_offset": statistics.oldest_offset,
                "committed_offset": statistics.committed_offset,
                "recorded": statistics.recorded,
                "dropped": statistics.dropped,
                "segments": statistics.segments,
                "used_bytes": statistics.used_bytes,
                "written_bytes": statistics.written_bytes,
                "damaged": statistics.damaged,
                "lost": statistics.lost,
            }
            if statistics.strays:
                value["strays"] = list[Value](statistics.strays[:STRAYS_NAMED])
            if self._options is not None:
                value["max_bytes"] = self._options.max_bytes
                value["max_age_s"] = int(self._options.max_age)
            value |= self._wear(statistics, now_us)
        self._bus.publish(self._channel, Reading(self._clock.wall_us(), value))

    def _wear(self, statistics: Statistics, now_us: int) -> dict[str, Value]:
        """Publish the daily wear, once it has been measured for long enough."""
        value: dict[str, Value] = {"measured_s": statistics.elapsed_us // 1_000_000}
        wear, per_day = self._meter.measure(statistics.disk, now_us)
        if wear is not None:
            value["disk_bytes"] = wear.size_bytes
        if statistics.elapsed_us >= MEASURED_US:
            value["written_per_day"] = int(statistics.written_per_day)
        if per_day is not None:
            value["disk_written_per_day"] = per_day
        return value
