"""All segments of one journal: the one being written, the sealed ones, and room for them.

Every method leaves files and memory in agreement, also when it raises: unfinished work counts as
not begun, and may be repeated.

Source: docs/journal.md, Sealing, and Retention and the full disk.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sensord.log.journal import registry
from sensord.log.journal.cases import SegmentDecision
from sensord.log.journal.registry import Registry, Sealed
from sensord.log.journal.repair import resume, rewrite
from sensord.log.journal.retention import count_expired
from sensord.log.journal.shape import Shape
from sensord.log.journal.survey import Unsealed
from sensord.log.journal.timeline import ClockRecord
from sensord.mcap.block import Block
from sensord.mcap.channels import Described
from sensord.mcap.chunk import ChunkCodec, EncodedChunk
from sensord.mcap.disk import Disk, is_full
from sensord.mcap.segment import SegmentWriter, open_path, sealed_path

__all__ = ["Segments"]


class Segments:
    """Writes the open segment, seals it, and removes the oldest."""

    def __init__(self, disk: Disk, folder: Path, shape: Shape, registry: Registry) -> None:
        self.sealed: list[Sealed] = []
        self.unsealed: list[Unsealed] = []
        """Left by a crash, and not mended yet."""
        self.current: SegmentWriter | None = None
        self.epoch = ""
        self.end = 0
        """The offset after the last reading in a segment."""
        self.full_reason = ""
        """Why the last write found no room, empty if it did."""
        self.hold: int | None = None
        """Segments with readings from this offset on are not removed for their age."""
        self._disk = disk
        self._folder = folder
        self._shape = shape
        self._registry = registry
        self._codec = ChunkCodec()

    def settle(self, channels: Mapping[int, Described], wall_us: int) -> None:
        """Repair the files that a crash left open; the last one may be continued.

        Raises:
            OSError: It is not finished; another try continues where this one stopped.
        """
        while self.unsealed:
            self.seal(wall_us)
            left = self.unsealed[0]
            if left.decision is SegmentDecision.RESUME:
                segment = resume(self._disk, left, channels, self._facts(left.first))
                self.current = segment
                if not segment.chunks:
                    self._forget_current()
            else:
                made: list[Sealed] = []
                self.with_room(
                    lambda left=left, made=made: made.extend(  # type: ignore[misc]  # see B023
                        rewrite(self._disk, left, channels, self._facts, wall_us)
                    )
                )
                self.sealed = sorted([*self.sealed, *made])
            self.unsealed.pop(0)

    def append(
        self, blocks: Sequence[Block], channels: Mapping[int, Described], wall_us: int, *, new: bool
    ) -> None:
        """Write blocks that follow each other as one chunk, in a new segment if it must be.

        Raises:
            OSError: They are in no segment.
        """
        first, start_us = blocks[0].first, blocks[0].log_us[0]
        segment = self.current
        if segment is not None and (
            new or first != segment.end or start_us * 1000 < segment.end_ns
        ):
            self.seal(wall_us)
        if self.current is None:
            path = open_path(self._folder, first)
            self._disk.remove(path)
            self.current = SegmentWriter(self._disk, path, first, self._facts(first))
        chunk = self._codec.encode(blocks)
        for number in chunk.counts:
            if not self.current.knows(number):
                self.current.define(number, channels[number])
        self._append(self.current, chunk)
        self.end = self.current.end

    def seal_if_large(self, wall_us: int) -> None:
        """Seal the open segment when it has its size.

        Raises:
            OSError: It is still open.
        """
        if self.current is not None and self.current.size >= self._shape.segment_bytes:
            self.seal(wall_us)

    def _append(self, segment: SegmentWriter, chunk: EncodedChunk) -> None:
        try:
            self.with_room(lambda: segment.append(chunk))
        except OSError:
            if not segment.chunks:
                self._forget_current()
            raise

    def _facts(self, first: int) -> dict[str, str]:
        return {"format": str(registry.FORMAT), "epoch": self.epoch, "first_offset": str(first)}

    def _forget_current(self) -> None:
        """Remove the open segment, which holds nothing."""
        assert self.current is not None
        self.current.close()
        self._disk.remove(self.current.path)
        self.current = None

    def seal(self, wall_us: int) -> None:
        """Seal the open segment, if there is one.

        Raises:
            OSError: It is still open.
        """
        segment = self.current
        if segment is None:
            return
        sizes: list[int] = []
        path = sealed_path(self._folder, segment.first)
        self.with_room(lambda: sizes.append(segment.seal(path)))
        times = (segment.start_ns // 1000, segment.end_ns // 1000, wall_us)
        sealed = Sealed(segment.first, segment.end - segment.first, *times, sizes[0])
        self.sealed.append(sealed)
        self.current = None
        # Only a cache: without the line a reader uses the summary.
        with contextlib.suppress(OSError):
            self._registry.append([registry.sealed_line(sealed)], sync=False)
        while self.used_bytes() > self._shape.max_bytes and self._remove_oldest():
            pass

    def used_bytes(self) -> int:
        """Return how much of the disk the journal has."""
        sizes = [segment.bytes for segment in self.sealed]
        sizes += [segment.walk.size for segment in self.unsealed]
        return sum(sizes) + (self.current.size if self.current else 0) + self._shape.ring_bytes

    def with_room(self, write: Callable[[], None]) -> None:
        """Write, removing the oldest sealed segments while space is missing.

        Raises:
            OSError: No space can be made, or the disk fails.
        """
        while True:
            try:
                self._check_free()
                write()
            except OSError as error:
                if not is_full(error):
                    raise
                self.full_reason = error.strerror or "no space left"
                if not self._remove_oldest():
                    raise
            else:
                self.full_reason = ""
                return

    def _check_free(self) -> None:
        if self._disk.free_bytes(self._folder) < self._shape.min_free:
            text = f"less than {self._shape.min_free / (1 << 20):g} MiB of the disk are free"
            raise OSError(errno.ENOSPC, text)

    def remove_expired(self, records: Sequence[ClockRecord], monotonic_us: int) -> None:
        """Remove what is older than it may be, by the clock records.

        Raises:
            OSError: The disk fails.
        """
        age_us = self._shape.max_age_us
        for _ in range(count_expired(self.sealed, records, monotonic_us, age_us)):
            if self.hold is not None and self.sealed[0].end > self.hold:
                break
            self._remove_oldest()

    def _remove_oldest(self) -> bool:
        if not self.sealed:
            return False
        oldest = self.sealed[0]
        # First, so that nobody takes the file for lost; on a full disk there is room after.
        is_noted = self._note_removal(oldest)
        self._disk.remove(sealed_path(self._folder, oldest.first))
        if not is_noted:
            self._note_removal(oldest)
        del self.sealed[0]
        return True

    def _note_removal(self, segment: Sealed) -> bool:
        try:
            self._registry.append([registry.removed_line(segment.end)], sync=False)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Give the open segment back as it is."""
        if self.current is not None:
            with contextlib.suppress(OSError):
                self.current.close()
            self.current = None
