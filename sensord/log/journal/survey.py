"""Examine a journal's folder without changing anything: what it has, what is missing.

This is the first half of a start. A reader of a folder that another process writes does no more.

Source: docs/journal.md, Start-up and Reading while the daemon writes.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import assert_never

from sensord.errors import JournalError
from sensord.log.journal import registry, ring
from sensord.log.journal.cases import (
    EPOCH,
    REGISTRY,
    RING,
    SEGMENT,
    EpochDecision,
    RegistryDecision,
    RingDecision,
    SegmentDecision,
)
from sensord.log.journal.damage import Damage, damaged_chunk
from sensord.log.journal.registry import (
    FORMAT,
    FORMER_KEPT,
    Facts,
    Hole,
    Sealed,
    read_facts,
    unexplained,
)
from sensord.log.journal.ring import SLOT_BYTES, Flag, Frame, decode_body, read_ring
from sensord.log.journal.strays import (
    HIGHEST,
    Stray,
    conflict_reason,
    is_proven,
    list_segments,
    stray_reason,
)
from sensord.mcap.block import Block
from sensord.mcap.channels import Described, described
from sensord.mcap.chunk import ChunkCodec
from sensord.mcap.regular import open_regular, read_regular
from sensord.mcap.segment import Located, open_path, sealed_path
from sensord.mcap.table import Table, read_table, walk_file
from sensord.mcap.table import read_facts as read_head
from sensord.mcap.walk import Walk
from sensord.model.readings import Metadata, ValueType

__all__ = ["RESERVE", "Survey", "Unsealed", "survey"]

RESERVE = 1 << 24
"""How many offsets a commit reserves beyond its last reading."""

_EPOCH = re.compile("[0-9a-f]{16}")

_REASONS = {
    Flag.DROPPED_FULL: "dropped: the disk was full",
    Flag.DROPPED_FAILED: "dropped: the disk failed",
}


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A segment that has no footer yet."""

    path: Path
    first: int
    walk: Walk
    decision: SegmentDecision = SegmentDecision.RESUME

    @property
    def end(self) -> int:
        """The offset after its last whole reading."""
        chunks = self.walk.chunks
        return chunks[-1].located.end if chunks else self.first


@dataclass(slots=True)
class Survey:
    """The content of the folder."""

    facts: Facts
    epoch: str = ""
    sealed: list[Sealed] = field(default_factory=list)
    unsealed: list[Unsealed] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    needed: list[tuple[Frame, Block]] = field(default_factory=list)
    """The frames whose readings no segment has."""
    missing: list[Hole] = field(default_factory=list)
    """What was found missing now; what was known before is in the facts."""
    damage: list[Damage] = field(default_factory=list)
    """What was found damaged now, with and without a loss."""
    strays: list[Stray] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    end: int = 0
    """The offset after the last reading."""
    next_offset: int = 0
    """The first offset that surely was never given to a reading."""
    was_closed: bool = True
    cases: dict[str, str] = field(default_factory=dict)
    """The labels of the cases that hold, by file, and of the epoch: see `cases`."""

    @property
    def epochs(self) -> list[str]:
        """All the epochs that the log had, the present one last; empty if none is known."""
        former = [epoch for epoch in self.facts.epochs if epoch != self.epoch]
        return [*former, self.epoch] if self.epoch else former

    @property
    def sure_epochs(self) -> set[str]:
        """All the epochs that the log had, or none if there may have been others."""
        facts, known = self.facts, self.known_epochs
        if self.listed_epochs is not None:
            return known
        if len(facts.former) >= FORMER_KEPT or facts.has_lost_epochs(known):
            return set()
        return known

    @property
    def may_lack_epochs(self) -> bool:
        """Whether damage may have lost former epochs."""
        if self.listed_epochs is not None or len(self.facts.former) >= FORMER_KEPT:
            return False
        return self.facts.has_lost_epochs(self.known_epochs)

    @property
    def known_epochs(self) -> set[str]:
        """The epochs that the log surely had."""
        listed = self.listed_epochs or ()
        return {*self.facts.epochs, *listed, *(frame.head.epoch for frame in self.frames)}

    @property
    def listed_epochs(self) -> tuple[str, ...] | None:
        """The epochs before the present one, if a frame of the present one lists them."""
        present = self.frames[-1].head.epoch if self.frames else ""
        of_present = (frame.former for frame in self.frames if frame.head.epoch == present)
        return next((former for former in of_present if former is not None), None)

    def epochs_at(self, first: int) -> set[str]:
        """All epochs that a segment from an offset on can have, or none if that is uncertain.

        Former epochs lie before the present one. So after its oldest frame it does not matter if
        the registry has lost a former one.
        """
        if sure := self.sure_epochs:
            return sure
        present = self.frames[-1].head.epoch if self.frames else ""
        firsts = [frame.head.first for frame in self.frames if frame.head.epoch == present]
        if not firsts or first < min(firsts):
            return set()
        return self.known_epochs

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
    for at in found.facts.damaged:
        found.damage.append(Damage(registry.NAME, "a damaged line", at))
    codec, tables = ChunkCodec(), dict[int, Table]()
    segments, found.strays = list_segments(folder, found.facts.sealed)
    files = [
        _looked_at(folder, found, first, codec, is_open=is_open) for first, is_open in segments
    ]
    ours = list(_belonging(found, [file for file in files if file is not None]))
    for file in ours:
        _enter(found, file)
        if file.table is not None:
            tables[file.first] = file.table
    _restore_epochs(found, ours)
    found.sealed.sort()
    found.unsealed.sort(key=lambda segment: segment.first)
    found.end = max([0, *(s.end for s in found.sealed), *(s.end for s in found.unsealed)])
    _restore_channels(folder, found, tables, codec)
    _name_damage(found, tables)
    _name_gaps(folder, found)
    _choose_frames(found, codec)
    _name_channels(found)
    _choose_epoch(found)
    _choose_next_offset(found)
    return found


