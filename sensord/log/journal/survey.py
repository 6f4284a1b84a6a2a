"""Look at a journal's folder without changing anything: what stands in it, what is missing.

This is the first half of a start, and all that somebody does who reads a folder which another
process writes.

Source: docs/journal.md, Start-up and Reading while the daemon writes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sensord.errors import JournalError
from sensord.log.journal import registry, ring
from sensord.log.journal.registry import FORMAT, Facts, Hole, Sealed, read_facts, unexplained
from sensord.log.journal.ring import Flag, Frame, decode_body, read_ring
from sensord.mcap.block import Block
from sensord.mcap.channels import Described, described
from sensord.mcap.chunk import ChunkCodec
from sensord.mcap.segment import open_path, sealed_path
from sensord.mcap.table import read_table, walk_file
from sensord.mcap.walk import Walk
from sensord.model.readings import Metadata, ValueType

__all__ = ["RESERVE", "Survey", "Unsealed", "survey"]

RESERVE = 1 << 24
"""How many offsets a commit reserves beyond its last reading."""

_REASONS = {
    Flag.DROPPED_FULL: "dropped: the disk was full",
    Flag.DROPPED_FAILED: "dropped: the disk failed",
}
_SEGMENT = re.compile(r"(\d{20})\.mcap(\.open)?")


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A segment that has no footer yet."""

    path: Path
    first: int
    walk: Walk

    @property
    def end(self) -> int:
        """The offset behind its last whole reading."""
        chunks = self.walk.chunks
        return chunks[-1].located.end if chunks else self.first


@dataclass(slots=True)
class Survey:
    """What stands in the folder."""

    facts: Facts
    epoch: str = ""
    sealed: list[Sealed] = field(default_factory=list)
    unsealed: list[Unsealed] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    needed: list[tuple[Frame, Block]] = field(default_factory=list)
    """The frames whose readings no segment has."""
    missing: list[Hole] = field(default_factory=list)
    """What was found missing now; what was known before is in the facts."""
    findings: list[str] = field(default_factory=list)
    end: int = 0
    """The offset behind the last reading."""
    next_offset: int = 0
    """The first offset that surely was never given to a reading."""
    was_closed: bool = True

    @property
    def epochs(self) -> list[str]:
        """All the epochs that the log had, the present one last; empty if none is known."""
        former = [epoch for epoch in self.facts.epochs if epoch != self.epoch]
        return [*former, self.epoch] if self.epoch else former

    @property
    def is_empty(self) -> bool:
        """Whether there is no journal here."""
        return not (self.frames or self.sealed or self.unsealed or self.facts.epoch)


def survey(folder: Path) -> Survey:
    """Look at the folder.

    Raises:
        OSError: It cannot be read.
        JournalError: A newer sensord wrote it.
    """
    # In this order: a reading leaves the ring only after it is in a segment, and a channel is in
    # the registry before a frame uses it.
    frames = _read_ring(folder / ring.NAME)
    found = Survey(read_facts(folder / registry.NAME), frames=frames)
    if found.facts.format > FORMAT:
        raise JournalError(f"{folder} was written by a newer sensord (format {found.facts.format})")
    if found.facts.damaged_lines:
        found.findings.append(f"{found.facts.damaged_lines} damaged lines in the registry")
    codec = ChunkCodec()
    for first, is_open in _segments(folder):
        _look_at_segment(folder, first, found, codec, is_open=is_open)
    found.sealed.sort()
    found.unsealed.sort(key=lambda segment: segment.first)
    found.end = max([0, *(s.end for s in found.sealed), *(s.end for s in found.unsealed)])
    _choose_frames(found, codec)
    _name_channels(folder, found)
    # With neither ring nor registry nobody can say which offsets were given: a new epoch.
    found.epoch = found.frames[-1].head.epoch if found.frames else found.facts.epoch
    _choose_next_offset(found)
    return found


def _read_ring(path: Path) -> list[Frame]:
    try:
        return read_ring(path.read_bytes())
    except FileNotFoundError:
        return []


