"""A journal's folder as a recording; a daemon may be writing it meanwhile."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sensord.log.journal import Batch, Damage, Hole, Reader
from sensord.log.journal.registry import NAME as REGISTRY
from sensord.log.journal.registry import Sealed
from sensord.log.journal.ring import NAME as RING
from sensord.log.journal.view import View
from sensord.log.journal.window import Bound, Window
from sensord.mcap.channels import Described
from sensord.mcap.chunk import ChunkCodec
from sensord.mcap.regular import open_regular
from sensord.mcap.segment import sealed_path
from sensord.mcap.table import Table, read_table
from sensord.recordings.contents import Contents, RecordingError, Selection, Span, topics_of

__all__ = ["JournalFolder"]


class JournalFolder:
    """A journal as it was when this was made: what a daemon adds later is not read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = Reader(path, report=self._met)
        self._damage: dict[object, Damage] = {}
        self._view = self._reader.view()
        if not (self._view.epoch or self._view.sealed or self._view.unsealed):
            hint = "; give the .mcap files in it" if any(path.glob("*.mcap")) else ""
            raise RecordingError(path, f"there is no journal in this folder{hint}")

    def span(self) -> Span:
        """Return where it begins and ends."""
        view = self._view
        starts = [(part.first, part.start_us) for part in view.sealed[:1]]
        starts += [(x.first, x.chunks[0].entry.start_ns // 1000) for x in view.unsealed if x.chunks]
        starts += [(block.first, block.log_us[0]) for block in view.pending[:1]]
        ends = [(part.end, part.end_us) for part in view.sealed[-1:]]
        for segment in view.unsealed:
            ends += [(chunk.end, chunk.entry.end_ns // 1000) for chunk in segment.chunks[-1:]]
        ends += [(block.end, block.log_us[-1]) for block in view.pending[-1:]]
        first, start_us = min(starts, default=(0, 0))
        end, end_us = max(ends, default=(first, start_us))
        return Span(view.epoch, first, end, start_us, end_us)

    def notes(self) -> list[str]:
        """Return what is damaged, as far as looking at the folder shows."""
        return [str(damage) for damage in self._view.damage]

    def _met(self, damage: Damage, _cause: Exception | None) -> None:
        """Note what a read meets."""
        self._damage[damage.key] = damage

    def scan(self, selection: Selection) -> Iterator[Batch | Hole]:
        """Read it up to where it ended when it was opened."""
        asked, end = selection, self._view.end
        return self._reader.scan(
            asked.start,
            end if asked.stop is None else min(asked.stop, end),
            topics=asked.topics,
            limit=asked.limit,
            window=self._window(asked),
            corrections=self._view.timeline.corrections,
        )

    def _window(self, asked: Selection) -> Window:
        timeline = self._view.timeline

        def bound(time_us: int | None, *, is_ago: bool) -> Bound | None:
            if time_us is None:
                return None
            return Bound(time_us, timeline.present if is_ago else timeline.corrections)

        return Window(
            bound(asked.since_us, is_ago=asked.is_since_ago),
            bound(asked.until_us, is_ago=asked.is_until_ago),
        )

    def contents(self) -> Contents:
        """Describe its content: sealed segments by their summaries, others by all their records."""
        view = self._view
        found = Contents("journal", self.span(), self._bytes(), segments=len(view.sealed))
        found.notes = self.notes()
        found.open_readings = sum(chunk.count for part in view.unsealed for chunk in part.chunks)
        found.ring_readings = sum(block.count for block in view.pending)
        counts: Counter[Described] = Counter()
        settled = _settled(view)
        for part in settled:
            self._count_sealed(part, counts, found.notes)
        boundary = settled[-1].end if settled else None
        if boundary is not None:
            # Without a topic no chunk is decoded, but the holes between them are named.
            named = self._reader.scan(stop=boundary, topics=())
            found.holes += [item for item in named if isinstance(item, Hole)]
        for item in self._reader.scan(boundary, view.end):
            if isinstance(item, Hole):
                found.holes.append(item)
                continue
            for number, count in Counter(item.numbers).items():
                channel = item.channel(number)
                counts[Described(channel.topic, channel.metadata)] += count
        said = {damage.key for damage in view.damage}
        found.notes += [str(damage) for key, damage in self._damage.items() if key not in said]
        found.topics = topics_of(counts)
        return found

    def _count_sealed(self, part: Sealed, counts: Counter[Described], notes: list[str]) -> None:
        try:
            table = _table_of(sealed_path(self.path, part.first), part.first)
        except OSError as error:
            # Retention removes segments while we look; the scan names the hole.
            notes.append(f"segment {part.first:020}: {error.strerror}")
            return
        if not table.is_indexed:
            notes.append(f"segment {part.first:020}: its summary is damaged")
        for number, count in table.counts.items():
            if number in table.channels:
                counts[table.channels[number]] += count

    def _bytes(self) -> int:
        sizes = [part.bytes for part in self._view.sealed]
        sizes += [part.size for part in self._view.unsealed]
        for name in (RING, REGISTRY):
            path = self.path / name
            sizes.append(path.stat().st_size if path.exists() else 0)
        return sum(sizes)


def _settled(view: View) -> list[Sealed]:
    """Return the sealed segments before the first reading that is in none.

    After a crash during a repair an open segment may lie between sealed ones.
    """
    begins = [part.first for part in view.unsealed] + [block.first for block in view.pending]
    limit = min(begins, default=view.end)
    return [part for part in view.sealed if part.end <= limit]


def _table_of(path: Path, first: int) -> Table:
    descriptor = open_regular(path)
    try:
        return read_table(descriptor, first, ChunkCodec())
    finally:
        os.close(descriptor)
