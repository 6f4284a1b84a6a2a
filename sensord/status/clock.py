"""Whether the clock can be trusted: told under ``$sys/clock``.

Readings carry wall time, so whoever reads them wants to know of a board that has no time yet, or
whose clock was set under way. Timers do not care: they use the monotonic clock.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
from collections.abc import Callable
from pathlib import Path

from sensord.bus import Bus
from sensord.model.clocks import Clock
from sensord.model.readings import Metadata, Reading, Value, ValueType

__all__ = ["ClockStatus", "Judgement", "judge", "watch_clock"]

log = logging.getLogger("sensord.clock")

LOOK_S = 2.0

STEP_US = 500_000
"""Daemons that slew a clock move it by a millisecond in that time."""

TIMESYNC = Path("/run/systemd/timesync")
"""What systemd-timesyncd tells where the system call is not allowed, as in our unit."""

_NOT_SYNCHRONISED = 5
"""TIME_ERROR of adjtimex(2)."""
_TIMEX_BYTES = 512
"""More than its structure has anywhere; zeros mean: change nothing."""

Judgement = tuple[bool | None, str]
"""Whether the clock is synchronised, if that is known, and who says so."""


def judge(timesync: Path = TIMESYNC) -> Judgement:
    """Ask whether the clock is synchronised."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        state = -1
    if state >= 0:
        return state != _NOT_SYNCHRONISED, "kernel"
    if timesync.is_dir():
        return (timesync / "synchronized").exists(), "systemd-timesyncd"
    return None, ""


class ClockStatus:
    """Looks at the clock, and tells when something changes."""

    def __init__(self, bus: Bus, clock: Clock, judge: Callable[[], Judgement] = judge) -> None:
        self._bus = bus
        self._clock = clock
        self._judge = judge
        self._channel = bus.channel(
            "$sys/clock", Metadata(ValueType.JSON, description="whether the time can be trusted")
        )
        self._told: Judgement | None = None
        self._drift_us: int | None = None
        self._steps = 0
        self._step_us = 0

    def look(self) -> None:
        """Look once."""
        wall_us = self._clock.wall_us()
        drift_us = wall_us - self._clock.monotonic_us()
        before_us, self._drift_us = self._drift_us, drift_us
        step_us = 0 if before_us is None else drift_us - before_us
        has_stepped = abs(step_us) > STEP_US
        if has_stepped:
            self._steps += 1
            self._step_us = step_us
            log.warning("the clock was set", extra={"step_s": round(step_us / 1e6, 3)})
        judgement = self._judge()
        if judgement == self._told and not has_stepped:
            return
        if judgement != self._told:
            self._log(*judgement)
            self._told = judgement
        value: dict[str, Value] = {
            "synchronised": judgement[0],
            "source": judgement[1],
            "steps": self._steps,
        }
        if self._steps:
            value["step_s"] = round(self._step_us / 1e6, 3)
        self._bus.publish(self._channel, Reading(wall_us, value))

    def _log(self, is_synchronised: bool | None, source: str) -> None:  # noqa: FBT001  # three values
        if is_synchronised is False:
            log.info("the clock is not synchronised", extra={"source": source})
        elif is_synchronised and self._told is not None:
            log.info("the clock is synchronised", extra={"source": source})


async def watch_clock(bus: Bus, clock: Clock) -> None:
    """Look at the clock until cancelled."""
    status = ClockStatus(bus, clock)
    while True:
        status.look()
        await asyncio.sleep(LOOK_S)
