"""Past readings that have left the memory: what serves them, and the journal that does.

The journal is read off the loop: bounded pieces, one at a time, in a thread of their own.

Many monitors may catch up at once; each asks for a piece, gets it in a callback on the loop, sends
it, and asks for the next one when its client has room. The thread serves them in turn, so none
waits for more than the others' pieces, and the live ones wait for none of them.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from sensord.errors import JournalError
from sensord.log.damage import warn
from sensord.log.journal import (
    Batch,
    ChannelFor,
    Damage,
    Described,
    Hole,
    Ledger,
    Reader,
    Scan,
    Writer,
)
from sensord.log.journal.timeline import Shifts
from sensord.log.journal.window import Window
from sensord.log.seats import Seats
from sensord.model.readings import Channel, Metadata, Record

__all__ = ["Archive", "Fetched", "JournalArchive", "Wanted"]

T = TypeVar("T")

STEPS = 16
"""Chunks read for one piece: a piece occupies the thread for some 50 ms."""

PIECE_S = 0.02
"""More of them are read for so long: those of slow devices are small."""


CLOSE_S = 5.0
"""How long a hanging disk may hold up the end."""

KEPT = 8
"""Chunks that stay decoded, some 16 MiB: monitors that were cut off together come back together."""


class Wanted(NamedTuple):
    """A stretch of the log: offsets, filters and a span of log times; corrected as it says."""

    start: int
    stop: int
    topics: Sequence[str] | None
    window: Window
    corrections: Shifts


class Fetched(NamedTuple):
    """A piece of it: what was found, what is missing, and the offset to continue from."""

    records: list[Record]
    holes: list[Hole]
    next_offset: int


class Archive(ABC):
    """Past readings, for those who read them while more are added."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.ledger = ledger or Ledger()
        """The damage that was found since the start."""
        self.seats = Seats()
        """Decides which cursors may hold fetched readings."""

    @property
    @abstractmethod
    def first(self) -> int | None:
        """The offset of the oldest reading, or of the hole in front of it that it knows of.

        None if it knows of nothing.
        """

    @abstractmethod
    def first_us(self, shifts: Shifts) -> int | None:
        """Return when the oldest reading was logged, as far as that is known without reading."""

    @abstractmethod
    def fetch(self, wanted: Wanted, limit: int, done: Callable[[Fetched], None]) -> None:
        """Read about ``limit`` records from the start of what is wanted; call ``done`` with them.

        Anything that cannot be read is a hole, for whatever reason.
        """

    @abstractmethod
    async def close(self) -> None:
        """Stop; pieces asked for and not begun are not read any more.

        Raises:
            SensordError: What is being read does not end.
        """