def _read_ring(path: Path) -> list[Frame]:
    try:
        return read_ring(read_regular(path))
    except FileNotFoundError:
        return []


@dataclass(slots=True, eq=False)
class _File:
    """A segment's file, as far as it had to be looked into."""

    path: Path
    first: int
    is_open: bool
    known: Sealed | None
    """The registry's line for it."""
    size: int = 0
    walk: Walk | None = None
    table: Table | None = None
    facts: Mapping[str, str] | None = None
    """The facts at its head, unless the registry lists it."""
    error: OSError | None = None

    def look(self, codec: ChunkCodec, *, needs_head: bool) -> None:
        """Read what must be known of it; ``needs_head`` if also the head of a listed one.

        Raises:
            FileNotFoundError: It was sealed or removed since it was listed.
        """
        try:
            descriptor = open_regular(self.path)
            try:
                self.size = os.fstat(descriptor).st_size
                if self.is_open or not self.is_listed or needs_head:
                    self.facts = read_head(descriptor)
                if self.is_open:
                    self.walk = walk_file(descriptor, self.first, codec)
                elif not self.is_listed:
                    self.table = read_table(descriptor, self.first, codec)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            raise
        except OSError as error:
            self.error = error

    @property
    def is_listed(self) -> bool:
        return self.known is not None and self.known.bytes == self.size

    @property
    def span(self) -> tuple[int, int] | None:
        """The offset of its first reading, and the one after its last."""
        if self.walk is not None and self.walk.chunks:
            return self.walk.chunks[0].located.first, self.walk.chunks[-1].located.end
        if self.table is not None and self.table.chunks:
            return self.table.chunks[0].first, self.table.chunks[-1].end
        return None if self.known is None else (self.known.first, self.known.end)

    @property
    def is_believed(self) -> bool:
        """Whether it belongs to this journal, whatever its head names."""
        return self.known is not None or self.error is not None


def _looked_at(
    folder: Path, found: Survey, first: int, codec: ChunkCodec, *, is_open: bool
) -> _File | None:
    path = open_path(folder, first) if is_open else sealed_path(folder, first)
    file = _File(path, first, is_open, found.facts.sealed.get(first))
    try:
        file.look(codec, needs_head=found.may_lack_epochs)
    except FileNotFoundError:  # sealed or removed meanwhile
        return _looked_at(folder, found, first, codec, is_open=False) if is_open else None
    return file


