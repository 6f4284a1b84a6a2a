"""How far the clock can be trusted: under ``$sys/clock``, and as clock records of the log.

Readings carry wall time, so their readers need to know of a board that has no time yet, or whose
clock was set meanwhile. Timers are not affected: they use the monotonic clock.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from sensord.bus import Bus
from sensord.host.machine import (
    Judgement,
    boot_id,
    has_hardware_clock,
    is_synchronised,
    is_to_be_synchronised,
)
from sensord.log.journal.timeline import STEP_US, ClockRecord, Trust
from sensord.model.clocks import Clock
from sensord.model.readings import Metadata, Reading, Value, ValueType

__all__ = ["ClockStatus", "Machine", "watch_clock"]

log = logging.getLogger("sensord.clock")

LOOK_S = 2.0

RECORD_US = 3600 * 1_000_000
"""A record is written so often though nothing changes: a boot is known to have lasted until its
last one."""

MADE_US = 1_793_491_200_000_000
"""2026-11-01: before this version was made. A clock that shows an earlier time is wrong."""


@dataclass(frozen=True)
class Machine:
    """What is asked of the machine; tests answer themselves."""

    boot: str
    has_hardware_clock: bool
    is_synchronised: Callable[[], Judgement] = is_synchronised
    is_to_be_synchronised: Callable[[], bool] = is_to_be_synchronised

    @staticmethod
    def present() -> Machine:
        """Return the machine that this runs on."""
        return Machine(boot_id(), has_hardware_clock())


class ClockStatus:
    """Looks at the clock, and reports and records what changes."""

    def __init__(self, bus: Bus, clock: Clock, machine: Machine) -> None:
        self._bus = bus
        self._clock = clock
        self._machine = machine
        self._channel = bus.channel(
            "$sys/clock", Metadata(ValueType.JSON, description="whether the time can be trusted")
        )
        self._judgement: Judgement | None = None
        self._trust: Trust | None = None
        self._drift_us: int | None = None
        self._recorded_us = 0
        self._steps = 0
        self._step_us = 0
        self._best = Trust.UNSET
        """The trust that the clock has had in this boot, since the last step."""
        self._before_us = bus.log.last_us
        self._former = bus.log.timeline

    def is_set(self, monotonic_us: int, wall_us: int) -> bool:
        """Return whether a reading that comes now may be given the clock's time."""
        if self._trust is Trust.UNSET and self._steps_to(wall_us - monotonic_us):
            self.look()  # not a look later: what comes next has the new time
        return self._trust is not Trust.UNSET

    def look(self) -> None:
        """Look once."""
        monotonic_us, wall_us = self._clock.monotonic_us(), self._clock.wall_us()
        drift_us = wall_us - monotonic_us
        has_stepped = self._steps_to(drift_us)
        step_us = 0 if self._drift_us is None else drift_us - self._drift_us
        is_first = self._drift_us is None
        self._drift_us = drift_us
        if has_stepped:
            self._steps += 1
            self._step_us = step_us
            log.warning("the clock was set", extra={"step_s": round(step_us / 1e6, 3)})
        judgement = self._machine.is_synchronised()
        if is_first:
            self._best = self._of_this_boot(drift_us)
        trust = self._judge(judgement, wall_us, has_stepped=has_stepped)
        has_changed = has_stepped or judgement != self._judgement or trust is not self._trust
        if has_stepped or trust is not self._trust or monotonic_us - self._recorded_us >= RECORD_US:
            self._record(monotonic_us, wall_us, trust)
        if judgement != self._judgement:
            self._log(*judgement)
        self._judgement, self._trust = judgement, trust
        if has_changed:
            self._publish(wall_us)

    def _steps_to(self, drift_us: int) -> bool:
        return self._drift_us is not None and abs(drift_us - self._drift_us) > STEP_US

    def _of_this_boot(self, drift_us: int) -> Trust:
        """Return what an earlier daemon found about the same clock in the same boot."""
        last = self._former.records[-1] if self._former.records else None
        if last is None or last.boot != self._machine.boot:
            return Trust.UNSET
        return last.trust if abs(last.drift_us - drift_us) <= STEP_US else Trust.UNSET

    def _judge(self, judgement: Judgement, wall_us: int, *, has_stepped: bool) -> Trust:
        if judgement[0]:
            self._best = Trust.SYNCHRONISED
        elif has_stepped:
            # It was set, and to a plausible time.
            self._best = Trust.UNSET if wall_us < MADE_US else Trust.SET
        if self._best is Trust.UNSET and not self._is_wrong(judgement, wall_us):
            self._best = Trust.SET
        return self._best

    def _is_wrong(self, judgement: Judgement, wall_us: int) -> bool:
        if wall_us < MADE_US:
            return True
        if self._machine.has_hardware_clock:
            return False
        trusted_us = self._former.trusted_us
        if trusted_us is not None and wall_us < trusted_us:
            return True
        return judgement[0] is False and self._machine.is_to_be_synchronised()

    def _record(self, monotonic_us: int, wall_us: int, trust: Trust) -> None:
        log_, boot = self._bus.log, self._machine.boot
        records = log_.timeline.records
        is_new = not records or records[-1].boot != boot
        before_us = self._before_us if is_new else None
        record = ClockRecord(log_.tail, boot, monotonic_us, wall_us, trust, before_us)
        log_.timeline = log_.timeline.adding(record)
        self._recorded_us = monotonic_us

    def _publish(self, wall_us: int) -> None:
        assert self._judgement is not None
        assert self._trust is not None
        value: dict[str, Value] = {
            "synchronised": self._judgement[0],
            "source": self._judgement[1],
            "trust": self._trust.name.lower(),
            "steps": self._steps,
        }
        if self._steps:
            value["step_s"] = round(self._step_us / 1e6, 3)
        self._bus.publish(self._channel, Reading(wall_us, value))

    def _log(self, is_synchronised: bool | None, source: str) -> None:  # noqa: FBT001  # three values
        if is_synchronised is False:
            log.info("the clock is not synchronised", extra={"source": source})
        elif is_synchronised and self._judgement is not None:
            log.info("the clock is synchronised", extra={"source": source})


async def watch_clock(status: ClockStatus) -> None:
    """Look at the clock until cancelled."""
    while True:
        status.look()
        await asyncio.sleep(LOOK_S)
