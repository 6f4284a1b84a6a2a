"""Keep one reader running: connect, run, fault, wait, again, until cancelled.

This is one of the places in the program that catch everything: any error of a reader stays with its
device, is counted, logged and published, and the others do not notice. A fault that repeats is
logged when it first comes and then at most every few minutes, with the count.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol

from sensord.device.backoff import REMOTE, Backoff, Limits
from sensord.device.reader import Link, Reader
from sensord.errors import DeviceError
from sensord.model.clocks import Clock, SystemClock

__all__ = ["Repeats", "Watch", "backoff_for", "supervise"]

log = logging.getLogger("sensord.readers")

REPEAT_US = 300 * 1_000_000
"""A repeated fault is logged this often: rarely enough for an SD card, often enough to be found."""


class Watch(Protocol):
    """Receives the progress of a reader. No method waits, and none raises."""

    def connecting(self) -> None:
        """The reader is started, for the first time or again."""
        ...

    def up(self, detail: str) -> None:
        """The device is up; ``detail`` is how it was reached. Nothing was passed on yet."""
        ...

    def down(self, reason: str, detail: str, retry_in_s: float) -> None:
        """The run ended; also called when the device was never up."""
        ...


class Repeats:
    """Decides which of many equal events to log. There are few kinds, so they are all kept."""

    def __init__(self, period_us: int = REPEAT_US) -> None:
        self._period_us = period_us
        self._seen: dict[str, tuple[int, int]] = {}

    def note(self, kind: str, now_us: int, *, must: bool = False) -> int | None:
        """Count one event; return how many went unlogged before it, or None: leave it unlogged.

        One that ``must`` be logged always is.
        """
        logged_us, unlogged = self._seen.get(kind, (None, 0))
        if logged_us is not None and not must and now_us - logged_us < self._period_us:
            self._seen[kind] = (logged_us, unlogged + 1)
            return None
        self._seen[kind] = (now_us, 0)
        return unlogged


def backoff_for(reader: Reader) -> Backoff:
    """Return a backoff with the reader's own ``limits``, if it names them."""
    limits = getattr(reader, "limits", REMOTE)
    assert isinstance(limits, Limits)
    return Backoff(limits, random.random)


async def supervise(
    name: str,
    reader: Reader,
    link: Link,
    watch: Watch,
    *,
    backoff: Backoff | None = None,
    clock: Clock | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> NoReturn:
    """Run ``reader`` again and again, for the device ``name``, until cancelled."""
    supervisor = _Supervisor(name, watch, backoff or backoff_for(reader), clock or SystemClock())
    noted = _NotedLink(link, supervisor.opened)
    try:
        while True:
            supervisor.connecting()
            try:
                await reader.run(noted)
                error: Exception = DeviceError("source ended")
            except Exception as caught:  # noqa: BLE001  # the catch-all of the module's docstring
                error = caught
            await sleep(supervisor.ended(error))
    finally:
        supervisor.stopped()


class _NotedLink:
    """A link that also notifies the supervisor when the device is up; the rest costs nothing."""

    __slots__ = (
        "_link",
        "_on_opened",
        "availability",
        "data",
        "describe",
        "fault",
        "message",
        "position",
        "reached",
        "received",
        "samples",
        "sent",
        "when_kept",
    )

    def __init__(self, link: Link, on_opened: Callable[[str], None]) -> None:
        self._link = link
        self._on_opened = on_opened
        self.data = link.data
        self.describe = link.describe
        self.fault = link.fault
        self.message = link.message
        self.availability = link.availability
        self.received = link.received
        self.samples = link.samples
        self.sent = link.sent
        self.when_kept = link.when_kept
        self.position = link.position
        self.reached = link.reached

    def opened(self, detail: str) -> None:
        self._link.opened(detail)
        self._on_opened(detail)


class _Supervisor:
    """The bookkeeping of one device's runs."""

    def __init__(self, name: str, watch: Watch, backoff: Backoff, clock: Clock) -> None:
        self._name = name
        self._watch = watch
        self._backoff = backoff
        self._clock = clock
        self._repeats = Repeats()
        self._runs = 0
        self._unexpected = 0
        self._opened_us: int | None = None
        self._reads_as_down = False  # the last line of it in the log reports it as down

    def connecting(self) -> None:
        self._runs += 1
        self._opened_us = None
        self._watch.connecting()

    def opened(self, detail: str) -> None:
        self._opened_us = self._clock.monotonic_us()
        self._watch.up(detail)
        # A log that shows it as down must also show its return, however soon.
        self._log(logging.INFO, "up", "device is up", {"detail": detail}, must=self._reads_as_down)
        self._reads_as_down = False

    def ended(self, error: Exception) -> float:
        """Record what ended a run; return how long to wait before the next."""
        up_s = 0.0
        if self._opened_us is not None:
            up_s = (self._clock.monotonic_us() - self._opened_us) / 1e6
        is_hasty = isinstance(error, DeviceError) and error.at_once
        retry_in_s = 0.0 if is_hasty else self._backoff.after(up_s)
        fields: dict[str, object] = {"up_s": round(up_s, 1), "retry_in_s": round(retry_in_s, 1)}
        if isinstance(error, DeviceError):
            reason, detail = error.reason, error.detail
            fields |= {"reason": reason, "detail": detail}
            self._log(logging.WARNING, reason, "device is down", fields)
        else:
            # A fault of sensord or of a library: a person has to look, so with the traceback.
            reason, detail = "reader failed", f"{type(error).__name__}: {error}"
            self._unexpected += 1
            fields |= {"reason": reason, "detail": detail}
            kind = type(error).__name__
            self._log(logging.ERROR, kind, "reader failed unexpectedly", fields, error)
        self._watch.down(reason, detail, retry_in_s)
        return retry_in_s

    def stopped(self) -> None:
        fields = {"device": self._name, "runs": self._runs, "unexpected": self._unexpected}
        log.info("reader stopped", extra=fields)

    def _log(
        self,
        level: int,
        kind: str,
        message: str,
        fields: dict[str, object],
        error: Exception | None = None,
        *,
        must: bool = False,
    ) -> None:
        unlogged = self._repeats.note(kind, self._clock.monotonic_us(), must=must)
        if unlogged is not None:
            self._reads_as_down = True
            extra = {"device": self._name, **fields}
            if unlogged:
                extra["unlogged"] = unlogged
            log.log(level, message, extra=extra, exc_info=error)