def _belonging(found: Survey, files: Sequence[_File]) -> Iterator[_File]:
    """Yield the segments that are this journal's; the others are strays."""
    known = found.known_epochs
    proven = {file for file in files if file.is_believed or is_proven(file.facts, known)}
    spans = [file.span for file in proven if file.span is not None]
    is_sure = bool(found.sure_epochs)
    listed_end = max((one.end for one in found.facts.sealed.values()), default=0) if is_sure else 0
    for file in files:
        begins, end = file.span or (None, file.first)
        reason = None
        if not file.is_believed:
            epochs = found.epochs_at(file.first)
            reason = stray_reason(file.first, file.facts, epochs, begins=begins)
        if reason is None and file not in proven:
            reason = conflict_reason(file.first, end, spans, listed_end)
        if reason is None:
            yield file
        else:
            found.strays.append(Stray(file.path.name, reason))


def _restore_epochs(found: Survey, ours: Sequence[_File]) -> None:
    """Add the former epochs that a damaged registry lacks, from the ring, else from the segments.

    The next start must not refuse the segments of an epoch that only this one knew.
    """
    lost = found.listed_epochs
    if found.may_lack_epochs:
        heads = sorted((f.first, f.facts["epoch"]) for f in ours if f.facts and "epoch" in f.facts)
        lost = tuple(dict.fromkeys(epoch for _, epoch in heads))
    known = {*found.facts.epochs, *(frame.head.epoch for frame in found.frames[-1:])}
    fresh = [epoch for epoch in lost or () if not is_proven({"epoch": epoch}, known)]
    found.facts.former[:0] = [epoch for epoch in fresh if _EPOCH.fullmatch(epoch)]


def _enter(found: Survey, file: _File) -> None:
    first = file.first
    is_indexed = file.table is not None and file.table.is_indexed
    is_clean = file.walk is not None and file.walk.is_clean
    case = SEGMENT.case(file.error is None, file.is_open, file.is_listed, is_indexed, is_clean)
    found.cases[file.path.name] = case.label
    match case.decision:
        case SegmentDecision.LEAVE:
            _leave_alone(found, file, first)
        case SegmentDecision.TRUST:
            assert file.known is not None
            found.sealed.append(file.known)
        case SegmentDecision.ENTER | SegmentDecision.WALK:
            assert file.table is not None
            found.sealed.append(_entry(first, file.table))
        case SegmentDecision.RESUME | SegmentDecision.COPY:
            assert file.walk is not None
            found.unsealed.append(Unsealed(file.path, first, file.walk, case.decision))
        case _:
            assert_never(case.decision)


