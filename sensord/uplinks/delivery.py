"""An uplink: a cursor on the log, saved on disk, whose readings another system acknowledges.

Theory of operation. There is no second buffer: what is not acknowledged is still in the log, in
memory or in the journal. A piece of the log is sent, and when it is acknowledged the saved position
moves behind it. So an outage of any length costs no memory; one longer than the journal's retention
is a gap that is sent, too. A kill repeats at most what was sent since the position was saved, and
each reading carries the epoch and offset that identify it.

Live readings go first where the other side orders by time: after an outage the backlog follows
beside them, within a bandwidth. Where it keeps the order of arrival, everything goes in order.

A piece that the other side refuses for good is halved until the refused readings are found: they
are counted and named in the log, and the others are delivered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from sensord.bus import Bus
from sensord.device.backoff import REMOTE, Backoff
from sensord.log import Archive, Cursor, Gap, Piece
from sensord.model.readings import (
    GOOD,
    Channel,
    Kind,
    Metadata,
    Position,
    Reading,
    Record,
    Value,
    ValueType,
)
from sensord.sharing.store import Store, StoreError
from sensord.uplinks.destination import Batch, Destination, RejectedError, UplinkError
from sensord.uplinks.options import Options
from sensord.uplinks.progress import Progress, Range
from sensord.uplinks.windows import Windows

__all__ = ["Uplink"]

log = logging.getLogger("sensord.uplinks")

KIND = "uplink"
"""Of the rows in the store."""

SAVE_S = 1.0
"""A position is saved this long after it moved: so much is sent again after a kill."""

STATUS_S = 30.0

NAMED_AGAIN_S = 300.0
"""A refused reading is named in the log at most this often."""

SINGLE = 1.5
"""What came within so many periods since the last turn is one period's."""

NO_GROUP = -1
"""The number of a channel that is not the bus's."""

State = Literal["connecting", "up", "down", "paused", "stopped"]

_LOGGED: dict[State, tuple[int, str]] = {
    "connecting": (logging.DEBUG, "uplink connects"),
    "up": (logging.INFO, "uplink is up"),
    "down": (logging.WARNING, "uplink is down"),
    "paused": (logging.INFO, "uplink is paused"),
    "stopped": (logging.DEBUG, "uplink stopped"),
}


