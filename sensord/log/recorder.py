"""The recorder: carries the log to the journal, in a thread of its own.

It is a cursor like everybody else: it gathers what is new, block by block, so that nothing can
leave the memory before, and once a commit interval hands it to the journal's writer, which may
wait for the disk as long as it must. While it waits, the loop goes on, and what is new is gathered
up to a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sensord.clock import Clock
from sensord.errors import JournalError
from sensord.log.archive import Archive
from sensord.log.journal import ChannelFor, Commit, Options, Recovery, State, Statistics, Writer
from sensord.log.memory import Log
from sensord.model import Record

__all__ = ["Recorder"]

log = logging.getLogger("sensord.journal")

T = TypeVar("T")

MAX_GATHERED = 500_000
"""Readings that wait for a disk that hangs: some 100 MiB. Beyond that the ring's bound holds."""

MANY = 50_000
"""Readings that are committed before their interval is over: they are memory, and a risk."""

CLOSE_S = 5.0


class Recorder:
    """Writes one log to one journal."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self.options = options
        self._clock = clock
        self._writer = Writer(options)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="journal-write")
        self._gathered: list[Record] = []
        self._many = asyncio.Event()  # more is gathered than should wait for the interval
        self._next = 0  # the offset to gather next
        self._state = State.OK

    async def open(self) -> Recovery:
        """Open the journal, mending what a crash left.

        Raises:
            JournalError: It cannot be used.
        """
        recovery = await self._in_thread(
            self._writer.open, self._clock.wall_us(), self._clock.monotonic_us()
        )
        for finding in recovery.findings:
            log.info("journal", extra={"finding": finding})
        self._next = recovery.next_offset
        return recovery

    def archive(self, channel_for: ChannelFor, loop: asyncio.AbstractEventLoop) -> Archive:
        """Return what reads the journal while it is written."""
        return Archive(self._writer, channel_for, loop)

    def statistics(self) -> Statistics:
        """Tell how the journal is."""
        return self._writer.statistics()

    async def run(self, log_: Log, on_commit: Callable[[], None]) -> None:
        """Commit once an interval until cancelled; ``on_commit`` is told after each commit."""
        log_.on_block = lambda: self._gather(log_)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.options.commit_interval):
                    await self._many.wait()
            self._many.clear()
            await self._commit(log_)
            on_commit()

    async def close(self, log_: Log) -> None:
        """Commit what is left and give the journal back."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._commit(log_)
                await self._in_thread(
                    self._writer.close, self._clock.wall_us(), self._clock.monotonic_us()
                )
        except (JournalError, TimeoutError) as exc:
            log.error("journal not closed", extra={"reason": str(exc) or "the disk hangs"})
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _commit(self, log_: Log) -> None:
        self._gather(log_)
        records, self._gathered = self._gathered, []
        wall_us, monotonic_us = self._clock.wall_us(), self._clock.monotonic_us()
        work = asyncio.ensure_future(
            self._in_thread(self._writer.commit, records, wall_us, monotonic_us)
        )
        while not work.done():
            await asyncio.wait({work}, timeout=self.options.commit_interval)
            self._gather(log_)
        commit = work.result()
        self._tell(commit)
        if log_.tail + MAX_GATHERED > commit.reserved:
            # The disk has taken no reservation for very long: after a crash these offsets might
            # be given again, so from here on they belong to another epoch.
            log_.renew_epoch(await self._in_thread(self._writer.renew_epoch))

    def _gather(self, log_: Log) -> None:
        if len(self._gathered) >= MAX_GATHERED:
            return
        for piece in log_.read(self._next, log_.tail):
            self._gathered += piece
        self._next = log_.tail
        if len(self._gathered) >= MANY:
            self._many.set()
        if len(self._gathered) >= MAX_GATHERED:
            log.error("disk too slow, readings will be missing", extra={"offset": self._next})

    def _tell(self, commit: Commit) -> None:
        if commit.state is not self._state:
            self._state = commit.state
            if commit.state is State.OK:
                log.info("recording again")
            else:
                reason = self._writer.statistics().reason
                log.error("not recording", extra={"state": commit.state.value, "reason": reason})

    async def _in_thread(self, act: Callable[..., T], *arguments: object) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, functools.partial(act, *arguments))
