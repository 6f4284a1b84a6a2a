"""The journal's files as the one who writes them has them: segment, ring, registry, sealed ones.

Every method leaves files and memory in agreement, also when it raises: what it had not finished is
as if it had not begun, and may be tried again. Deciding *when* to try again is the writer's.

Theory of operation. `pending` are the runs that stand in the ring only. A commit goes to the ring,
or, when that makes a chunk's worth, together with the pending runs to the segment. On a full disk
the ring goes on alone, as a window: its oldest runs are dropped for the newest.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from sensord.log.journal import registry
from sensord.log.journal.chunk import ChunkCodec, EncodedChunk
from sensord.log.journal.disk import Disk, is_full
from sensord.log.journal.intake import Run
from sensord.log.journal.numbering import Numbering
from sensord.log.journal.registry import Facts, Missing, Registry, Sealed
from sensord.log.journal.repair import resume, rewrite
from sensord.log.journal.retention import count_expired
from sensord.log.journal.ring import RING_BYTES, Flag, Head, Ring
from sensord.log.journal.segment import SegmentWriter, open_path, sealed_path
from sensord.log.journal.survey import RESERVE, Survey, Unsealed

__all__ = ["CHUNK_BYTES", "Shape", "Store"]

CHUNK_BYTES = 256 << 10
"""Small enough to decode in 5 ms, large enough that indexes cost 0.5 bytes a reading for heads."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes and limits; what an operator sets and what tests make small."""

    max_bytes: int
    max_age_us: int
    min_free: int
    segment_bytes: int
    segment_age_us: int
    chunk_bytes: int = CHUNK_BYTES
    ring_bytes: int = RING_BYTES


