"""The journal's facts, one a line: its epoch, its channels, its sealed segments and its holes.

`Facts` is the content of the lines; `Registry` is the file that they are appended to.

Source: docs/journal.md, The registry.
"""

from __future__ import annotations

import contextlib
import json
import operator
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sensord.log.journal.timeline import ClockRecord, Trust
from sensord.mcap.channels import Described, described
from sensord.mcap.disk import Disk
from sensord.mcap.regular import read_regular
from sensord.model.readings import Metadata

__all__ = [
    "FORMAT",
    "FORMER_KEPT",
    "NAME",
    "Facts",
    "Hole",
    "Registry",
    "Sealed",
    "add_hole",
    "explain",
    "read_facts",
    "unexplained",
]

NAME = "registry"
FORMAT = 1
_WITHOUT_EPOCH = tuple(
    b'{"%s":' % key
    for key in (b"channel", b"sealed", b"hole", b"clock", b"numbered_from", b"removed_before")
)
_CRC_DIGITS = 8
FORMER_KEPT = 64


@dataclass(frozen=True, slots=True, order=True)
class Hole:
    """Offsets that no reading in the journal has, and why."""

    first: int
    count: int
    reason: str

    @property
    def end(self) -> int:
        """The offset after them."""
        return self.first + self.count


def add_hole(holes: list[Hole], hole: Hole) -> None:
    """Add a hole to a list, or extend the last one if they are adjacent."""
    last = holes[-1] if holes else None
    if last is not None and last.end == hole.first and last.reason == hole.reason:
        holes[-1] = replace(last, count=last.count + hole.count)
    else:
        holes.append(hole)


def explain(first: int, end: int, holes: Iterable[Hole], otherwise: str) -> Iterator[Hole]:
    """Yield holes that together cover a range of offsets, each with its reason."""
    for hole in sorted(holes):
        if hole.end > first and hole.first < end:
            if hole.first > first:
                yield Hole(first, hole.first - first, otherwise)
                first = hole.first
            stop = min(hole.end, end)
            yield Hole(first, stop - first, hole.reason)
            first = stop
    if first < end:
        yield Hole(first, end - first, otherwise)


def unexplained(first: int, end: int, holes: Iterable[Hole]) -> Iterator[tuple[int, int]]:
    """Yield the parts, start and end, of a range of offsets that no hole covers."""
    for hole in sorted(holes):
        if hole.end > first and hole.first < end:
            if hole.first > first:
                yield first, hole.first
            first = hole.end
    if first < end:
        yield first, end


@dataclass(frozen=True, slots=True, order=True)
class Sealed:
    """A sealed segment: what there is to know of it without opening it."""

    first: int
    count: int
    start_us: int
    end_us: int
    until_us: int
    """The wall clock when it was sealed."""
    bytes: int

    @property
    def end(self) -> int:
        """The offset after its last reading."""
        return self.first + self.count


@dataclass(slots=True)
class Facts:
    """The content of the registry."""

    epoch: str = ""
    channels: dict[int, Described] = field(default_factory=dict)
    sealed: dict[int, Sealed] = field(default_factory=dict)
    holes: list[Hole] = field(default_factory=list)
    former: list[str] = field(default_factory=list)
    """Epochs that the log had before, the oldest first."""
    numbered_from: int = 0
    """Before this offset the numbers of channels had other meanings."""
    removed_before: int | None = None
    """Segments that begin before this offset were removed by retention, None if that is unknown."""
    clocks: list[ClockRecord] = field(default_factory=list)
    """In the order of their offsets."""
    format: int = FORMAT
    damaged: list[int] = field(default_factory=list)
    """Where in the file damaged lines begin."""
    suspects: list[bytes] = field(default_factory=list)
    """The damaged lines that may have named an epoch, without their checksums."""

    def has_lost_epochs(self, known: Iterable[str]) -> bool:
        """Return whether it may have named other epochs than these."""
        lines = [epoch_line(epoch)[_CRC_DIGITS + 1 : -1].decode() for epoch in known]
        texts = [text.decode(errors="replace") for text in self.suspects]
        is_bare = not self.epoch and not texts
        return is_bare or not all(any(is_alike(t, line) for line in lines) for t in texts)

    @property
    def epochs(self) -> list[str]:
        """The former epochs and the present one."""
        return [*self.former, self.epoch] if self.epoch else self.former

    def lines(self) -> Iterator[bytes]:
        """Yield the lines for these facts."""
        for epoch in [*self.former[-FORMER_KEPT:], self.epoch]:
            yield epoch_line(epoch)
        for number, channel in self.channels.items():
            yield channel_line(number, channel)
        if self.numbered_from:
            yield _line({"numbered_from": self.numbered_from})
        yield removed_line(self.removed_before or 0)
        for hole in self.holes:
            yield hole_line(hole)
        for segment in self.sealed.values():
            yield sealed_line(segment)
        for record in self.clocks:
            yield clock_line(record)

    def note_damage(self, at: int, text: bytes) -> None:
        """Note a damaged line; one that still begins like another fact surely named no epoch."""
        self.damaged.append(at)
        if not text.startswith(_WITHOUT_EPOCH):
            self.suspects.append(text)

    def add(self, found: dict[str, Any]) -> None:
        """Add the fact of a line; an unknown one is ignored."""
        match found:
            case {"journal": int(version), "epoch": str(epoch)}:
                if self.epoch and self.epoch != epoch:
                    self.former.append(self.epoch)
                self.format, self.epoch = version, epoch
            case {"channel": int(number), "topic": str(topic)}:
                texts = {key: str(value) for key, value in found.items()}
                self.channels[number] = described(topic, texts)
            case {"sealed": int(first), "count": int(count), "bytes": int(size)}:
                start, end, until = (int(found[f"{name}_us"]) for name in ("start", "end", "until"))
                self.sealed[first] = Sealed(first, count, start, end, until, size)
            case {"numbered_from": int(first)}:
                self.numbered_from = first
            case {"removed_before": int(first)}:
                self.removed_before = max(first, self.removed_before or 0)
            case {"hole": int(first), "count": int(count), "reason": str(reason)}:
                self.holes.append(Hole(first, count, reason))
            case {"clock": int(), "boot": str(), "trust": str()}:
                self.clocks.append(_clock_record(found))
            case _:
                pass


