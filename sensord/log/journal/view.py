"""What a reader needs to know of a journal at one moment: frozen, so that threads may share it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sensord.log.journal.damage import Damage
from sensord.log.journal.registry import Hole, Sealed
from sensord.log.journal.survey import Survey, survey
from sensord.log.journal.timeline import Timeline
from sensord.mcap.block import Block
from sensord.mcap.channels import Described, described
from sensord.mcap.segment import Located

__all__ = ["OpenSegment", "View", "look"]


class OpenSegment(NamedTuple):
    """A segment without a footer: its writer, or a walk, knows its chunks."""

    path: Path
    first: int
    size: int
    chunks: tuple[Located, ...]


class View(NamedTuple):
    """The parts of a journal, in the order of their offsets."""

    folder: Path
    epoch: str
    sealed: tuple[Sealed, ...]
    unsealed: tuple[OpenSegment, ...]
    pending: tuple[Block, ...]
    """Readings that are in the ring only."""
    channels: Mapping[int, Described]
    """What the numbers in ``unsealed`` and ``pending`` mean."""
    holes: tuple[Hole, ...]
    numbered_from: int = 0
    """Before this offset the numbers of channels had other meanings."""
    damage: tuple[Damage, ...] = ()
    """What was found damaged when the folder was looked at."""
    timeline: Timeline = Timeline()

    def channels_of(self, part: Sealed, walked: Mapping[int, Described]) -> Mapping[int, Described]:
        """Return the channels of a sealed segment whose summary is damaged.

        ``walked`` are those in its data, where no CRC covered them before 0.2: where the registry
        differs, it is believed.
        """
        if part.first < self.numbered_from:
            return walked
        known = set(self.channels.values())
        believed = {n: c for n, c in walked.items() if c in known or n not in self.channels}
        return {**self.channels, **believed}

    @property
    def is_empty(self) -> bool:
        """Whether there is no reading."""
        return not (self.sealed or self.unsealed or self.pending)

    @property
    def start(self) -> int:
        """The offset of the oldest reading."""
        firsts = [part.first for part in self.sealed[:1]]
        firsts += [part.first for part in self.unsealed]
        firsts += [block.first for block in self.pending[:1]]
        return min(firsts, default=0)

    @property
    def end(self) -> int:
        """The offset after the newest reading, or the hole that follows it."""
        ends = [hole.end for hole in self.holes]
        ends += [self.sealed[-1].end] if self.sealed else []
        ends += [part.chunks[-1].end for part in self.unsealed if part.chunks]
        ends += [self.pending[-1].end] if self.pending else []
        return max(ends, default=0)


def look(folder: Path) -> View:
    """Look at a folder that another process may be writing.

    Raises:
        OSError: It cannot be read.
        JournalError: A newer sensord wrote it.
    """
    return view_of(folder, survey(folder))


def view_of(folder: Path, found: Survey) -> View:
    """Turn a survey into what a reader needs."""
    channels: dict[int, Described] = {}
    for left in found.unsealed:
        for record in left.walk.channels.values():
            channels[record.id] = described(record.topic, record.metadata)
    # The registry has a CRC a line, the open segment has none for its channels.
    channels |= found.facts.channels
    return View(
        folder,
        found.epoch,
        tuple(found.sealed),
        tuple(
            OpenSegment(left.path, left.first, left.walk.size, tuple(left.walk.located()))
            for left in found.unsealed
        ),
        tuple(block for _, block in found.needed),
        channels,
        (*found.facts.holes, *found.missing),
        found.facts.numbered_from,
        tuple(found.damage),
        timeline=Timeline.of(found.facts.clocks),
    )
