"""The journal's files for its writer: ring, registry and segments.

Every method leaves files and memory in agreement, also when it raises: unfinished work counts as
not begun, and may be repeated. Deciding *when* to repeat it is the writer's.

Theory of operation. `pending` are the runs that are in the ring only. A commit goes to the ring,
or, when that makes a chunk's worth, together with the pending runs to the segment. On a full disk
the ring continues alone, as a window: its oldest runs are dropped for the newest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from sensord.log.journal.numbering import Numbering
from sensord.log.journal.registry import (
    FORMER_KEPT,
    Facts,
    Hole,
    Registry,
    Sealed,
    add_hole,
    channel_line,
    clock_line,
    epoch_line,
    hole_line,
    unexplained,
)
from sensord.log.journal.ring import Flag, Head, Ring
from sensord.log.journal.runs import Run
from sensord.log.journal.segments import Segments
from sensord.log.journal.shape import Shape
from sensord.log.journal.survey import RESERVE, Survey
from sensord.log.journal.timeline import Timeline
from sensord.mcap.channels import Described
from sensord.mcap.disk import Disk, is_full

__all__ = ["Store"]


class Store:
    """The open files of one journal."""

    def __init__(self, disk: Disk, folder: Path, shape: Shape) -> None:
        self.pending: list[Run] = []
        self.numbering = Numbering({})
        self.reserved = 0
        """The log may hand out offsets below this one."""
        self.reserved_epoch = ""
        """The epoch for which that is so: the one that the disk knows."""
        self.former: list[str] = []
        """The epochs that the log had before this one."""
        self.dropped = 0
        self.numbered_from = 0
        """Before this offset the numbers of channels had other meanings."""
        self._shape = shape
        self._registry = Registry(disk, folder)
        self._ring = Ring(disk, folder, shape.ring_bytes)
        self.segments = Segments(disk, folder, shape, self._registry)
        self.timeline = Timeline()
        """The clock records that belong to the log."""
        self._holes: list[Hole] = []
        self._unnamed: list[Hole] = []
        """Holes that the registry does not have yet."""
        self._flags = Flag.NONE
        self._began_us: int | None = None
        """When the oldest reading that is in no sealed segment came, by the monotonic clock."""

    # -- opening and closing --------------------------------------------------------------------

    def open(
        self,
        found: Survey,
        epochs: Sequence[str],
        next_offset: int,
        numbering: Numbering,
        wall_us: int,
    ) -> None:
        """Adopt the result of a survey and make a reservation; `settle` repairs the files then.

        ``epochs`` are all that the log had, the present one last. ``numbering`` may know more than
        the survey: the numbers assigned while the disk failed.

        Raises:
            OSError: Nothing is open; what is on the disk is as good as before.
        """
        *self.former, self.segments.epoch = epochs
        self.segments.sealed, self.segments.unsealed = list(found.sealed), list(found.unsealed)
        self.pending = [Run(block) for _, block in found.needed]
        self.segments.end = self.pending[0].block.first if self.pending else found.end
        self.numbering = numbering
        self.numbered_from = found.facts.numbered_from
        firsts = [*(s.first for s in found.sealed), *(s.first for s in found.unsealed)]
        oldest = min(firsts, default=self.needed)
        # A hole that ends at the oldest reading explains why there is none before it.
        self._holes = [hole for hole in found.facts.holes if hole.end >= oldest]
        self._unnamed = [hole for hole in found.missing if hole.end >= oldest]
        self._write_facts(found.facts)
        if self._ring.adopt(found.frames, [frame for frame, _ in found.needed]):
            self.reserve(next_offset)
            return
        # There is no usable ring: what was in the old one must be safe before it is replaced.
        self.settle(wall_us)
        self._ring.create()
        self.reserve(next_offset)

    def _write_facts(self, known: Facts) -> None:
        """Rewrite the registry; without space for that, note what it lacks."""
        holes, numbering = [*self._holes, *self._unnamed], self.numbering
        sealed = {segment.first: segment for segment in self.segments.sealed}
        try:
            facts = self._facts(numbering.channels, sealed, holes)
            self._registry.rewrite(facts)
        except OSError as error:
            if not is_full(error):
                raise
            self._registry.open()
            numbering.unwritten = [epoch_line(self.segments.epoch)]
            for number in numbering.channels.keys() - known.channels.keys():
                numbering.unwritten.append(channel_line(number, numbering.channels[number]))
            new = [record for record in self.timeline.records if record not in known.clocks]
            numbering.unwritten += map(clock_line, new)
        else:
            self._holes, self._unnamed = holes, []
            numbering.unwritten.clear()

    def _facts(
        self, channels: dict[int, Described], sealed: dict[int, Sealed], holes: list[Hole]
    ) -> Facts:
        epoch, numbered_from = self.segments.epoch, self.numbered_from
        firsts = [*sealed, *(left.first for left in self.segments.unsealed)]
        clocks = self.timeline.needed_from(min(firsts, default=self.needed))
        return Facts(epoch, channels, sealed, holes, self.former, numbered_from, clocks=clocks)

    def renumber(self, wall_us: int) -> None:
        """Begin again with channel 1, once the old numbers are unused.

        Raises:
            OSError: The old numbers remain.
        """
        self.settle(wall_us)
        sealed = {segment.first: segment for segment in self.segments.sealed}
        self.numbered_from = self.segments.end
        self._registry.rewrite(self._facts({}, sealed, list(self.holes)))
        self.numbering = Numbering({})

    def settle(self, wall_us: int) -> None:
        """Seal the segment that a crash left open, and move the ring's readings into a segment.

        Raises:
            OSError: It is not finished; another try continues where this one stopped.
        """
        self.segments.settle(self.numbering.channels, wall_us)
        self._flush(wall_us)
        self.segments.seal(wall_us)

    def close(self, next_offset: int, wall_us: int) -> None:
        """Write out everything, and note that the log ended at ``next_offset``.

        Raises:
            OSError: It is not all written; what was committed stays committed.
        """
        try:
            self.settle(wall_us)
        finally:
            # Also on a full disk: the ring needs no room, and the offset is worth having.
            try:
                self._write_head(next_offset, next_offset, Flag.CLOSED)
            finally:
                self.abandon()

    def abandon(self) -> None:
        """Give all files back as they are."""
        for closing in (self._registry.close, self._ring.close, self.segments.close):
            with contextlib.suppress(OSError):
                closing()

    # -- committing -----------------------------------------------------------------------------

    @property
    def needed(self) -> int:
        """The first offset that only the ring has, if there is one."""
        return self.pending[0].block.first if self.pending else self.segments.end

    def commit(self, run: Run, wall_us: int, monotonic_us: int, *, try_full: bool) -> None:
        """Make a run safe: in the ring or in the segment.

        Raises:
            OSError: It is in neither.
        """
        if self.numbering.unwritten:
            self._registry.append(self.numbering.unwritten, sync=True)
            self.numbering.unwritten.clear()
        if self._began_us is None:
            self._began_us = monotonic_us
        is_chunk = self.pending_bytes() + run.block.raw_bytes >= self._shape.chunk_bytes
        body = None
        if not is_chunk:
            body = self._ring.encode(run.block)
            is_chunk = self._ring.is_half_full_with(body)
        if not (is_chunk and (try_full or not self.segments.full_reason)):
            self._frame(run, body or self._ring.encode(run.block))
            return
        self.pending.append(run)
        try:
            self._flush(wall_us)
        except OSError as error:
            is_written = not self.pending or self.pending[-1] is not run
            if not is_written:
                self.pending.pop()
            if not is_full(error):
                raise
            if is_written:
                return  # only sealing found no room; it is tried again with the next chunk
            self._frame(run, body or self._ring.encode(run.block))

    def _frame(self, run: Run, body: bytes) -> None:
        """Write a run to the ring, dropping the oldest ones there if it must be."""
        self._drop_until_fits(body)
        if self._ring.fits(body):
            self._write(run.block.first, run.block.count, body, run.block.end + RESERVE)
            self.pending.append(run)
        elif run.block.count > 1:
            for half in run.block.split():
                self._frame(Run(half), self._ring.encode(half))
        else:
            self._drop(run)

    def _drop_until_fits(self, body: bytes) -> None:
        while self.pending and not self._ring.fits(body):
            self._drop(self.pending.pop(0))

    def _drop(self, run: Run) -> None:
        reason = self.segments.full_reason or "no room in the ring"
        self._flags = Flag.DROPPED_FULL
        self._ring.free(run.block.end)
        self.lose(Hole(run.block.first, run.block.count, f"dropped: {reason}"))

    def lose(self, hole: Hole) -> None:
        """Count and remember readings that are lost; the next segment names them."""
        self.dropped += hole.count
        add_hole(self._unnamed, hole)

    @property
    def holes(self) -> tuple[Hole, ...]:
        """All known holes."""
        return (*self._holes, *self._unnamed)

    def reserve(self, next_offset: int, *, only_if_low: bool = False) -> None:
        """Reserve offsets up to `RESERVE` beyond ``next_offset`` for the log.

        Raises:
            OSError: They are not reserved.
        """
        if not only_if_low or self.reserved - next_offset < RESERVE // 2:
            # Twice, so that no single flipped bit can destroy the reservation.
            for _ in range(2):
                self._write_head(next_offset, next_offset + RESERVE, self._flags)

    def _write_head(self, next_offset: int, reserved: int, flags: Flag) -> None:
        self._drop_until_fits(b"")
        self._write(next_offset, 0, b"", reserved, flags)

    def _write(
        self, first: int, count: int, body: bytes, reserved: int, flags: Flag | None = None
    ) -> None:
        flags = self._flags if flags is None else flags
        head = Head(0, 0, first, count, flags, self.needed, reserved, self.segments.epoch)
        self._ring.write(head, body, self.former if len(self.former) < FORMER_KEPT else None)
        self.reserved, self.reserved_epoch = reserved, self.segments.epoch

    def pending_bytes(self) -> int:
        """Return how long the pending runs are as messages."""
        return sum(run.block.raw_bytes for run in self.pending)

    # -- moving to segments ---------------------------------------------------------------------

    def tick(self, wall_us: int, monotonic_us: int) -> None:
        """Seal the segment if it is old enough.

        Raises:
            OSError: It cannot be sealed now.
        """
        began = self._began_us
        if began is not None and monotonic_us - began >= self._shape.segment_age_us:
            self.settle(wall_us)
            self._began_us = None

    def _flush(self, wall_us: int) -> None:
        """Move the pending runs into the segment, one chunk for those that may share one."""
        while self.pending:
            runs = list(_leading(self.pending, self._shape.chunk_bytes))
            blocks = [run.block for run in runs]
            self._name_holes(blocks[0].first)
            new = runs[0].begins_segment
            self.segments.append(blocks, self.numbering.channels, wall_us, new=new)
            del self.pending[: len(runs)]
            self._ring.free(blocks[-1].end)
            self._flags = Flag.NONE
            self.segments.seal_if_large(wall_us)

    def _name_holes(self, first: int) -> None:
        """Write into the registry what is missing before ``first``."""
        for start, end in unexplained(self.segments.end, first, self.holes):
            add_hole(self._unnamed, Hole(start, end - start, "not given to the journal"))
        if self._unnamed:
            lines = [hole_line(hole) for hole in self._unnamed]
            self.segments.with_room(lambda: self._registry.append(lines, sync=True))
            self._holes += self._unnamed
            self._unnamed.clear()


def _leading(runs: list[Run], enough_bytes: int) -> Iterator[Run]:
    """Yield the first runs that may share one chunk, up to a chunk's worth."""
    raw_bytes, before = 0, None
    for run in runs:
        block = run.block
        if before is not None and (
            run.begins_segment
            or block.first != before.end
            or block.log_us[0] < before.log_us[-1]
            or raw_bytes >= enough_bytes
        ):
            return
        yield run
        raw_bytes, before = raw_bytes + block.raw_bytes, block
