"""What is to be known of a recording before its readings are read, and what may be asked of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from sensord.errors import SensordError
from sensord.log.journal import Batch, Hole
from sensord.mcap.batch import Rows
from sensord.mcap.channels import Described
from sensord.model.topics import matches

__all__ = [
    "EVERYTHING",
    "Contents",
    "Lines",
    "Recording",
    "RecordingError",
    "Selection",
    "Span",
    "Topic",
    "damaged_of",
    "topics_of",
]


class RecordingError(SensordError):
    """A file or folder that holds no readings that sensord can read."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Span:
    """Where a recording begins and ends.

    Units: ``start_us`` and ``end_us`` are the log times of the first and last reading.
    """

    epoch: str
    """Empty if the recording names no log."""
    first: int
    end: int
    """The offset after the last reading; equal to ``first`` if there is none."""
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class Topic:
    """A recording's description of a topic; one with two types or units is two."""

    topic: str
    type: str
    """The type of its values, or how its messages are encoded if that is not JSON."""
    unit: str
    count: int


@dataclass(slots=True)
class Contents:
    """What is in a recording."""

    what: str
    span: Span
    bytes: int
    topics: list[Topic] = field(default_factory=list)
    segments: int | None = None
    """Sealed segments; None in a single file."""
    open_readings: int = 0
    """Readings in a segment that is still open."""
    ring_readings: int = 0
    """Readings that are in the commit ring only."""
    unread: int = 0
    """Of the readings, those that are there and cannot be read."""
    holes: list[Hole] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def readings(self) -> int:
        """How many readings there are."""
        return sum(topic.count for topic in self.topics)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which readings are asked for: begins are included, ends are not."""

    topics: Sequence[str] | None = None
    """Filters; None for all, those under ``$sys`` too."""
    start: int | None = None
    stop: int | None = None
    since_us: int | None = None
    until_us: int | None = None
    limit: int | None = None
    is_since_ago: bool = False
    """Whether ``since_us`` was counted back, so that it is time that really passed."""
    is_until_ago: bool = False

    def wants(self, topic: str) -> bool:
        """Return whether a topic is asked for."""
        return self.topics is None or any(matches(pattern, topic) for pattern in self.topics)

    def is_within(self, start_ns: int, end_ns: int) -> bool:
        """Return whether a span of log times overlaps the time asked for."""
        is_late = self.until_us is not None and start_ns >= self.until_us * 1000
        is_early = self.since_us is not None and end_ns < self.since_us * 1000
        return not is_late and not is_early

    def narrow(self, rows: Rows) -> Rows:
        """Keep the readings with the offsets and log times that are asked for."""
        if self.start is not None or self.stop is not None:
            stop = (1 << 64) if self.stop is None else self.stop
            rows = rows.between(self.start or 0, stop)
        since, until = self.since_us, self.until_us
        return rows.within(
            None if since is None else since * 1000, None if until is None else until * 1000
        )


EVERYTHING = Selection()


def topics_of(counts: Counter[Described]) -> list[Topic]:
    """Turn counts of channels into counts of topics, in the order of their names."""
    total: Counter[tuple[str, str, str]] = Counter()
    for described, count in counts.items():
        metadata = described.metadata
        total[described.topic, metadata.type.value, metadata.unit] += count
    return [Topic(*key, count) for key, count in sorted(total.items())]


class Recording(Protocol):
    """A journal's folder or an MCAP file; opened for reading, never written."""

    path: Path

    def span(self) -> Span:
        """Return where it begins and ends.

        Raises:
            RecordingError, JournalError: It cannot be read.
        """
        ...

    def contents(self) -> Contents:
        """Describe its content.

        Raises:
            RecordingError, JournalError: It cannot be read.
        """
        ...

    def notes(self) -> list[str]:
        """Report oddities besides holes."""
        ...

    def scan(self, selection: Selection) -> Iterator[Batch | Hole]:
        """Read it in the order in which it was recorded, with its holes.

        Raises:
            RecordingError, JournalError: It cannot be read.
        """
        ...


@runtime_checkable
class Lines(Protocol):
    """A recording made of lines, of which each may be damaged by itself."""

    def damaged(self) -> int:
        """Count the lines that could not be read."""
        ...


def damaged_of(recording: Recording) -> int:
    """Count the lines of a recording that could not be read; 0 of one that has no lines."""
    return recording.damaged() if isinstance(recording, Lines) else 0