class JournalArchive(Archive):
    """The journal; empty until it is opened."""

    def __init__(
        self,
        channel_for: ChannelFor,
        loop: asyncio.AbstractEventLoop,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(ledger)
        self._known = channel_for
        self._reader: Reader | None = None
        self._loop = loop
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="journal-read")
        self._reading: set[asyncio.Future[Any]] = set()

    def open(self, writer: Writer) -> None:
        """Read from here on what this writer writes."""
        self._reader = Reader(writer, self._channel_for, kept=KEPT, report=self._damaged)

    def _channel_for(self, topic: str, metadata: Metadata) -> Channel:
        try:
            return self._known(topic, metadata)
        except KeyError:
            raise JournalError(f"the channel of topic {topic} is not known") from None

    def _damaged(self, damage: Damage, cause: Exception | None) -> None:
        if self.ledger.add(damage, is_unforeseen=cause is not None):
            warn(damage, cause)

    @property
    def first(self) -> int | None:
        """The offset of the oldest reading, or of the hole in front of it; None without any."""
        if self._reader is None:
            return None
        view = self._reader.view()
        holes = [hole.first for hole in view.holes if view.is_empty or hole.end >= view.start]
        return min([*holes, *([] if view.is_empty else [view.start])], default=None)

    def first_us(self, shifts: Shifts) -> int | None:
        """Return when the oldest sealed segment begins."""
        sealed = () if self._reader is None else self._reader.view().sealed
        if not sealed:
            return None
        return sealed[0].start_us + shifts.of(sealed[0].first, sealed[0].start_us)

    def fetch(self, wanted: Wanted, limit: int, done: Callable[[Fetched], None]) -> None:
        """Read in the thread, and call ``done`` on the loop."""
        future = self._in_thread(self._fetch, wanted, limit)

        def hand_on(future: asyncio.Future[Fetched]) -> None:
            if not future.cancelled():
                done(future.result())

        future.add_done_callback(hand_on)

    def _fetch(self, wanted: Wanted, limit: int) -> Fetched:
        """Read a piece; part of the catch-all around a monitor's session, as `Scan.__next__`."""
        assert self._reader is not None, "there is a first reading"
        got = Fetched([], [], wanted.start)
        scan = self._reader.scan(
            wanted.start,
            wanted.stop,
            topics=wanted.topics,
            window=wanted.window,
            corrections=wanted.corrections,
        )
        try:
            until, steps = time.monotonic() + PIECE_S, 0
            while steps < STEPS or time.monotonic() < until:
                got, steps = _add_step(got, scan), steps + 1
                if got.next_offset >= wanted.stop or len(got.records) >= limit:
                    break
        except StopIteration:
            return got._replace(next_offset=scan.position)
        except Exception as exc:  # noqa: BLE001  # reported with its traceback
            first = got.next_offset
            hole = Hole(first, wanted.stop - first, str(exc) or type(exc).__name__)
            self._damaged(_unnamed(hole), _surprise(exc))
            return Fetched(got.records, [*got.holes, hole], wanted.stop)
        finally:
            # Else it would wait for the collector with all it holds: megabytes in a large history.
            scan.close()
        return got

    async def newest(self, wanted: Sequence[Described], limit_s: float) -> list[Record]:
        """Look for the last record of channels, from the newest back, for so long at most.

        Of a disk that hangs nothing is known.
        """
        looking = self._in_thread(self._newest, wanted, limit_s)
        await asyncio.wait({looking}, timeout=limit_s + CLOSE_S)
        return looking.result() if looking.done() else []

    def _in_thread(self, act: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        future = self._loop.run_in_executor(self._pool, act, *arguments)
        self._reading.add(future)
        future.add_done_callback(self._reading.discard)
        return future

    def _newest(self, wanted: Sequence[Described], limit_s: float) -> list[Record]:
        records: list[Record] = []
        until = time.monotonic() + limit_s
        if self._reader is not None:
            for found in self._reader.newest(wanted):
                records += found
                if time.monotonic() > until:
                    break
        return records

    async def close(self) -> None:
        """Stop; pieces asked for and not begun are not read any more.

        The one that is being read is waited for, unless the disk hangs.

        Raises:
            JournalError: It hangs.
        """
        self._pool.shutdown(wait=False, cancel_futures=True)
        if not self._reading:
            return
        _, hanging = await asyncio.wait(self._reading, timeout=CLOSE_S)
        if hanging:
            raise JournalError("the disk hangs while it is read")


def _add_step(got: Fetched, scan: Scan) -> Fetched:
    """Add a step of a scan to what was fetched.

    Raises:
        StopIteration: There is no more.
    """
    step = next(scan)
    if isinstance(step, Batch):
        got.records.extend(step.records())
    else:
        got.holes.append(step)
    return got._replace(next_offset=scan.position)


def _unnamed(hole: Hole) -> Damage:
    """Describe a loss whose file is unknown."""
    return Damage("", hole.reason, None, hole.first, hole.count)


def _surprise(error: Exception) -> Exception | None:
    """Return the unforeseen error that ended a read, if one did."""
    cause = error.__cause__ if isinstance(error, JournalError) else error
    return cause if isinstance(cause, Exception) and not isinstance(cause, OSError) else None