class Store:
    """The open files of one journal."""

    def __init__(self, disk: Disk, folder: Path, shape: Shape) -> None:
        self.epoch = ""
        self.sealed: list[Sealed] = []
        self.unsealed: list[Unsealed] = []
        """Left by a crash, and not repaired yet for want of room."""
        self.segment: SegmentWriter | None = None
        self.pending: list[Run] = []
        self.holes: list[Missing] = []
        self.numbering = Numbering({})
        self.reserved = 0
        self.dropped = 0
        self.full_reason = ""
        """Why nothing goes to the segments, empty if all is well."""
        self.hold: int | None = None
        """Segments with readings from this offset on are not removed for their age."""
        self._disk = disk
        self._folder = folder
        self._shape = shape
        self._codec = ChunkCodec()
        self._ring = Ring(disk, folder, shape.ring_bytes)
        self._registry = Registry(disk, folder)
        self._unnamed: list[Missing] = []
        self._flags = Flag.NONE
        self._began_us: int | None = None
        """When the oldest reading that is in no sealed segment was taken, by the monotonic clock."""
        self._wall_us = 0

    # -- opening and closing --------------------------------------------------------------------

    def open(self, found: Survey, epoch: str, next_offset: int) -> None:
        """Take over what a survey found and make a reservation; `settle` repairs it then.

        Raises:
            OSError: Nothing was handed over; what is on the disk is as good as before.
        """
        self.epoch = epoch
        self.sealed, self.unsealed = list(found.sealed), list(found.unsealed)
        oldest = min([s.first for s in found.sealed], default=next_offset)
        self.holes = [hole for hole in found.facts.holes if hole.end > oldest]
        self.numbering = Numbering(found.facts.channels)
        self.pending = [Run(block, begins_segment=True) for _, block in found.needed]
        for hole in found.missing:
            self.note_missing(hole)
        sealed = {segment.first: segment for segment in found.sealed}
        facts = Facts(epoch, found.facts.channels, sealed, self.holes)
        try:
            self._registry.rewrite(facts)
        except OSError as error:
            if not is_full(error):
                raise
            self._registry.open()
        if not found.has_ring:
            self._ring.create()
        else:
            self._ring.adopt(found.frames, [frame for frame, _ in found.needed])
        self.reserve(next_offset)

    def settle(self, wall_us: int) -> None:
        """Seal what a crash left open, and put the ring's readings into a segment.

        Raises:
            OSError: Not all of it is done; trying again goes on where this stopped.
        """
        self._wall_us = wall_us
        while self.unsealed:
            left = self.unsealed[0]
            if left.walk.is_clean:
                segment = resume(self._disk, left, self.numbering.channels, self._facts(left.first))
                self.segment = segment
                self.unsealed.pop(0)
                if not segment.chunks:
                    self._forget_segment()
            else:
                self.sealed += rewrite(self._disk, left, self.numbering.channels, self._facts, wall_us)
                self.sealed.sort()
                self.unsealed.pop(0)
            if self.unsealed:
                self._seal()
        if self.pending:
            self._flush()
        self._seal()

    def close(self, next_offset: int, wall_us: int) -> None:
        """Write out everything, and note that the log ended at ``next_offset``.

        Raises:
            OSError: It is not all written; what was committed stays committed.
        """
        self._wall_us = wall_us
        try:
            if self.pending:
                self._flush()
            self._seal()
        finally:
            # Also on a full disk: the ring needs no room, and the offset is worth having.
            self._write_head(next_offset, next_offset, Flag.CLOSED)
            self.abandon()

    def abandon(self) -> None:
        """Give all files back as they are."""
        for closing in (self._registry.close, self._ring.close):
            with contextlib.suppress(OSError):
                closing()
        if self.segment is not None:
            with contextlib.suppress(OSError):
                self.segment.close()
            self.segment = None

    # -- committing -----------------------------------------------------------------------------

    @property
    def end(self) -> int:
        """The offset behind the last reading in a segment."""
        if self.segment is not None and self.segment.chunks:
            return self.segment.end
        ends = [segment.end for segment in self.unsealed]
        return max([0, *ends, *(segment.end for segment in self.sealed[-1:])])

    @property
    def needed(self) -> int:
        """The first offset that only the ring has."""
        return self.pending[0].block.first if self.pending else self.end

    def commit(self, run: Run, wall_us: int, monotonic_us: int, *, try_full: bool) -> None:
        """Make a run safe: in the ring or in the segment.

        Raises:
            OSError: It is in neither.
        """
        self._wall_us = wall_us
        if self._began_us is None:
            self._began_us = monotonic_us
        self._define()
        body = None
        is_chunk = self._pending_bytes() + run.block.raw_bytes >= self._shape.chunk_bytes
        if not is_chunk:
            body = self._ring.encode(run.block)
            room = self._ring.room_for(body)
            is_chunk = room is None or room[1] > self._ring.slots // 2
        if is_chunk and (try_full or not self.full_reason):
            self.pending.append(run)
            try:
                self._flush()
            except OSError as error:
                if run in self.pending[-1:]:
                    self.pending.pop()
                if not is_full(error):
                    raise
            else:
                return
        self._frame(run, body or self._ring.encode(run.block))

    def _frame(self, run: Run, body: bytes) -> None:
        """Write a run to the ring, dropping the oldest ones there if it must be."""
        while self._ring.room_for(body) is None and self.pending:
            self._drop(self.pending.pop(0).block.end)
        if self._ring.room_for(body) is not None:
            self.reserved = max(self.reserved, run.block.end + RESERVE)
            self._write(run.block.first, run.block.count, body, self._flags)
            self.pending.append(run)
        elif run.block.count > 1:
            for half in run.block.split():
                self._frame(Run(half), self._ring.encode(half))
        else:
            self._drop(run.block.end)

    def _drop(self, end: int) -> None:
        """Lose the readings before ``end`` that are in no segment."""
        first = self._unnamed[-1].end if self._unnamed else self.end
        first = max(first, self.end)
        self.dropped += end - first
        self._flags = Flag.DROPPED_FULL
        self._ring.free(end)
        self.note_missing(Missing(first, end - first, f"dropped: {self.full_reason}"))

    def note_missing(self, hole: Missing) -> None:
        """Remember a hole; it goes into the registry before the segment behind it is written."""
        last = self._unnamed[-1] if self._unnamed else None
        if last is not None and last.end == hole.first and last.reason == hole.reason:
            self._unnamed[-1] = last._replace(count=last.count + hole.count)
        else:
            self._unnamed.append(hole)

    def known_holes(self) -> tuple[Missing, ...]:
        """Return every hole there is to tell of."""
        return (*self.holes, *self._unnamed)

    def reserve(self, next_offset: int, *, only_if_low: bool = False) -> None:
        """Let the log hand out offsets up to `RESERVE` beyond ``next_offset``.

        Raises:
            OSError: It may not.
        """
        if not only_if_low or self.reserved - next_offset < RESERVE // 2:
            self._write_head(next_offset, next_offset + RESERVE, self._flags)

    def _write_head(self, next_offset: int, reserved: int, flags: Flag) -> None:
        self.reserved = reserved
        self._write(next_offset, 0, b"", flags)

    def _write(self, first: int, count: int, body: bytes, flags: Flag) -> None:
        needed = self.needed if self.pending else max(self.end, first if not count else 0)
        head = Head(0, 0, first, count, flags, needed, self.reserved, self.epoch)
        self._ring.write(head, body)

    def _define(self) -> None:
        if self.numbering.unwritten:
            self._registry.append(self.numbering.unwritten, sync=True)
            self.numbering.unwritten.clear()

    def _pending_bytes(self) -> int:
        return sum(run.block.raw_bytes for run in self.pending)

    # -- segments -------------------------------------------------------------------------------

    def tick(self, monotonic_us: int, wall_us: int, *, may_age: bool) -> None:
        """Do what time asks for: rotate by age, remove what is too old or too much.

        Raises:
            OSError: It cannot be done now.
        """
        self._wall_us = wall_us
        began = self._began_us
        if began is not None and monotonic_us - began >= self._shape.segment_age_us:
            self.rotate()
        if may_age:
            self._remove_expired()

    def rotate(self) -> None:
        """Seal everything there is.

        Raises:
            OSError: It is not all sealed.
        """
        if self.pending:
            self._flush()
        self._seal()

    def _flush(self) -> None:
        """Move the pending runs into the segment, one chunk for those that may share one."""
        while self.pending:
            runs = list(_leading(self.pending))
            first = runs[0].block.first
            segment = self.segment
            if segment is not None and (runs[0].begins_segment or first != segment.end):
                self._seal()
            self._name_holes(first)
            if self.segment is None:
                self.segment = self._new_segment(first)
            chunk = self._codec.encode([run.block for run in runs])
            for number in chunk.counts:
                if not self.segment.knows(number):
                    self.segment.define(number, self.numbering.channels[number])
            self._append(self.segment, chunk)
            del self.pending[: len(runs)]
            self._ring.free(chunk.first + sum(chunk.counts.values()))
            self._flags, self.full_reason = Flag.NONE, ""
            if self.segment.size >= self._shape.segment_bytes:
                self._seal()

    def _append(self, segment: SegmentWriter, chunk: EncodedChunk) -> None:
        try:
            self._with_room(lambda: segment.append(chunk))
        except OSError:
            if not segment.chunks:
                self._forget_segment()
            raise

    def _new_segment(self, first: int) -> SegmentWriter:
        path = open_path(self._folder, first)
        self._disk.remove(path)
        return SegmentWriter(self._disk, path, first, self._facts(first))

    def _facts(self, first: int) -> dict[str, str]:
        return {"format": str(registry.FORMAT), "epoch": self.epoch, "first_offset": str(first)}

    def _forget_segment(self) -> None:
        """Remove the open segment, which holds nothing."""
        if self.segment is not None:
            with contextlib.suppress(OSError):
                self.segment.close()
            self._disk.remove(self.segment.path)
            self.segment = None

    def _name_holes(self, first: int) -> None:
        """Write into the registry what is missing before ``first``."""
        covered = max([self.end, *(hole.end for hole in self._unnamed)])
        if self._unnamed or (self.end and first > self.end):
            if first > covered and not any(h.first <= covered < h.end for h in self.holes):
                self.note_missing(Missing(covered, first - covered, "not given to the journal"))
            lines = [registry.hole_line(hole) for hole in self._unnamed]
            if lines:
                self._with_room(lambda: self._registry.append(lines, sync=True))
            self.holes += self._unnamed
            self._unnamed.clear()

    def _seal(self) -> None:
        segment = self.segment
        if segment is None:
            return
        sizes: list[int] = []
        path = sealed_path(self._folder, segment.first)
        self._with_room(lambda: sizes.append(segment.seal(path)))
        times = (segment.start_ns // 1000, segment.end_ns // 1000, self._wall_us)
        sealed = Sealed(segment.first, segment.end - segment.first, *times, sizes[0])
        self.sealed.append(sealed)
        self.segment = self._began_us = None
        # Only a cache: without the line a reader takes the summary.
        with contextlib.suppress(OSError):
            self._registry.append([registry.sealed_line(sealed)], sync=False)
        self._remove_surplus()

    # -- room -----------------------------------------------------------------------------------

    def used_bytes(self) -> int:
        """Return how much of the disk the journal has."""
        sizes = [segment.bytes for segment in self.sealed]
        sizes += [segment.walk.size for segment in self.unsealed]
        return sum(sizes) + (self.segment.size if self.segment else 0) + self._shape.ring_bytes

    def _with_room(self, write: Callable[[], None]) -> None:
        """Write, removing the oldest sealed segments for as long as there is no room."""
        while True:
            try:
                self._check_free()
                write()
            except OSError as error:
                if not is_full(error):
                    raise
                self.full_reason = error.strerror or "the disk is full"
                if not self._remove_oldest():
                    raise
            else:
                return

    def _check_free(self) -> None:
        if self._disk.free_bytes(self._folder) < self._shape.min_free:
            text = f"less than {self._shape.min_free >> 20} MiB of the disk are free"
            raise OSError(28, text)

    def _remove_surplus(self) -> None:
        while self.used_bytes() > self._shape.max_bytes and self._remove_oldest():
            pass

    def _remove_expired(self) -> None:
        for _ in range(count_expired(self.sealed, self._wall_us, self._shape.max_age_us)):
            if self.hold is not None and self.sealed[0].end > self.hold:
                break
            self._remove_oldest()

    def _remove_oldest(self) -> bool:
        if not self.sealed:
            return False
        oldest = self.sealed[0]
        self._disk.remove(sealed_path(self._folder, oldest.first))
        del self.sealed[0]
        self.holes = [hole for hole in self.holes if hole.end > oldest.end]
        return True


def _leading(runs: list[Run]) -> Iterator[Run]:
    """Yield the first runs that may stand in one chunk."""
    end = None
    for run in runs:
        if end is not None and (run.begins_segment or run.block.first != end):
            return
        yield run
        end = run.block.end