def is_alike(text: str, other: str) -> bool:
    """Return whether two texts differ in one character at most, as after a flipped bit."""
    return len(text) == len(other) and sum(map(operator.ne, text, other)) <= 1


def read_facts(path: Path) -> Facts:
    """Read the registry; damaged lines are noted and left out.

    Raises:
        OSError: The file cannot be read; a missing one has no lines.
    """
    facts = Facts()
    try:
        lines = read_regular(path).split(b"\n")
    except FileNotFoundError:
        return facts
    at = 0
    for line in lines:
        text = line[_CRC_DIGITS + 1 :]
        if line[: _CRC_DIGITS + 1] == b"%08x " % zlib.crc32(text):
            try:
                facts.add(json.loads(text))
            except (ValueError, KeyError, TypeError):
                facts.note_damage(at, text)
        elif line:
            facts.note_damage(at, text)
        at += len(line) + 1
    return facts


def _line(found: dict[str, object]) -> bytes:
    text = json.dumps(found, separators=(",", ":")).encode()
    return b"%08x %b\n" % (zlib.crc32(text), text)


def epoch_line(epoch: str) -> bytes:
    """Write the format and the epoch."""
    return _line({"journal": FORMAT, "epoch": epoch})


def channel_line(number: int, channel: Described) -> bytes:
    """Write what a channel's number means."""
    metadata: Metadata = channel.metadata
    found: dict[str, object] = {"channel": number, "topic": channel.topic}
    found |= {"type": metadata.type, "kind": metadata.kind, "unit": metadata.unit}
    if metadata.decimals is not None:
        found["decimals"] = metadata.decimals
    return _line(found | {"description": metadata.description, "device": metadata.device})


def sealed_line(segment: Sealed) -> bytes:
    """Write what there is to know of a sealed segment."""
    found = asdict(segment)
    return _line({"sealed": found.pop("first"), **found})


def removed_line(before: int) -> bytes:
    """Write that retention removed the segments that begin before an offset."""
    return _line({"removed_before": before})


def hole_line(hole: Hole) -> bytes:
    """Write that offsets are missing, and why."""
    return _line({"hole": hole.first, "count": hole.count, "reason": hole.reason})


def clock_line(record: ClockRecord) -> bytes:
    """Write the wall clock's time at a moment."""
    found: dict[str, object] = {
        "clock": record.first,
        "boot": record.boot,
        "monotonic_us": record.monotonic_us,
        "wall_us": record.wall_us,
        "trust": record.trust.name.lower(),
    }
    return _line(found if record.before_us is None else found | {"before_us": record.before_us})


def _clock_record(found: dict[str, Any]) -> ClockRecord:
    before = found.get("before_us")
    return ClockRecord(
        found["clock"],
        found["boot"],
        int(found["monotonic_us"]),
        int(found["wall_us"]),
        Trust[found["trust"].upper()],
        None if before is None else int(before),
    )


class Registry:
    """The file of facts, open for appending."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._folder = folder
        self._descriptor: int | None = None
        self._size = 0

    def rewrite(self, facts: Facts) -> None:
        """Replace the file by these facts; a crash leaves the old file or the new.

        Raises:
            OSError: There is no room; the old file is unchanged.
        """
        part = self._folder / f"{NAME}.part"
        self._disk.remove(part)
        data = b"".join(facts.lines())
        descriptor = self._disk.create(part)
        try:
            self._disk.write(descriptor, data, 0)
            self._disk.sync(descriptor)
            self._disk.replace(part, self._folder / NAME)
            self._disk.sync_folder(self._folder)
        except OSError:
            self._disk.close(descriptor)
            self._disk.remove(part)
            raise
        self.close()
        self._descriptor, self._size = descriptor, len(data)

    def open(self) -> None:
        """Append to the existing file.

        Raises:
            OSError: It is missing or cannot be written.
        """
        self.close()
        path = self._folder / NAME
        self._descriptor, self._size = self._disk.open(path), path.stat().st_size

    def append(self, lines: Sequence[bytes], *, sync: bool) -> None:
        """Add facts; with ``sync`` they are on the device when this returns.

        Raises:
            OSError: They are not; the file ends where it ended before.
        """
        assert self._descriptor is not None
        # The line feed in front ends a line that a crash cut off; readers skip empty lines.
        data = b"\n" + b"".join(lines)
        try:
            self._disk.write(self._descriptor, data, self._size)
            if sync:
                self._disk.sync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                self._disk.truncate(self._descriptor, self._size)
            raise
        self._size += len(data)

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor is not None:
            self._disk.close(self._descriptor)
            self._descriptor = None
