"""What is in a journal's folder or in one MCAP file, without reading the readings themselves."""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sensord.errors import JournalError
from sensord.log.journal.channels import Described
from sensord.log.journal.chunk import ChunkCodec
from sensord.log.journal.mcapfile import McapFile
from sensord.log.journal.registry import Hole, explain
from sensord.log.journal.segment import Located, sealed_path
from sensord.log.journal.survey import survey
from sensord.log.journal.table import read_at, read_table
from sensord.log.journal.view import View, view_of

__all__ = ["Summary", "summarize"]

_INDEX_HEAD = struct.Struct("<BQHI")


@dataclass(frozen=True, slots=True)
class Summary:
    """What is in it."""

    path: Path
    epoch: str
    first_offset: int
    end_offset: int
    start_us: int
    """The first log time."""
    end_us: int
    """The last log time."""
    readings: int
    bytes: int
    segments: int
    topics: Mapping[Described, int]
    """Readings of each topic and metadata."""
    holes: tuple[Hole, ...]
    findings: tuple[str, ...]


def summarize(path: Path) -> Summary:
    """Look at a journal's folder, also one that is being written, or at a file.

    Raises:
        JournalError: It cannot be read.
    """
    try:
        return _of_folder(path) if path.is_dir() else _of_file(path)
    except OSError as error:
        raise JournalError(f"cannot read {path}: {error.strerror}") from error


def _of_folder(path: Path) -> Summary:
    found = survey(path)
    view, codec = view_of(path, found), ChunkCodec()
    topics: Counter[Described] = Counter()
    size = sum(part.bytes for part in view.sealed) + sum(part.size for part in view.unsealed)
    for part in view.sealed:
        try:
            descriptor = os.open(sealed_path(path, part.first), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # removed by retention since the look
        try:
            table = read_table(descriptor, part.first, codec)
        finally:
            os.close(descriptor)
        for number, count in table.counts.items():
            topics[table.channels[number]] += count
    for left in view.unsealed:
        descriptor = os.open(left.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for located in left.chunks:
                for number, count in _counts(descriptor, located):
                    topics[view.channels[number]] += count
        finally:
            os.close(descriptor)
    for block in view.pending:
        for number, count in Counter(block.ids).items():
            topics[view.channels[number]] += count
    start_us, end_us = _span(view)
    return Summary(
        path,
        view.epoch,
        view.start,
        view.end,
        start_us,
        end_us,
        sum(topics.values()),
        size,
        len(view.sealed) + len(view.unsealed),
        topics,
        tuple(_holes(view)),
        tuple(found.findings),
    )


def _counts(descriptor: int, located: Located) -> list[tuple[int, int]]:
    entry = located.entry
    base = entry.position + entry.length
    indexes = read_at(descriptor, entry.index_length, base)
    heads = [_INDEX_HEAD.unpack_from(indexes, at - base) for _, at in entry.channels()]
    return [(number, size // 16) for _, _, number, size in heads]


def _span(view: View) -> tuple[int, int]:
    starts = [part.start_us for part in view.sealed]
    ends = [part.end_us for part in view.sealed]
    for left in view.unsealed:
        starts += [chunk.entry.start_ns // 1000 for chunk in left.chunks]
        ends += [chunk.entry.end_ns // 1000 for chunk in left.chunks]
    starts += [block.log_us[0] for block in view.pending]
    ends += [block.log_us[-1] for block in view.pending]
    return min(starts, default=0), max(ends, default=0)


def _holes(view: View) -> list[Hole]:
    """Name every gap between the parts of a journal."""
    holes: list[Hole] = []
    position = view.start
    parts = [(part.first, part.end) for part in view.sealed]
    parts += [(part.first, part.chunks[-1].end) for part in view.unsealed if part.chunks]
    parts += [(block.first, block.end) for block in view.pending]
    for first, end in sorted([*parts, (view.end, view.end)]):
        holes += explain(position, first, view.holes, "no reason is recorded")
        position = max(position, end)
    return holes


def _of_file(path: Path) -> Summary:
    file = McapFile(path)
    topics: Counter[Described] = Counter()
    holes: list[Hole] = []
    offsets: list[int] = []
    times: list[int] = []
    for item in file.scan():
        if isinstance(item, Hole):
            holes.append(item)
        elif len(item):
            topics.update({file.described(n): count for n, count in Counter(item.numbers).items()})
            offsets += [item.offsets[0], item.offsets[-1] + 1]
            times += [min(item.log_ns) // 1000, max(item.log_ns) // 1000]
    return Summary(
        path,
        file.epoch,
        min(offsets, default=0),
        max(offsets, default=0),
        min(times, default=0),
        max(times, default=0),
        sum(topics.values()),
        path.stat().st_size,
        1,
        topics,
        tuple(holes),
        tuple(file.findings),
    )
