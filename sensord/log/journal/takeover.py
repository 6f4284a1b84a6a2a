"""The adoption of a log that began without its journal.

Pure. Offsets of such a log begin so high that the journal's own are below them.

Source: docs/journal.md, When it cannot be opened.
"""

from __future__ import annotations

from typing import NamedTuple

from sensord.log.journal.registry import Hole
from sensord.log.journal.retention import PLAUSIBLE_FROM_US
from sensord.log.journal.survey import Survey

__all__ = ["Takeover", "first_offset", "take_over"]

_OFFSETS_PER_S = 1 << 20


class Takeover(NamedTuple):
    """A log that has run without its journal."""

    epoch: str
    first: int
    """The offset that it began with."""
    held: int
    """The oldest offset that it still has."""
    reason: str
    """Why there was no journal."""


def first_offset(wall_us: int) -> int:
    """Return where a log begins whose journal is not at hand: beyond all that it may hold."""
    return max(0, wall_us - PLAUSIBLE_FROM_US) // 1_000_000 * _OFFSETS_PER_S


def take_over(found: Survey, log: Takeover) -> int | None:
    """Continue the log in the journal found; return None if the log begins before its end.

    Return how many readings are lost.
    """
    if found.next_offset > log.first:
        return None
    if found.is_empty:
        found.end = log.first
    else:
        reason = "given to no reading: the log began anew without its journal"
        found.missing.append(Hole(found.next_offset, log.first - found.next_offset, reason))
    lost = log.held - log.first
    if lost:
        found.missing.append(Hole(log.first, lost, f"dropped: {log.reason}"))
    found.next_offset = log.held
    return lost
