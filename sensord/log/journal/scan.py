"""Read a journal: one iterator over sealed segments, the open one and the ring.

Missing and damaged readings come as a `Hole` between the batches, so for every offset a reader
knows whether it was returned, not asked for, or lost, and why.

Theory of operation. A scan takes one look (`View`) at the parts of the journal and reads them in
the order of their offsets; at the end it looks again, until nothing new appears. Each step decodes
one chunk at most, about 5 ms, so a caller may stop, pace or share time between any two. Parts that
the time or the topics rule out are skipped by the registry, the summary or the message indexes,
without decoding.

Damage is a hole, and is reported. So is a read that fails in an unforeseen way: the scan records
which piece it is reading (`_spot`), names it, and resumes after it.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from sensord.errors import JournalError
from sensord.log.journal.damage import Damage, damaged_chunk
from sensord.log.journal.fetch import Source
from sensord.log.journal.registry import Hole, Sealed, explain
from sensord.log.journal.ring import NAME as RING
from sensord.log.journal.timeline import Shifts
from sensord.log.journal.view import OpenSegment, View
from sensord.log.journal.window import Window, correct
from sensord.mcap.batch import Batch, Rows, rows_of_block
from sensord.mcap.block import Block
from sensord.mcap.channels import Described
from sensord.mcap.regular import open_regular
from sensord.mcap.segment import Located, sealed_path
from sensord.model.topics import matches

__all__ = ["Scan", "open_part"]

_ALL = 1 << 64
_Part = Sealed | OpenSegment | Block


class _Spot(NamedTuple):
    """The piece that is being read."""

    damage: Damage
    """What to report if it cannot be."""
    end: int
    """The offset after it."""


class Scan:
    """The iterator: batches of readings, and holes."""

    def __init__(
        self,
        source: Source,
        start: int | None,
        stop: int | None,
        window: Window,
        corrections: Shifts,
        topics: Sequence[str] | None,
        limit: int | None,
    ) -> None:
        self.position = start or 0
        """Everything before this offset was given, or named, or was not asked for."""
        self._source = source
        self._is_from_start = start is None
        self._stop = (1 << 64) if stop is None else stop
        self._window = window
        self._corrections = corrections
        self._topics = None if topics is None else tuple(topics)
        self._left = (1 << 64) if limit is None else limit
        self._is_wanted: dict[Described, bool] = {}
        self._numbered: tuple[Mapping[int, Described], int, set[int]] | None = None
        """The numbers that are asked for, of this mapping when it had this length."""
        self._spot: _Spot | None = None
        self._steps = self._run()

    def __iter__(self) -> Iterator[Batch | Hole]:
        return self

    def __next__(self) -> Batch | Hole:
        """Return the next step.

        Part of the catch-all around a monitor's session, for every read of a journal on its behalf:
        one piece of a disk must not end its reader, nor hide the pieces after it.

        Raises:
            JournalError: The piece that cannot be read is unknown.
        """
        try:
            return next(self._steps)
        except (StopIteration, JournalError):
            raise
        except Exception as error:  # noqa: BLE001  # reported with its traceback
            return self._step_over(error)

    def _step_over(self, error: Exception) -> Hole:
        """Name the piece whose reading failed in an unforeseen way, and continue after it."""
        spot, what = self._spot, f"cannot be read: {type(error).__name__}: {error}"
        if spot is None or spot.end <= self.position:
            raise JournalError(what, first=self.position) from error
        self._source.report(replace(spot.damage, reason=what), error)
        hole = Hole(self.position, spot.end - self.position, f"{_place(spot.damage)} {what}")
        self.position, self._spot, self._is_from_start = spot.end, None, False
        self._steps = self._run()
        return hole

    def close(self) -> None:
        """Release what was read: an unfinished scan holds a chunk, and itself."""
        self._steps.close()

    def _run(self) -> Generator[Batch | Hole]:
        view = self._source.look()
        if self._is_from_start:
            self.position = view.start
        while self.position < min(view.end, self._stop) and self._left:
            yield from self._parts(view)
            if self._left and self.position < self._stop:
                view = self._source.look()

    def _parts(self, view: View) -> Iterator[Batch | Hole]:
        parts: list[_Part] = [*view.sealed, *view.unsealed, *view.pending]
        parts.sort(key=_first)
        # Each ends where the next begins: only the last that begins before the place may hold it.
        reached = max(0, bisect_right(parts, self.position, key=_first) - 1)
        before_ns = _extent(parts[reached - 1])[1] if reached else None
        for i in range(reached, len(parts)):
            part = parts[i]
            start_ns, end_ns, end = _extent(part)
            following = parts[i + 1].first if i + 1 < len(parts) else self._stop
            # A crash during a repair leaves files that overlap: each ends where the next begins.
            bound = min(self._stop, max(following, self.position))
            if end > self.position and part.first < self._stop:
                if part.first > self.position:
                    yield from self._missing(view, part.first, before_ns, start_ns)
                if self._window.may_hold(part.first, end, start_ns, end_ns):
                    yield from self._part(view, part, min(bound, end))
                else:
                    self.position = max(self.position, min(bound, end))
                if not self._left:
                    return
            before_ns = end_ns
        if self.position < min(view.end, self._stop):
            yield from self._missing(view, view.end, before_ns, None)

    def _missing(
        self, view: View, end: int, before_ns: int | None, after_ns: int | None
    ) -> Iterator[Hole]:
        """Name what lies before the next part, unless the time rules it out."""
        end = min(end, self._stop)
        start, window = self.position, self._window
        is_after = window.is_behind(max(0, start - 1), start, before_ns or 0)
        is_before = after_ns is not None and window.is_before(end, end + 1, after_ns)
        if not is_after and not is_before:
            otherwise = "no reason is recorded"
            if self.position < view.start:
                otherwise = "removed by retention"
            yield from explain(self.position, end, view.holes, otherwise)
        self.position = end

    def _part(self, view: View, part: _Part, bound: int) -> Iterator[Batch | Hole]:
        if isinstance(part, Block):
            numbers = self._numbers(view.channels)
            self._spot = _Spot(Damage(RING, "", None, part.first, part.count), bound)
            rows = rows_of_block(part)
            if numbers is not None:
                rows = rows.of_channels(numbers)
            yield from self._give(rows, bound, view.channels)
            return
        whole = _whole(part)
        self._spot = _Spot(whole, bound)
        try:
            descriptor = open_part(view.folder, part)
        except FileNotFoundError:
            reason = "removed by retention meanwhile"
            if _is_missed(view, part):
                reason = f"the file {whole.file} is gone"
                self._source.report(replace(whole, reason="the file is gone"), None)
            yield Hole(self.position, bound - self.position, reason)
            self.position = bound
            return
        except OSError as error:
            reason = f"cannot be read: {error.strerror}"
            self._source.report(replace(whole, reason=reason), None)
            yield Hole(self.position, bound - self.position, f"{whole.file} {reason}")
            self.position = bound
            return
        try:
            if isinstance(part, OpenSegment):
                yield from self._segment(whole, descriptor, part.chunks, view.channels, bound)
            else:
                table = self._source.table(descriptor, part)
                channels = table.channels
                if not table.is_indexed:
                    channels = view.channels_of(part, table.channels)
                yield from self._segment(whole, descriptor, table.chunks, channels, bound)
        finally:
            os.close(descriptor)

    def _segment(
        self,
        whole: Damage,
        descriptor: int,
        chunks: Sequence[Located],
        channels: Mapping[int, Described],
        bound: int,
    ) -> Iterator[Batch | Hole]:
        numbers, is_empty, before = self._numbers(channels), True, whole.first
        for located in chunks:
            gap, before = (before, located.first), located.end
            if located.end <= self.position or located.first >= bound:
                continue
            if located.first > self.position:
                yield self._gap(whole.file, *gap, located.first)
                self.position = located.first
            entry = located.entry
            if not self._window.may_hold(located.first, located.end, entry.start_ns, entry.end_ns):
                self.position = min(located.end, bound)
                continue
            if numbers is not None and not _has_any(located, numbers):
                self.position = min(located.end, bound)
                continue
            end = min(located.end, bound)
            self._spot = _Spot(damaged_chunk(whole.file, located, "", channels), end)
            try:
                if self._source.keeps:
                    batch = self._source.batch(descriptor, located, numbers, channels, self._topics)
                    found = list(self._give_part(batch, end))
                else:
                    rows = self._source.rows(descriptor, located, numbers)
                    found = list(self._give(rows, end, channels))
            except (ValueError, OSError, JournalError) as error:
                reason = f"a damaged chunk: {error}"
                self._source.report(replace(self._spot.damage, reason=reason), None)
                where = _place(self._spot.damage)
                yield Hole(self.position, end - self.position, f"{reason} ({where})")
                self.position = end
                continue
            is_empty = is_empty and not found
            yield from found
            if not self._left:
                return
        if self.position < bound and (not chunks or chunks[-1].end < bound):
            yield self._gap(whole.file, before, bound, bound)
        self.position = max(self.position, bound)
        if is_empty:
            yield Batch(self.position, (), (), (), (), (), None, None, {})

    def _gap(self, file: str, first: int, end: int, stop: int) -> Hole:
        """Report that a file lacks readings that it should have, and return the hole."""
        self._source.report(Damage(file, "damaged", None, first, end - first), None)
        return Hole(self.position, stop - self.position, f"damaged ({file})")

    def _give_part(self, whole: Batch, end: int) -> Iterator[Batch]:
        """Narrow what others read too to what was asked for, and yield it if any is left."""
        exact = self._window.exact_ns(self.position, end)
        if exact is not None:
            yield from self._hand_on(whole.part(self.position, end, *exact, self._left))
        else:
            yield from self._hand_on(self._chosen(whole.part(self.position, end, None, None, _ALL)))

    def _hand_on(self, batch: Batch) -> Iterator[Batch]:
        self._left -= len(batch)
        self.position = batch.next_offset
        if len(batch):
            yield correct(batch, self._corrections)

    def _chosen(self, batch: Batch) -> Batch:
        """Keep what is asked for of readings among which the clock was set."""
        holds = self._window.holds
        records = [record for record in batch.records() if holds(record.offset, record.log_us)]
        chosen = batch.of_records(records[: self._left])
        if len(records) > self._left:
            chosen.next_offset = chosen.offsets[-1] + 1
        return chosen

    def _give(self, rows: Rows, end: int, channels: Mapping[int, Described]) -> Iterator[Batch]:
        """Narrow rows to what was asked for, and yield them if any are left."""
        rows, exact = rows.between(self.position, end), self._window.exact_ns(self.position, end)
        if exact is None:
            batch = rows.parse(end, self._source.channels(channels))
            yield from self._hand_on(self._chosen(batch))
            return
        rows = rows.within(*exact)
        if len(rows) > self._left:
            rows = rows.first(self._left)
            end = rows.offsets[-1] + 1
        if len(rows):
            yield from self._hand_on(rows.parse(end, self._source.channels(channels)))
        else:
            self.position = end

    def _numbers(self, channels: Mapping[int, Described]) -> set[int] | None:
        """Return the numbers of the channels asked for, None for all."""
        if self._topics is None:
            return None
        # The list is made in one step: a writer in another thread may be adding to the mapping.
        known = list(channels.items())
        if self._numbered is None or not (
            self._numbered[0] is channels and self._numbered[1] == len(known)
        ):
            numbers = {number for number, described in known if self._wants(described)}
            self._numbered = (channels, len(known), numbers)
        return self._numbered[2]

    def _wants(self, described: Described) -> bool:
        wanted = self._is_wanted.get(described)
        if wanted is None:
            assert self._topics is not None
            wanted = any(matches(pattern, described.topic) for pattern in self._topics)
            self._is_wanted[described] = wanted
        return wanted


def _first(part: _Part) -> int:
    return part.first


def _extent(part: _Part) -> tuple[int, int, int]:
    """Return the first and last log time and the end of a part."""
    if isinstance(part, Block):
        return part.log_us[0] * 1000, part.log_us[-1] * 1000, part.end
    if isinstance(part, Sealed):
        return part.start_us * 1000, part.end_us * 1000 + 999, part.end
    if not part.chunks:
        return 0, 0, part.first
    start = min(chunk.entry.start_ns for chunk in part.chunks)
    return start, max(chunk.entry.end_ns for chunk in part.chunks), part.chunks[-1].end


def _whole(part: Sealed | OpenSegment) -> Damage:
    """Describe the loss of a whole segment."""
    start_ns, end_ns, end = _extent(part)
    name = part.path.name if isinstance(part, OpenSegment) else sealed_path(Path(), part.first).name
    times = (start_ns // 1000, end_ns // 1000)
    return Damage(name, "", None, part.first, end - part.first, (), *times)


def _is_missed(view: View, part: Sealed | OpenSegment) -> bool:
    """Return whether a file is gone that retention cannot have removed: older ones remain."""
    oldest = view.sealed[0].first if view.sealed else part.first
    return oldest < part.first and sealed_path(view.folder, oldest).exists()


def _place(damage: Damage) -> str:
    return damage.file if damage.at is None else f"{damage.file}, byte {damage.at}"


def open_part(folder: Path, part: Sealed | OpenSegment) -> int:
    """Open the file of a segment.

    Raises:
        OSError: It cannot be opened; `FileNotFoundError` if retention has removed it.
    """
    if isinstance(part, OpenSegment):
        try:
            return open_regular(part.path)
        except FileNotFoundError:
            pass  # sealed since the look
    return open_regular(sealed_path(folder, part.first))


def _has_any(located: Located, numbers: set[int]) -> bool:
    """Return whether a chunk has messages of any of the channels."""
    places = located.entry.places
    return not places or any(number in numbers for number, _ in located.entry.channels())
