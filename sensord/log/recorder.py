"""The recorder: carries the log to the journal, in a thread of its own.

It is an ordinary cursor. It gathers new readings block by block, so none can leave the memory
first, and once per commit interval passes them to the journal's writer, which may wait for the
disk. Meanwhile the loop continues, and new readings are gathered up to a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from sensord.errors import JournalError
from sensord.log.damage import warn
from sensord.log.journal import (
    Commit,
    Ledger,
    Options,
    Recovery,
    State,
    Statistics,
    Takeover,
    Writer,
)
from sensord.log.journal.timeline import ClockRecord
from sensord.log.memory import Log
from sensord.model.clocks import Clock
from sensord.model.readings import Record

__all__ = ["Recorder"]

log = logging.getLogger("sensord.journal")

T = TypeVar("T")

MAX_GATHERED, MAX_GATHERED_BYTES = 500_000, 64 * 2**20
"""Readings that wait for a disk that hangs: some 100 MiB, and so much of texts and nested values.
Beyond that the ring's bound holds."""

MANY, MANY_BYTES = 50_000, 8 * 2**20
"""Readings that are committed before their interval is over: they are memory, and a risk."""

HANG_S = 5.0
"""After this long, those who wait for a commit continue without it."""

CLOSE_S = 5.0

OPEN_S = 10.0
"""How long the start waits for the disk; opening continues in its thread."""

RETRY_S = 1.0
MAX_RETRY_S = 60.0
"""Opening is tried again after the first, then after twice the time before, up to the second."""


def _call(acts: list[Callable[[], None]]) -> None:
    while acts:
        acts.pop(0)()


