"""The journal's writer: accepts commits, survives disk failures, and reports its state.

One thread at a time may call it; `statistics` and `view` may be used from any. Time is an argument;
it starts no thread and waits for nothing but the disk. A disk that is full or fails is a state, not
an exception: readings wait in memory up to a bound, then are dropped, counted and named.

| state  | when                       | a commit goes to              | retried now and then     |
| ------ | -------------------------- | ----------------------------- | ------------------------ |
| ok     |                            | ring or segment               |                          |
| full   | no room, nothing to remove | ring, dropping its oldest     | writing to the segment   |
| failed | any other error            | memory, dropping its oldest   | opening the folder again |
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from sensord.errors import JournalError
from sensord.log.journal.files import Store
from sensord.log.journal.lock import FolderLock
from sensord.log.journal.mount import missing_mount, mount_of
from sensord.log.journal.numbering import Numbering
from sensord.log.journal.options import Options
from sensord.log.journal.recovery import Recovery, recovery_of
from sensord.log.journal.registry import Hole, add_hole, clock_line, epoch_line, unexplained
from sensord.log.journal.retention import SETTLE_US
from sensord.log.journal.runs import Intake, Run
from sensord.log.journal.shape import Shape
from sensord.log.journal.statistics import State, Statistics
from sensord.log.journal.strays import parts
from sensord.log.journal.survey import Survey, survey
from sensord.log.journal.takeover import Takeover, take_over
from sensord.log.journal.timeline import ClockRecord, Timeline
from sensord.log.journal.view import OpenSegment, View, view_of
from sensord.mcap.disk import Disk, is_full
from sensord.model.readings import Record

__all__ = ["Commit", "Writer"]

RETRY_US = 5_000_000
"""Between tries to write to a full disk, and before the first one on a failed disk."""
MAX_RETRY_US = 60_000_000
"""The time between tries on a failed disk doubles up to this."""
UNBOUNDED = 1 << 62
"""The reservation of an epoch that the disk does not know: its offsets cannot be given again."""
MAX_WAITING_BYTES = 8 << 20
"""Readings kept in memory for a failed disk, as messages: about 180,000."""


class Commit(NamedTuple):
    """What a commit came to."""

    committed_offset: int
    """Readings before this offset survive a power cut."""
    reserved: int
    """The log may hand out offsets below this one; see `Writer.renew_epoch`."""
    state: State


class Writer:
    """Writes one journal."""

    def __init__(
        self, options: Options, *, shape: Shape | None = None, disk: Disk | None = None
    ) -> None:
        self.hold: int | None = None
        """Readings from this offset on are not removed for their age: an uplink needs them."""
        self._folder = Path(options.folder)
        self._shape = shape or Shape.of(options)
        self._disk = disk or Disk()
        self._lock = FolderLock(self._folder)
        self._store = Store(self._disk, self._folder, self._shape)
        self._is_open = False
        self._intake = Intake(0, 2 * self._shape.chunk_bytes)
        self._waiting: deque[Run] = deque()
        self._lost: list[Hole] = []
        """Holes that came while no store was open to note them."""
        self._disk_number = 0
        self._mount: Path | None = None
        """What the folder was below when it was first opened."""
        self._timeline = Timeline()
        self._is_clock_known = False
        """Whether the last clock record is of this run."""
        self._epochs: list[str] = [""]
        """All that the log had, the present one last."""
        self._state = State.OK
        self._reason = ""
        self._retry_us = 0
        self._retry_in_us = RETRY_US
        self._stepped_us = 0
        self._opened_us = 0
        self._now_us = 0
        self._committed = 0
        self._commits = 0
        self._recorded = 0
        self._view = View(self._folder, "", (), (), (), {}, ())

    @property
    def epoch(self) -> str:
        """The id of the log's present epoch."""
        return self._epochs[-1]

    @property
    def reserved(self) -> int:
        """The log may hand out offsets below this one; at it, it must call `renew_epoch`."""
        store = self._store
        return store.reserved if store.reserved_epoch == self.epoch else UNBOUNDED

    @property
    def view(self) -> View:
        """The parts of the journal as of the last commit, for `Reader`."""
        return self._view

    # -- opening and closing --------------------------------------------------------------------

    def open(self, wall_us: int, monotonic_us: int, going_on: Takeover | None = None) -> Recovery:
        """Lock the folder, repair the journal, and return where the log continues.

        A disk that is full or fails does not prevent that; see `statistics` for the state. A log
        that runs already may continue unchanged if the recovery has its epoch.

        Raises:
            JournalError: The folder cannot be made or read, another process writes it, or a newer
                sensord wrote it.
        """
        self._opened_us = self._stepped_us = self._now_us = monotonic_us
        try:
            found = self._look()
        except OSError as error:
            self._lock.release()
            text = f"cannot open the journal in {self._folder}: {error.strerror or error}"
            self._state, self._reason = State.FAILED, text
            raise JournalError(text) from error
        except JournalError as error:
            self._lock.release()
            self._state, self._reason = State.FAILED, str(error)
            raise
        self._mount = mount_of(self._folder)
        reason = "not committed when the daemon ended: the last interval's readings,"
        reason += " or all since the disk failed"
        known = [*found.facts.holes, *found.missing]
        for start, end in unexplained(found.end, found.next_offset, known):
            found.missing.append(Hole(start, end - start, reason))
        self._epochs = found.epochs if found.epoch else [secrets.token_hex(8)]
        lost = None if going_on is None else take_over(found, going_on)
        if going_on is not None and lost is not None:
            self._epochs = [*found.epochs, going_on.epoch]
            self._store.dropped += lost
        # Even if writing fails: what can be read is.
        self._view = view_of(self._folder, found)
        self._intake.next_offset = self._committed = found.next_offset
        self._store.numbering = Numbering(found.facts.channels)
        self._timeline = Timeline.of(found.facts.clocks)
        if not self._try(lambda: self._open_store(found, wall_us)) and not self._store.reserved:
            self._lost = list(found.missing)
            if lost is None:
                # The old epoch's offsets are not ours to give without a reservation.
                self.renew_epoch()
        self._publish()
        return recovery_of(found, self._epochs)

    def _look(self) -> Survey:
        place = missing_mount(self._folder)
        if place is None and self._mount is not None and not self._mount.is_mount():
            place = self._mount
        if place is not None:
            raise JournalError(f"nothing is mounted at {place}, where {self._folder} should be")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock.take()
        self._disk_number = self._folder.stat().st_dev
        return survey(self._folder)

    def _open_store(self, found: Survey, wall_us: int) -> None:
        for part in parts(self._folder):
            self._disk.remove(part)
        store = Store(self._disk, self._folder, self._shape)
        store.timeline = self._timeline
        try:
            numbering, next_offset = self._store.numbering, self._intake.next_offset
            store.open(found, self._epochs, next_offset, numbering, wall_us)
        except OSError:
            store.abandon()
            raise
        store.dropped = self._store.dropped
        self._store, self._is_open, self._lost = store, True, []
        store.settle(wall_us)

    def _open_again(self, wall_us: int) -> None:
        """Open the folder once more after an error; the log continued meanwhile.

        Raises:
            OSError: It cannot be opened, or contains another journal.
        """
        try:
            self._cut_unsynced()
            found = self._look()
        except JournalError as error:
            raise OSError(0, str(error)) from error
        if found.end > self._intake.next_offset or found.epoch not in ("", *self._epochs):
            raise OSError(0, "another journal stands in the folder")
        while self._waiting and self._waiting[0].block.end <= found.end:
            self._waiting.popleft()
        if self._waiting:
            run = self._waiting[0]
            self._waiting[0] = run._replace(block=run.block.since(found.end))
        # The holes known here are more complete than a survey can find.
        found.missing = self._lost + [
            Hole(start, end - start, hole.reason)
            for hole in found.missing
            for start, end in unexplained(hole.first, hole.end, self._lost)
        ]
        self._open_store(found, wall_us)

    def _cut_unsynced(self) -> None:
        """Cut what a failed sync may have left in the kernel's memory but not on the device."""
        segment = self._store.segments.current
        if segment is not None and segment.path.exists():
            descriptor = self._disk.open(segment.path)
            try:
                self._disk.truncate(descriptor, segment.size)
            finally:
                self._disk.close(descriptor)

    def close(self, wall_us: int, monotonic_us: int) -> None:
        """Seal everything and give the folder back.

        Raises:
            JournalError: Not all could be written; what was committed is safe.
        """
        self.hurry()
        self.commit((), wall_us, monotonic_us)
        try:
            if self._is_open:
                self._store.close(self._intake.next_offset, wall_us)
        except OSError as error:
            raise JournalError(f"the journal was not closed: {error}") from error
        finally:
            self._publish()
            self._is_open = False
            self._lock.release()
        if self._waiting:
            raise JournalError(f"the journal was not closed: {self._reason}")

    def hurry(self) -> None:
        """Retry with the next commit, however recently the disk failed."""
        self._retry_us = 0

    def abandon(self) -> None:
        """Give everything back as it is, like a process that is killed."""
        self._store.abandon()
        self._is_open = False
        self._lock.release()

    # -- committing -----------------------------------------------------------------------------

    def commit(
        self,
        records: Sequence[Record],
        wall_us: int,
        monotonic_us: int,
        clocks: Sequence[ClockRecord] = (),
    ) -> Commit:
        """Make records safe, and do what is due; call it without records, too.

        ``clocks`` are new clock records. Nothing is removed for its age before the first.

        Raises:
            ValueError: Offsets do not rise.
        """
        self._now_us = monotonic_us
        for clock in clocks:
            self._note_clock(clock)
        stepped = self._intake.clock_stepped(wall_us, monotonic_us)
        if stepped:
            self._stepped_us = monotonic_us
        if records:
            self._admit(records, wall_us, stepped=stepped)
        may_try = self._state is State.OK or monotonic_us >= self._retry_us
        if may_try or self._is_open:
            self._try(lambda: self._write(wall_us, may_try=may_try))
        waiting = sum(run.block.raw_bytes for run in self._waiting)
        while waiting > MAX_WAITING_BYTES:
            block = self._waiting.popleft().block
            waiting -= block.raw_bytes
            self._lose(block.first, block.end, f"dropped: {self._reason}")
        self._publish()
        return Commit(self._committed, self.reserved, self._state)

    def _note_clock(self, record: ClockRecord) -> None:
        self._timeline = self._store.timeline = self._timeline.adding(record)
        self._store.numbering.unwritten.append(clock_line(record))
        self._is_clock_known = True

    def _admit(self, records: Sequence[Record], wall_us: int, *, stepped: bool) -> None:
        """Queue records for the disk."""
        channels = set(map(itemgetter(2), records))
        is_admitted = self._store.numbering.admit(channels)
        if not is_admitted and self._is_open and self._try(lambda: self._renumber(wall_us)):
            is_admitted = self._store.numbering.admit(channels)
        if is_admitted:
            ids, now_us = self._store.numbering.ids, self._now_us
            self._waiting.extend(
                self._intake.take(records, ids, stepped=stepped, monotonic_us=now_us)
            )
        else:
            first, end = records[0].offset, records[-1].offset + 1
            self._lose(first, end, "dropped: too many channels")
            self._intake.next_offset = end
            self._intake.begin_segment()

    def _renumber(self, wall_us: int) -> None:
        self._write(wall_us, may_try=True)
        self._store.renumber(wall_us)

    def _write(self, wall_us: int, *, may_try: bool) -> None:
        if not self._is_open:
            self._open_again(wall_us)
        store, now_us = self._store, self._now_us
        while self._waiting:
            run = self._waiting[0]
            store.commit(run, wall_us, now_us, try_full=may_try)
            self._waiting.popleft()
            self._committed = run.block.end
            self._recorded += run.block.count
            self._commits += 1
        store.reserve(self._intake.next_offset, only_if_low=True)
        if may_try:
            if store.segments.unsealed or store.segments.full_reason:
                store.settle(wall_us)
            store.tick(wall_us, now_us)
            if now_us - self._stepped_us >= SETTLE_US and self._is_clock_known:
                store.segments.hold = self.hold
                store.segments.remove_expired(self._timeline.records, now_us)

    def _try(self, act: Callable[[], None]) -> bool:
        """Do something with the disk; what comes of it is the state from now on."""
        try:
            act()
        except OSError as error:
            is_done = False
            if is_full(error) and self._is_open:
                self._state = State.FULL
            else:
                self._state = State.FAILED
                self._give_up()
            self._reason = error.strerror or str(error)
        else:
            is_done = True
            self._reason = self._store.segments.full_reason
            self._state = State.FULL if self._reason else State.OK
        if self._state is State.OK:
            self._retry_in_us = RETRY_US
        elif self._now_us >= self._retry_us:
            self._retry_us = self._now_us + self._retry_in_us
            if self._state is State.FAILED:
                self._retry_in_us = min(2 * self._retry_in_us, MAX_RETRY_US)
        return is_done

    def _give_up(self) -> None:
        """Close the files; what is not in a segment may not be in the ring either.

        The folder is released too: somebody may have to unmount its disk.
        """
        store = self._store
        self._waiting.extendleft(reversed(store.pending))
        store.pending.clear()
        self._lost += store.holes
        self.abandon()

    def _lose(self, first: int, end: int, reason: str) -> None:
        hole = Hole(first, end - first, reason)
        if self._is_open:
            self._store.lose(hole)
        else:
            self._store.dropped += hole.count
            add_hole(self._lost, hole)

    def rotate(self, wall_us: int, monotonic_us: int) -> Commit:
        """Seal what there is, so that all of it is in complete files."""
        self._now_us = monotonic_us
        if self._is_open:
            self._try(lambda: self._store.settle(wall_us))
        self._publish()
        return Commit(self._committed, self.reserved, self._state)

    def renew_epoch(self) -> str:
        """Continue under a new epoch; offsets keep rising.

        The log must call this before it assigns an offset at `reserved`: the disk has not accepted
        a reservation for so long that after a crash the same offset might be given again.
        """
        self._store.former = [*self._epochs]
        self._epochs.append(secrets.token_hex(8))
        self._store.segments.epoch = self.epoch
        self._store.numbering.unwritten.append(epoch_line(self.epoch))
        self._intake.begin_segment()
        return self.epoch

    # -- telling --------------------------------------------------------------------------------

    def _publish(self) -> None:
        if not self._is_open:
            return  # what was readable still is
        store = self._store
        unsealed = [
            OpenSegment(left.path, left.first, left.walk.size, tuple(left.walk.located()))
            for left in store.segments.unsealed
        ]
        current = store.segments.current
        if current is not None:
            chunks = tuple(current.chunks)
            unsealed.append(OpenSegment(current.path, current.first, current.size, chunks))
        self._view = View(
            self._folder,
            self.epoch,
            tuple(store.segments.sealed),
            tuple(unsealed),
            tuple([run.block for run in store.pending]),
            store.numbering.channels,
            store.holes,
            store.numbered_from,
            timeline=self._timeline,
        )

    def statistics(self) -> Statistics:
        """Return the journal's state; may be called from any thread."""
        view = self._view
        parts = [*(s.bytes for s in view.sealed), self._shape.ring_bytes]
        parts += [part.size for part in view.unsealed]
        return Statistics(
            state=self._state,
            reason=self._reason,
            epoch=self.epoch,
            oldest_offset=view.start,
            oldest_us=view.sealed[0].start_us if view.sealed else 0,
            committed_offset=self._committed,
            waiting=sum(run.block.count for run in tuple(self._waiting)),
            commits=self._commits,
            recorded=self._recorded,
            dropped=self._store.dropped,
            segments=len(view.sealed) + len(view.unsealed),
            used_bytes=sum(parts),
            written_bytes=self._disk.written_bytes,
            syncs=self._disk.syncs,
            disk=self._disk_number,
            elapsed_us=self._now_us - self._opened_us,
        )
