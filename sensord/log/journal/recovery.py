"""What a start found in the journal's folder, as values and as sentences for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sensord.log.journal.damage import Damage
from sensord.log.journal.registry import Hole
from sensord.log.journal.strays import Stray
from sensord.log.journal.survey import Survey
from sensord.log.journal.timeline import Timeline
from sensord.mcap.channels import Described

__all__ = ["Recovery", "recovery_of"]


class Recovery(NamedTuple):
    """What was found at start and what was done about it."""

    epochs: tuple[str, ...]
    """All that the log had in this folder, the present one last."""
    end: int
    """The offset after the last reading."""
    next_offset: int
    """The offset at which the log continues."""
    is_new: bool
    """There was no journal, or none that could be read."""
    was_closed: bool
    recovered: int
    """Readings that were in no sealed segment, and can be read."""
    unreadable: int
    """Readings that were in no sealed segment, and cannot be read."""
    truncated_bytes: int
    """Cut off the end of the open segment: what a commit had not finished."""
    holes: tuple[Hole, ...]
    """What was found missing now."""
    damage: tuple[Damage, ...]
    """What was found damaged now; of holes, those that damage made."""
    strays: tuple[Stray, ...]
    """Files in the folder that are not part of it."""
    findings: tuple[str, ...]
    """All of this as sentences."""
    channels: tuple[Described, ...]
    """The topics and metadata that the journal knows."""
    timeline: Timeline
    """What the wall clock was worth."""
    last_us: int | None
    """The log time of the last reading, if there is one."""

    @property
    def missing(self) -> list[Hole]:
        """The holes that no damage made, as far as anybody knows."""
        damaged = {(damage.first, damage.count) for damage in self.damage}
        return [hole for hole in self.holes if (hole.first, hole.count) not in damaged]

    @property
    def epoch(self) -> str:
        """The present epoch."""
        return self.epochs[-1]


def recovery_of(found: Survey, epochs: Sequence[str]) -> Recovery:
    """Sum up a survey."""
    recovered, unreadable = sum(block.count for _, block in found.needed), 0
    cut = 0
    for left in found.unsealed:
        recovered += left.walk.readings
        unreadable += sum(located.count for located in left.walk.located()) - left.walk.readings
        cut += left.walk.size - left.walk.sound_bytes if left.walk.is_clean else 0
    return Recovery(
        tuple(epochs),
        found.end,
        found.next_offset,
        found.is_empty,
        found.was_closed,
        recovered,
        unreadable,
        cut,
        tuple(found.missing),
        tuple(found.damage),
        tuple(found.strays),
        tuple(_sentences(found, recovered, unreadable, cut)),
        tuple(found.facts.channels.values()),
        Timeline.of(found.facts.clocks),
        _last_us(found),
    )


def _last_us(found: Survey) -> int | None:
    ends = [(part.end, part.end_us) for part in found.sealed[-1:]]
    for left in found.unsealed:
        ends += [(part.end, part.entry.end_ns // 1000) for part in left.walk.located()]
    ends += [(block.end, block.log_us[-1]) for _, block in found.needed[-1:]]
    return max(ends)[1] if ends else None


def _sentences(found: Survey, recovered: int, unreadable: int, cut: int) -> Iterator[str]:
    if not found.was_closed:
        lost = f", {unreadable} cannot be read" if unreadable else ""
        yield f"the journal was not closed; {recovered} readings were recovered{lost}"
    yield from found.findings
    if cut:
        yield f"{cut} bytes that were not wholly written were cut off"
    for left in found.unsealed:
        if not left.walk.is_clean:
            yield f"{left.path.name} is damaged; what is whole was copied to new segments"