def _segments(folder: Path) -> list[tuple[int, bool]]:
    """List the segments: first offset, and whether it is unsealed."""

    def names() -> set[str]:
        return {path.name for path in folder.iterdir() if _SEGMENT.fullmatch(path.name)}

    # A rename between two reads of the folder can hide a file; two equal lists cannot both lie.
    seen, again = names(), names()
    while seen != again:
        seen, again = again, names()
    matches = [_SEGMENT.fullmatch(name) for name in seen]
    return sorted((int(match[1]), match[2] is not None) for match in matches if match)


def _look_at_segment(
    folder: Path, first: int, found: Survey, codec: ChunkCodec, *, is_open: bool
) -> None:
    path = open_path(folder, first) if is_open else sealed_path(folder, first)
    known = found.facts.sealed.get(first)
    try:
        if not is_open and known is not None and path.stat().st_size == known.bytes:
            found.sealed.append(known)
            return
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        # Sealed or removed since it was listed.
        if is_open:
            _look_at_segment(folder, first, found, codec, is_open=False)
        return
    try:
        if is_open:
            found.unsealed.append(Unsealed(path, first, walk_file(descriptor, first, codec)))
        else:
            table = read_table(descriptor, first, codec)
            if not table.is_indexed:
                found.findings.append(f"{path.name}: the summary is damaged, the rest is read")
            end = table.end if table.end is not None else first
            times = (table.start_ns // 1000, table.end_ns // 1000, table.end_ns // 1000)
            found.sealed.append(Sealed(first, end - first, *times, table.size))
    finally:
        os.close(descriptor)


def _choose_frames(found: Survey, codec: ChunkCodec) -> None:
    if not found.frames:
        return
    newest = found.frames[-1]
    limit = max(found.end, newest.head.needed)
    if found.sealed or found.unsealed:
        reason = _REASONS.get(newest.head.flags & ~Flag.CLOSED, "no reason is recorded")
        _note_missing(found, found.end, limit, reason)
    for frame in found.frames:
        head = frame.head
        if head.end <= limit or not head.count:
            continue
        _note_missing(found, limit, head.first, "a damaged frame in the ring")
        block = None
        if frame.body is not None:
            try:
                block = decode_body(frame.body, head, codec)
            except (ValueError, TypeError):
                block = None
        if block is not None:
            found.needed.append((frame, block.since(limit)))
        elif frame is newest:
            _note_missing(found, head.first, head.end, "cut off while they were committed")
        else:
            _note_missing(found, head.first, head.end, "a damaged frame in the ring")
        limit = head.end
    found.end = limit


def _note_missing(found: Survey, first: int, end: int, reason: str) -> None:
    """Note the offsets that no hole in the registry explains."""
    for start, stop in unexplained(first, end, found.facts.holes):
        found.missing.append(Hole(start, stop - start, reason))


def _name_channels(folder: Path, found: Survey) -> None:
    """See to it that every number in the ring has a channel, whatever became of the registry."""
    known = found.facts.channels
    unknown = {number for _, block in found.needed for number in block.ids} - known.keys()
    if not unknown:
        return
    for channels in _channels_of_segments(folder, found):
        known.update({n: channels[n] for n in unknown & channels.keys() - known.keys()})
    for number in sorted(unknown - known.keys()):
        known[number] = Described(f"unknown/{number}", Metadata(type=ValueType.JSON))
        text = f"the topic of channel {number} is lost; its newest readings are unknown/{number}"
        found.findings.append(text)


def _channels_of_segments(folder: Path, found: Survey) -> Iterator[dict[int, Described]]:
    for segment in reversed(found.unsealed):
        records = segment.walk.channels.values()
        yield {record.id: described(record.topic, record.metadata) for record in records}
    if found.sealed:
        first = found.sealed[-1].first
        descriptor = os.open(sealed_path(folder, first), os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield dict(read_table(descriptor, first, ChunkCodec()).channels)
        finally:
            os.close(descriptor)


def _choose_next_offset(found: Survey) -> None:
    given = max([found.end, *(hole.end for hole in found.facts.holes)])
    if not found.frames:
        found.was_closed = found.is_empty
        found.next_offset = 0 if found.is_empty else given + 2 * RESERVE
        return
    newest = found.frames[-1].head
    found.was_closed = Flag.CLOSED in newest.flags and newest.reserved >= given
    if found.was_closed:
        found.next_offset = newest.reserved
    else:
        reserved = max(frame.head.reserved for frame in found.frames)
        found.next_offset = max(reserved, given)