class Uplink:
    """Delivers readings to one destination."""

    def __init__(
        self,
        name: str,
        options: Options,
        destination: Destination,
        bus: Bus,
        archive: Archive | None,
        store: Store,
        saved: Value = None,
        *,
        is_live_first: bool,
    ) -> None:
        """``saved`` is what the store had of it at the start, if anything."""
        self.name = name
        self._options = options
        self._destination = destination
        self._bus = bus
        self._archive = archive
        self._store = store
        self._is_live_first = is_live_first
        self._loop = asyncio.get_running_loop()
        self._numbers: set[int] = set()
        self._state: State = "connecting"
        self._detail = ""
        self._since_us = bus.now_us()
        self._counts: Counter[str] = Counter()
        self._delivered_us: int | None = None
        self._resume = asyncio.Event()
        self._resume.set()
        self._is_dirty = False
        self._named_at = -NAMED_AGAIN_S
        self._failed_at = -NAMED_AGAIN_S
        metadata = Metadata(ValueType.JSON, description=f"the uplink {name}")
        self._status = bus.channel(f"$sys/uplinks/{name}", metadata)
        metadata = Metadata(ValueType.JSON, kind=Kind.EVENT, description="readings not delivered")
        self._gap_channel = Channel(NO_GROUP, f"$gap/{name}", metadata)
        self._gap = ""
        self._is_rewound = False
        self._live_windows: Windows | None = None
        self._behind_windows: Windows | None = None
        self._begin_windows()
        self._progress = self._restored(saved)
        self._began = self._progress.oldest

    # -- what it is asked --------------------------------------------------------------------------

    def pause(self) -> None:
        """Send nothing until `resume`."""
        self._resume.clear()

    def resume(self) -> None:
        """Continue."""
        self._resume.set()

    def rewind(self, offset: int) -> None:
        """Deliver again from an offset on."""
        self._progress = Progress(min(offset, self._bus.log.tail))
        self._is_dirty = self._is_rewound = True
        self._begin_windows()
        self._report()

    def join(self, saved: Value) -> None:
        """Deliver also what a position that came late has pending before this run's beginning."""
        found = Progress.read(saved)
        if found is None or found[0] not in self._bus.log.epochs:
            return
        earlier = found[1]
        if earlier.live >= self._began:
            return
        if self._is_live_first:
            self._progress.behind += [*earlier.behind, Range(earlier.live, self._began)]
            self._is_dirty = True
        elif not self._is_rewound:
            self.rewind(earlier.oldest)
            self._is_rewound = False

    def position(self) -> Value:
        """Return how far it has delivered, as the store keeps it."""
        return self._progress.write(self._bus.log.epoch)

    # -- running -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Deliver until cancelled."""
        for channel in self._bus.select(self._options.topics):
            self.selected(channel)
        self._bus.watch(self._options.topics, self)
        backoff = Backoff(REMOTE, random.random)
        keeping = asyncio.create_task(self._keep(), name=f"uplink:{self.name}:keep")
        try:
            while True:
                await self._unpaused()
                up_s = await self._connected()
                await asyncio.sleep(backoff.after(up_s))
        finally:
            keeping.cancel()
            self._bus.unwatch(self._options.topics, self)
            self._save()
            self._enter("stopped", "")

    def selected(self, channel: Channel) -> None:
        """Deliver a new channel, too."""
        self._numbers.add(channel.number)

    async def _unpaused(self) -> None:
        if not self._resume.is_set():
            self._enter("paused", "")
            await self._resume.wait()
            self._enter("connecting", "")

    async def _connected(self) -> float:
        """Connect and deliver until that fails; return how long it was connected, in seconds."""
        began = None
        try:
            self._adopt(await self._destination.open())
            began = self._loop.time()
            self._enter("up", self._destination.where)
            await self._deliver()
        except UplinkError as exc:
            self._enter("down", f"{self._destination.where}: {exc}")
        except Exception as exc:  # noqa: BLE001  # the catch-all of docs/architecture.md
            self._failed(exc)
        finally:
            await self._closed()
        return 0.0 if began is None else self._loop.time() - began

    def _failed(self, exc: Exception) -> None:
        """Count and name what nobody foresaw: it fails this uplink, not the daemon."""
        self._counts["failures"] += 1
        self._enter("down", f"{self._destination.where}: failed unexpectedly: {exc!r}")
        now = self._loop.time()
        if now - self._failed_at >= NAMED_AGAIN_S:
            self._failed_at = now
            log.error("uplink failed unexpectedly", extra={"uplink": self.name}, exc_info=exc)

    async def _closed(self) -> None:
        try:
            await self._destination.close()
        except Exception as exc:  # noqa: BLE001  # the same
            self._failed(exc)

    def _adopt(self, position: Position | None) -> None:
        """Resume where the other side's own position is, unless it was rewound by hand."""
        if position is None or self._is_rewound or position.epoch not in self._bus.log.epochs:
            return
        offset = min(position.offset, self._bus.log.tail)
        if offset != self._progress.live:
            self._progress = Progress(offset)
            self._is_dirty = True
        self._gap = ""  # the saved position is not used

    async def _deliver(self) -> None:
        if self._is_live_first:
            self._progress.set_behind(self._bus.log.tail)
        self._begin_windows()
        interval_s = max(self._options.interval, self._options.period)
        while True:
            began = self._loop.time()
            await self._unpaused()
            await self._deliver_live()
            until = began + interval_s
            await self._deliver_behind(until)
            await asyncio.sleep(max(0.0, until - self._loop.time()))

    def _begin_windows(self) -> None:
        """Hold nothing back, and compare with nothing sent before: it may not have arrived."""
        period_s, deadband = self._options.period, self._options.deadband
        if period_s or deadband:
            self._live_windows = Windows(period_s, deadband)
            self._behind_windows = Windows(period_s, deadband)
        self._read_behind = 0
        self._caught_up_at = -float("inf")

    async def _deliver_live(self) -> None:
        cursor, windows = self._cursor(self._progress.live), self._live_windows
        began, tail = self._loop.time(), self._bus.log.tail
        if windows is not None:
            # Turns are a period apart, or a little more.
            is_single = began - self._caught_up_at < SINGLE * self._options.period
            windows.begin(is_single=is_single)
        try:
            while cursor.offset < tail and self._resume.is_set():
                before = self._progress
                piece = await self._read(cursor, tail)
                await self._send_piece(piece, windows, is_last=piece.stop >= tail)
                if self._progress is not before:
                    return  # rewound meanwhile
                self._progress.delivered(_position(piece, windows))
                self._is_dirty = True
        finally:
            cursor.close()
        self._caught_up_at = began

    async def _deliver_behind(self, until: float) -> None:
        """Deliver from the ranges behind until a loop time, within the bandwidth."""
        progress, windows = self._progress, self._behind_windows
        while progress.behind and self._loop.time() < until and self._resume.is_set():
            first = progress.behind[0]
            # What is held was read already.
            is_open = windows is not None and windows.start is not None
            cursor = self._cursor(self._read_behind if is_open else first.start)
            try:
                while first.start < first.stop and self._loop.time() < until:
                    began = self._loop.time()
                    piece = await self._read(cursor, first.stop)
                    is_last = piece.stop >= first.stop
                    sent = await self._send_piece(piece, windows, is_last=is_last)
                    if self._progress is not progress:
                        return  # rewound meanwhile
                    self._read_behind = piece.stop
                    progress.delivered_behind(_position(piece, windows))
                    self._is_dirty = True
                    if self._progress.behind and self._progress.behind[0] is not first:
                        break
                    pause_s = began + sent / self._options.bandwidth - self._loop.time()
                    if pause_s > 0:
                        await asyncio.sleep(pause_s)
            finally:
                cursor.close()

    # -- reading -----------------------------------------------------------------------------------

    def _cursor(self, offset: int) -> Cursor:
        bus_log, topics = self._bus.log, self._options.topics
        return Cursor(bus_log, self._archive, topics, self._numbers, offset)

    async def _read(self, cursor: Cursor, stop: int) -> Piece:
        if not cursor.is_at_hand:
            ready = asyncio.Event()
            cursor.fetch(stop, ready.set)
            await ready.wait()
        return cursor.take(stop)

    # -- sending -----------------------------------------------------------------------------------

    async def _send_piece(self, piece: Piece, windows: Windows | None, *, is_last: bool) -> int:
        """Send the readings of a piece, and in a gap those that are missing; return the bytes."""
        sent = 0
        if self._gap:
            sent += await self._send([self._gap_record(piece.start, piece.start, self._gap, None)])
            self._gap = ""
        for part in piece.in_order():
            if isinstance(part, Gap):
                if windows is not None:
                    sent += await self._send(windows.end())
                counts = None if part.counts is None else part.counts.total()
                gap = self._gap_record(part.start, part.stop, part.reason, counts)
                sent += await self._send([gap])
                self._counts["gaps"] += 1
                self._report()
            elif part[0]:
                records = part[0] if windows is None else windows.add(part[0])
                sent += await self._send(records)
                self._delivered_us = part[0][-1].log_us
        if windows is not None and is_last:
            sent += await self._send(windows.end())
        return sent

    async def _send(self, records: Sequence[Record]) -> int:
        if not records:
            return 0
        try:
            sent = await self._destination.send(Batch(self._bus.log.epoch, records))
        except RejectedError as exc:
            if len(records) == 1:
                self._refused(records[0], exc)
                return 0
            middle = len(records) // 2
            return await self._send(records[:middle]) + await self._send(records[middle:])
        self._is_rewound = False
        self._counts["sent"] += len(records)
        self._counts["bytes"] += sent
        return sent

    def _refused(self, record: Record, exc: RejectedError) -> None:
        self._counts["rejected"] += 1
        now = self._loop.time()
        if now - self._named_at >= NAMED_AGAIN_S:
            self._named_at = now
            found = {"uplink": self.name, "topic": record.channel.topic, "offset": record.offset}
            log.warning("reading refused by the other side", extra=found | {"reason": str(exc)})
            self._report()

    def _gap_record(self, start: int, stop: int, reason: str, count: int | None) -> Record:
        value: Value = {"from": start, "to": stop, "reason": reason, "count": count}
        now_us = self._bus.now_us()
        return Record(start, now_us, self._gap_channel, Reading(now_us, value, GOOD))

    # -- what is kept ------------------------------------------------------------------------------

    def _restored(self, saved: Value) -> Progress:
        bus_log = self._bus.log
        found = Progress.read(saved)
        if found is None:
            if saved is not None:
                log.error("the saved position is damaged", extra={"uplink": self.name})
                self._gap = "position_damaged"
            return Progress(bus_log.tail if self._options.start == "now" else self._oldest())
        epoch, progress = found
        if epoch not in bus_log.epochs:
            self._gap = "epoch_changed"
            return Progress(self._oldest())
        if progress.live > bus_log.tail:
            self._gap = "ahead"
            return Progress(bus_log.tail)
        return progress

    def _oldest(self) -> int:
        recorded = None if self._archive is None else self._archive.first
        return min(self._bus.log.first, self._bus.log.first if recorded is None else recorded)

    async def _keep(self) -> None:
        """Save the position and report the state when they have changed."""
        reported = self._loop.time()
        while True:
            await asyncio.sleep(SAVE_S)
            self._save()
            if self._loop.time() - reported >= STATUS_S:
                reported = self._loop.time()
                self._report()

    def _save(self) -> None:
        if self._is_dirty:
            with contextlib.suppress(StoreError):  # too much waits for the disk: next time
                self._store.put(KIND, self.name, self._progress.write(self._bus.log.epoch))
                self._is_dirty = False

    # -- status ------------------------------------------------------------------------------------

    def _enter(self, state: State, detail: str) -> None:
        if (state, detail) == (self._state, self._detail):
            return
        is_news = state != self._state
        self._state, self._detail = state, detail
        if is_news:
            self._since_us = self._bus.now_us()
            found = {"uplink": self.name, "detail": detail}
            log.log(*_LOGGED[state], extra=found)
        self._report()

    def _report(self) -> None:
        pending = self._progress.pending(self._bus.log.tail)
        value: Value = {
            "state": self._state,
            "detail": self._detail,
            "since_us": self._since_us,
            "sent": self._counts["sent"],
            "bytes": self._counts["bytes"],
            "rejected": self._counts["rejected"],
            "failures": self._counts["failures"],
            "gaps": self._counts["gaps"],
            "pending": pending,
            "behind": sum(one.stop - one.start for one in self._progress.behind),
            "delivered_us": self._delivered_us,
        }
        self._bus.publish(self._status, Reading(self._bus.now_us(), value))


def _position(piece: Piece, windows: Windows | None) -> int:
    """Return up to where a piece is delivered: what is held back is not."""
    return piece.stop if windows is None or windows.start is None else windows.start
