"""Damage that a start or a read found: where it is, what it costs, and whether it was reported.

Theory of operation. Code that meets damage describes it as a `Damage` and continues. The daemon has
one `Ledger`: it keeps each damage once, so that the log names it once, and counts what is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sensord.log.journal.strays import Stray
from sensord.mcap.channels import Described
from sensord.mcap.segment import Located

__all__ = ["Damage", "Ledger", "Losses", "Report", "damaged_chunk", "ignore"]

MOST = 10_000
"""Damages that are kept apart. Beyond it they are counted, but no longer logged: a disk that is
this damaged must fill neither the memory nor the log."""

TOPICS_NAMED = 8
"""Topics that a sentence names; the fields have all."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One damaged place, and the readings that it costs."""

    file: str
    reason: str
    at: int | None = None
    """The byte at which it begins, where that is known."""
    first: int = 0
    count: int = 0
    """The offsets that are lost, from ``first`` on; 0 if nothing is lost."""
    topics: tuple[str, ...] = ()
    """Topics whose readings may be among them; empty if unknown."""
    start_us: int | None = None
    end_us: int | None = None
    """When these were logged, where that is known."""

    @property
    def key(self) -> tuple[str, int | None, int, int]:
        """The identity of a damage: its offsets, or without a loss its place."""
        # A segment is renamed when it is sealed, and may be copied: offsets stay.
        return ("", None, self.first, self.count) if self.count else (self.file, self.at, 0, 0)

    @property
    def fields(self) -> dict[str, object]:
        """The fields of its log line."""
        fields: dict[str, object] = {"file": self.file}
        if self.at is not None:
            fields["at"] = self.at
        fields["reason"] = self.reason
        if self.count:
            fields |= {"first": self.first, "count": self.count}
        if self.topics:
            fields["topics"] = " ".join(self.topics)
        if self.start_us is not None and self.end_us is not None:
            fields |= {"start_us": self.start_us, "end_us": self.end_us}
        return fields

    def __str__(self) -> str:
        place = f"{self.file}" if self.at is None else f"{self.file}, byte {self.at}"
        text = f"{place}: {self.reason}"
        if self.count:
            text += f"; {self.count} offsets from {self.first} on cannot be read"
        if self.topics:
            more = len(self.topics) - TOPICS_NAMED
            named = " ".join(self.topics[:TOPICS_NAMED])
            text += f"; topics {named}" + (f" and {more} more" if more > 0 else "")
        return text


Report = Callable[[Damage, Exception | None], None]
"""Called with each damage that a read met; the exception is that of an unforeseen fault."""


def ignore(_damage: Damage, _cause: Exception | None) -> None:
    """Report nothing: the holes name what is lost."""


def damaged_chunk(
    file: str, located: Located, reason: str, channels: Mapping[int, Described]
) -> Damage:
    """Describe a chunk whose content cannot be read, from the data around it."""
    entry = located.entry
    numbers = {number for number, _ in entry.channels()}
    return Damage(
        file,
        reason,
        entry.position,
        located.first,
        located.count,
        topics_of(numbers, channels),
        entry.start_ns // 1000,
        entry.end_ns // 1000,
    )


def topics_of(numbers: Iterable[int], channels: Mapping[int, Described]) -> tuple[str, ...]:
    """Return the topics of channel numbers, as far as they are known."""
    return tuple(sorted({channels[number].topic for number in numbers if number in channels}))


class Losses(NamedTuple):
    """What a ledger counts."""

    damaged: int
    """Damaged places."""
    lost: int
    """Offsets that cannot be read because of them."""
    unforeseen: int
    """Reads that failed in an unforeseen way."""


class Ledger:
    """The damage that was found since the start; any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[tuple[str, int | None, int, int]] = set()
        self._losses = Losses(0, 0, 0)
        self.strays: tuple[Stray, ...] = ()
        """Files in the folder that are not part of the journal, as the start found them."""

    def add(self, damage: Damage, *, is_unforeseen: bool = False) -> bool:
        """Enter damage; return whether it is to be reported, which it is once."""
        with self._lock:
            damaged, lost, unforeseen = self._losses
            unforeseen += is_unforeseen
            is_new = damage.key not in self._known
            if is_new:
                damaged, lost = damaged + 1, lost + damage.count
            self._losses = Losses(damaged, lost, unforeseen)
            if is_new and len(self._known) < MOST:
                self._known.add(damage.key)
                return True
            return False

    def losses(self) -> Losses:
        """Return the counts."""
        return self._losses