class Recorder:
    """Writes one log to one journal."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self.options = options
        self.ledger = Ledger()
        """The damage that was found since the start, by a start or a read."""
        self._clock = clock
        self._writer = Writer(options)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="journal-write")
        self._gathered: list[Record] = []
        self._weighed = 0  # what the log had weighed when the last ones were handed on
        self._many = asyncio.Event()  # more is gathered than should wait for the interval
        self._next = 0  # the offset to gather next
        self._clock_noted: ClockRecord | None = None
        """The last clock record that the writer has."""
        self._state = State.OK
        self._reason = "it was never opened"  # empty when it is open
        self._opening: asyncio.Future[Recovery] | None = None  # a disk that did not answer in time
        self._trying: asyncio.Future[Recovery] | None = None  # another try to open it
        self._first: int | None = None  # where the log begins that is to join

    @property
    def writer(self) -> Writer:
        """What writes the journal, for those who read it meanwhile."""
        return self._writer

    @property
    def is_open(self) -> bool:
        """Whether the log is the journal's; else `join` it."""
        return not self._reason

    async def open(self) -> Recovery:
        """Open the journal, mending what a crash left.

        Raises:
            JournalError: It cannot be used; `join` tries again.
        """
        opening = self._in_thread(
            self._writer.open, self._clock.wall_us(), self._clock.monotonic_us()
        )
        await asyncio.wait({opening}, timeout=OPEN_S)
        if not opening.done():
            self._opening, self._reason = opening, "the disk does not answer"
            raise JournalError(self._reason)
        recovery = await self._opened(opening)
        self._next = recovery.next_offset
        records = recovery.timeline.records
        self._clock_noted = records[-1] if records else None
        return recovery

    async def _opened(self, opening: asyncio.Future[Recovery]) -> Recovery:
        try:
            recovery = await opening
        except JournalError as exc:
            self._reason = str(exc)
            raise
        self._reason = ""
        for finding in recovery.findings:
            log.info("journal", extra={"finding": finding})
        self.ledger.strays = recovery.strays
        for stray in recovery.strays:
            log.warning("not part of the journal, left alone", extra=stray._asdict())
        for damage in recovery.damage:
            if self.ledger.add(damage):
                warn(damage)
        for hole in recovery.missing:
            fields = {"first": hole.first, "count": hole.count, "reason": hole.reason}
            log.warning("readings may be missing", extra=fields)
        return recovery

    def statistics(self) -> Statistics:
        """Return the state of the journal."""
        damaged, lost, unforeseen = self.ledger.losses()
        statistics = replace(
            self._writer.statistics(),
            damaged=damaged,
            lost=lost,
            unforeseen=unforeseen,
            strays=tuple(stray.file for stray in self.ledger.strays),
        )
        if self.is_open:
            return statistics
        return replace(statistics, state=State.FAILED, reason=self._reason)

    async def join(self, log_: Log, on_failure: Callable[[], None]) -> Recovery:
        """Open the journal of a log that began without it; retry until that succeeds.

        ``on_failure`` is called after each failed try. When this returns, the journal continues the
        log: unchanged if it could adopt it, else at a higher offset in other epochs.
        """
        self._first, wait_s = log_.first, RETRY_S
        await self._wait_for_disk(on_failure)
        recovery = None
        while recovery is None:
            on_failure()
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, MAX_RETRY_S)
            recovery = await self._try(log_, self._first)
        self._joined(log_, recovery)
        return recovery

    def _joined(self, log_: Log, recovery: Recovery) -> None:
        if recovery.epoch == log_.epoch:
            log_.epochs.update(recovery.epochs)
            self._next = max(recovery.next_offset, log_.first)
        else:
            self._next = max(recovery.next_offset, log_.tail)
            log_.begin_anew(recovery.epochs, self._next)
        self._clock_noted = log_.join_timeline(recovery.timeline)
        self._many.set()

    async def _try(self, log_: Log, first: int) -> Recovery | None:
        before = self._reason
        if self._trying is None:
            going_on = Takeover(log_.epoch, first, log_.first, self._reason)
            times = self._clock.wall_us(), self._clock.monotonic_us()
            self._trying = self._in_thread(self._writer.open, *times, going_on)
        # Not cancelled with the waiting task: `close` still finds what the thread opens.
        await asyncio.wait({self._trying})
        trying, self._trying = self._trying, None
        try:
            return await self._opened(trying)
        except JournalError as exc:
            if str(exc) != before:
                log.error("not recording", extra={"reason": str(exc)})
            return None

    async def _wait_for_disk(self, on_failure: Callable[[], None]) -> None:
        """Wait for an opening that hangs; what it opens was not meant for this log."""
        if self._opening is None:
            return
        on_failure()
        await asyncio.wait({self._opening})
        if self._opening.exception() is None:
            await self._in_thread(self._writer.abandon)
        self._opening = None

    async def run(
        self, log_: Log, on_commit: Callable[[], None], on_renewal: Callable[[], None]
    ) -> None:
        """Commit once an interval until cancelled.

        ``on_commit`` is called after each commit, ``on_renewal`` when the log has another epoch.
        """
        log_.on_block = lambda: self._gather(log_)
        log_.on_many_waiting = self._many.set
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.options.commit_interval):
                        await self._many.wait()
                self._many.clear()
                epoch = log_.epoch
                await self._commit(log_)
                if log_.epoch != epoch:
                    on_renewal()
                on_commit()
        finally:
            log_.on_many_waiting = None

    async def close(self, log_: Log) -> None:
        """Commit all remaining readings, whatever the state, and close the journal.

        Raises:
            JournalError: Not all could be written; readings that were not committed before are
            lost.
        """
        try:
            async with asyncio.timeout(CLOSE_S):
                if not self.is_open and self._first is not None:
                    await self._join_at_last(log_, self._first)
                if self.is_open:
                    await self._close(log_)
        except TimeoutError as exc:
            raise JournalError("the journal was not closed: the disk hangs") from exc
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def _join_at_last(self, log_: Log, first: int) -> None:
        """Try once more to open the journal of a log that began without it."""
        epoch = log_.epoch
        recovery = None if self._opening is not None else await self._try(log_, first)
        if recovery is None:
            raise JournalError(f"nothing was recorded: {self._reason}")
        if recovery.epoch != epoch:
            await self._in_thread(self._writer.abandon)
            raise JournalError("nothing was recorded: the journal could not join this log")
        self._joined(log_, recovery)

    async def _close(self, log_: Log) -> None:
        await self._in_thread(self._writer.hurry)
        await self._commit(log_)
        while self._gathered or self._next < log_.tail:
            await self._commit(log_)  # more waited than may be gathered at a time
        await self._in_thread(self._writer.close, self._clock.wall_us(), self._clock.monotonic_us())

    async def _commit(self, log_: Log) -> None:
        self._gather(log_)
        kept = log_.take_waiting()
        records, self._gathered, self._weighed = self._gathered, [], log_.weighed
        wall_us, monotonic_us = self._clock.wall_us(), self._clock.monotonic_us()
        clocks = log_.timeline.after(self._clock_noted)
        self._clock_noted = clocks[-1] if clocks else self._clock_noted
        work = self._in_thread(self._writer.commit, records, wall_us, monotonic_us, clocks)
        began_us = monotonic_us
        while not work.done():
            await asyncio.wait({work}, timeout=self.options.commit_interval)
            self._gather(log_)
            if self._clock.monotonic_us() - began_us > HANG_S * 1e6:
                # A sender must not wait without bound: live readings do not depend on the disk.
                kept += log_.take_waiting()
                _call(kept)
        commit = work.result()
        # Also where the disk is full or fails: then nothing is kept, however long they wait.
        _call(kept)
        self._report(commit)
        if log_.tail + MAX_GATHERED > commit.reserved:
            # The disk has accepted no reservation for very long: after a crash these offsets might
            # be given again, so from here on they belong to another epoch.
            log_.renew_epoch(await self._in_thread(self._writer.renew_epoch))

    def _gather(self, log_: Log) -> None:
        if self._is_too_much(log_):
            return
        for piece in log_.read(self._next, log_.tail):
            self._gathered += piece
        self._next = log_.tail
        if len(self._gathered) >= MANY or log_.weighed - self._weighed >= MANY_BYTES:
            self._many.set()
        if self._is_too_much(log_):
            log.error("disk too slow, readings will be missing", extra={"offset": self._next})

    def _is_too_much(self, log_: Log) -> bool:
        is_heavy = log_.weighed - self._weighed >= MAX_GATHERED_BYTES
        return is_heavy or len(self._gathered) >= MAX_GATHERED

    def _report(self, commit: Commit) -> None:
        if commit.state is not self._state:
            self._state = commit.state
            if commit.state is State.OK:
                log.info("recording again")
            else:
                reason = self._writer.statistics().reason
                log.error("not recording", extra={"state": commit.state.value, "reason": reason})

    def _in_thread(self, act: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._pool, functools.partial(act, *arguments))