def _entry(first: int, table: Table) -> Sealed:
    end = table.end if table.end is not None else first
    times = (table.start_ns // 1000, table.end_ns // 1000, table.end_ns // 1000)
    return Sealed(first, end - first, *times, table.size)


def _leave_alone(found: Survey, file: _File, first: int) -> None:
    """Name a segment that cannot be read now: that must not hide the others."""
    assert file.error is not None
    damage, known = Damage(file.path.name, f"cannot be read: {file.error.strerror}"), file.known
    if known is not None:
        # Listed as it was: who reads it finds the hole, or finds that it can be read again.
        found.sealed.append(known)
        times = (known.start_us, known.end_us)
        damage = Damage(damage.file, damage.reason, None, first, known.count, (), *times)
    found.damage.append(damage)


def _restore_channels(
    folder: Path, found: Survey, tables: dict[int, Table], codec: ChunkCodec
) -> None:
    """Add the channels that a damaged registry lacks, from the segments.

    A channel's line precedes that of any segment that uses it. So a registry without damaged lines
    lacks at most channels of the segments that it does not list.
    """
    facts, sources = found.facts, dict[int, Mapping[int, Described]]()
    lists_all = all(facts.sealed.get(segment.first) == segment for segment in found.sealed)
    case = REGISTRY.case(bool(facts.epoch), not facts.damaged, lists_all and not tables)
    found.cases[registry.NAME] = case.label
    if case.decision is RegistryDecision.READ_ALL:
        for segment in found.sealed:
            if segment.first not in tables:
                with contextlib.suppress(OSError):
                    tables[segment.first] = _table(folder, segment.first, codec)
    sources |= {first: table.channels for first, table in tables.items()}
    for left in found.unsealed:
        records = left.walk.channels.values()
        sources[left.first] = {r.id: described(r.topic, r.metadata) for r in records}
    known, taken = facts.channels, set(facts.channels.values())
    restored = 0
    # The newest first: after a renumbering, the ring has the newest meaning.
    for _, channels in sorted(sources.items(), reverse=True):
        for number, channel in channels.items():
            if channel not in taken:
                known[number if number not in known else max(known) + 1] = channel
                taken.add(channel)
                restored += 1
    if restored and not found.is_empty:
        found.findings.append(f"{restored} channels that the registry lacked are in the segments")


def _table(folder: Path, first: int, codec: ChunkCodec) -> Table:
    descriptor = open_regular(sealed_path(folder, first))
    try:
        return read_table(descriptor, first, codec)
    finally:
        os.close(descriptor)


def _name_damage(found: Survey, tables: dict[int, Table]) -> None:
    """Name what is damaged inside the segments that were looked into."""
    channels = found.facts.channels
    for left in found.unsealed:
        for located in left.walk.located():
            if located.first in left.walk.broken:
                reason = "the content of a chunk is damaged"
                found.damage.append(damaged_chunk(left.path.name, located, reason, channels))
        for at in left.walk.damaged_channels:
            found.damage.append(Damage(left.path.name, "the record of a channel is damaged", at))
        if not left.walk.is_clean and not left.walk.is_cut_behind_chunk:
            reason = "something that is not what should stand there"
            found.damage.append(Damage(left.path.name, reason, left.walk.sound_bytes))
        _name_gaps_in(found, left.path.name, left.first, left.walk.located())
    for first, table in tables.items():
        name = sealed_path(Path(), first).name
        if not table.is_indexed:
            found.damage.append(Damage(name, "a damaged summary; what is whole is read", 0))
            found.findings.append(f"{name}: the summary is damaged, the rest is read")
        _name_gaps_in(found, name, first, table.chunks)
        known = found.facts.sealed.get(first)
        end = table.end if table.end is not None else first
        if known is not None and known.end > end:
            times = (table.end_ns // 1000, known.end_us)
            _lose(found, Damage(name, "its end is gone", None, end, known.end - end, (), *times))


def _name_gaps_in(found: Survey, name: str, first: int, chunks: Sequence[Located]) -> None:
    for located in chunks:
        if located.first > first:
            _lose(found, Damage(name, "damaged", None, first, located.first - first))
        first = located.end


def _name_gaps(folder: Path, found: Survey) -> None:
    """Name what is missing between the segments: those whose files are gone, and all else."""
    parts = sorted(
        [(s.first, s.end) for s in found.sealed] + [(s.first, s.end) for s in found.unsealed]
    )
    here = {first for first, _ in parts}
    _name_removed(folder, found, here)
    if not parts:
        return
    oldest = parts[0][0]
    for first, known in sorted(found.facts.sealed.items()):
        # Retention removes the oldest first; a mere reader sees this meanwhile.
        if first > oldest and first not in here and _stands(folder, oldest):
            name, times = sealed_path(folder, first).name, (known.start_us, known.end_us)
            _lose(found, Damage(name, "the file is gone", None, first, known.count, (), *times))
    end = oldest
    for first, stop in parts:
        if first > end:
            _lose(found, Damage("", "missing between two segments", None, end, first - end))
        end = max(end, stop)


def _name_removed(folder: Path, found: Survey, here: set[int]) -> None:
    """Name the oldest segments whose files are gone, unless retention removed them."""
    gone = [first for first in found.facts.sealed if first < min(here, default=HIGHEST)]
    if found.facts.removed_before is None or not gone:
        return
    # Again: it may have removed them since.
    removed = read_facts(folder / registry.NAME).removed_before or 0
    for first in sorted(gone):
        if first >= removed:
            known = found.facts.sealed[first]
            name, times = sealed_path(folder, first).name, (known.start_us, known.end_us)
            found.damage.append(
                Damage(name, "the file is gone", None, first, known.count, (), *times)
            )


def _stands(folder: Path, first: int) -> bool:
    return sealed_path(folder, first).exists() or open_path(folder, first).exists()


def _lose(found: Survey, damage: Damage) -> None:
    """Note offsets that no hole explains, and that they are lost by damage."""
    holes = [*found.facts.holes, *found.missing]
    for start, stop in unexplained(damage.first, damage.first + damage.count, holes):
        lost = replace(damage, first=start, count=stop - start)
        reason = f"{damage.reason} ({damage.file})" if damage.file else damage.reason
        found.missing.append(Hole(start, stop - start, reason))
        found.damage.append(lost)


def _choose_frames(found: Survey, codec: ChunkCodec) -> None:
    if not found.frames:
        return
    newest = found.frames[-1]
    limit = max(found.end, newest.head.needed)
    if found.sealed or found.unsealed:
        dropped = _REASONS.get(newest.head.flags & ~Flag.CLOSED)
        if dropped is None:
            _lose(found, _frames(found.end, limit, "missing between the segments and the ring"))
        else:
            for start, stop in unexplained(found.end, limit, found.facts.holes):
                found.missing.append(Hole(start, stop - start, dropped))
    for frame in found.frames:
        head = frame.head
        if head.end <= limit or not head.count:
            continue
        _lose(found, _frames(limit, head.first, "a damaged frame in the ring"))
        block = None
        if frame.body is not None:
            try:
                block = decode_body(frame.body, head, codec)
            except (ValueError, TypeError):
                block = None
        if block is not None:
            found.needed.append((frame, block.since(limit)))
        elif frame is newest:
            _lose(
                found, _frames(head.first, head.end, "cut off while they were committed", head.slot)
            )
        else:
            _lose(found, _frames(head.first, head.end, "a damaged frame in the ring", head.slot))
        limit = head.end
    found.end = limit


def _frames(first: int, end: int, reason: str, slot: int | None = None) -> Damage:
    at = None if slot is None else slot * SLOT_BYTES
    return Damage(ring.NAME, reason, at, first, max(0, end - first))


def _name_channels(found: Survey) -> None:
    """Give every number in use a channel, even if the registry is damaged."""
    known = found.facts.channels
    used = {number for _, block in found.needed for number in block.ids}
    for left in found.unsealed:
        used |= left.walk.numbers
    for number in sorted(used - known.keys()):
        known[number] = Described(f"unknown/{number}", Metadata(type=ValueType.JSON))
        text = f"the topic of channel {number} is lost; its newest readings are unknown/{number}"
        found.findings.append(text)
        topic = known[number].topic
        found.damage.append(
            Damage(registry.NAME, f"the topic of channel {number} is lost", topics=(topic,))
        )


def _choose_epoch(found: Survey) -> None:
    case = EPOCH.case(bool(found.frames), bool(found.facts.epoch))
    found.cases["epoch"] = case.label
    match case.decision:
        case EpochDecision.RING:
            found.epoch = found.frames[-1].head.epoch
        case EpochDecision.REGISTRY:
            found.epoch = found.facts.epoch
        case EpochDecision.NEW:
            # It is unknown which offsets were given under the old one.
            found.epoch = ""
        case _:
            assert_never(case.decision)


def _choose_next_offset(found: Survey) -> None:
    given = max([found.end, *(hole.end for hole in found.facts.holes)])
    newest = found.frames[-1] if found.frames else None
    is_journal = bool(found.sealed or found.unsealed or found.facts.epoch)
    has_closed = (
        newest is not None and Flag.CLOSED in newest.head.flags and newest.head.reserved >= given
    )
    is_whole = newest is not None and newest.body is not None
    case = RING.case(newest is not None, is_journal, has_closed, is_whole)
    found.cases[ring.NAME] = case.label
    found.was_closed = case.decision in {RingDecision.BEGIN, RingDecision.CONTINUE}
    match case.decision:
        case RingDecision.BEGIN:
            found.next_offset = 0
        case RingDecision.SKIP:
            found.next_offset = given + 2 * RESERVE
            reason = f"there is no frame; what only it had, from offset {found.end} on, is lost"
            found.damage.append(Damage(ring.NAME, reason))
        case RingDecision.CONTINUE:
            found.next_offset = found.frames[-1].head.reserved
        case RingDecision.RESERVED | RingDecision.CUT:
            reserved = max(frame.head.reserved for frame in found.frames)
            found.next_offset = max(reserved, given)
        case _:
            assert_never(case.decision)
