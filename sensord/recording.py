"""Recording: the journal as the rest of the daemon sees it.

Opens the journal at start and says where the log goes on; tells how it fares under
``$sys/journal``. A journal that cannot be used is no reason not to stream.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sensord.bus import Bus
from sensord.clock import Clock
from sensord.errors import JournalBusyError, JournalError
from sensord.log import Log
from sensord.log.journal import Options, Recovery, Statistics
from sensord.log.recorder import Recorder
from sensord.model import Metadata, Reading, Value, ValueType

__all__ = ["JournalStatus", "folder_of", "open_log", "restore_channels"]

log = logging.getLogger("sensord.journal")

MEASURED_US = 600 * 1_000_000

STATUS_US = 60 * 1_000_000
"""The status is itself recorded, so it is told seldom, unless something changes."""


def folder_of(options: Options, environment: Mapping[str, str], *, is_root: bool) -> Path:
    """Return where the journal is: where the configuration says, else where state belongs."""
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
    """Open the journal and return the log that goes on where it ended.

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
        else:
            log.info("recording", extra={"folder": str(folder), "epoch": recovery.epoch})
            return Log(recovery.epoch, ring, recovery.next_offset), recorder, recovery
    return Log(secrets.token_hex(8), ring), None, None


def restore_channels(bus: Bus, recovery: Recovery) -> None:
    """Make the bus know the channels of old readings, so that they can be read and selected."""
    for topic, metadata in recovery.channels:
        bus.channel(topic, metadata)


class JournalStatus:
    """Tells how the journal fares under ``$sys/journal``."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._channel = bus.channel(
            "$sys/journal", Metadata(ValueType.JSON, description="how recording fares")
        )
        self._told_us = -STATUS_US
        self._state = ""

    def tell(self, statistics: Statistics | None) -> None:
        """Tell it, if something changed or it was not told for a while."""
        state = "off" if statistics is None else statistics.state.value
        now_us = self._clock.monotonic_us()
        if state == self._state and now_us - self._told_us < STATUS_US:
            return
        self._state, self._told_us = state, now_us
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
            }
            # A shorter time says nothing about a day.
            if statistics.elapsed_us >= MEASURED_US:
                value["written_per_day"] = int(statistics.written_per_day)
        self._bus.publish(self._channel, Reading(self._clock.wall_us(), value))
