"""Mend a segment that a crash left open.

If all damage is at its end, the file continues after its whole part. Otherwise its whole chunks are
copied into new segments, one for each run of offsets without a gap, and those replace it; a crash
in between leaves both, and the next start repeats the repair.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sensord.log.journal.registry import Sealed
from sensord.log.journal.survey import Unsealed
from sensord.mcap.channels import Described, described
from sensord.mcap.chunk import ChunkCodec, EncodedChunk
from sensord.mcap.disk import Disk
from sensord.mcap.regular import read_regular
from sensord.mcap.segment import SegmentWriter, sealed_path
from sensord.mcap.walk import Found

__all__ = ["resume", "rewrite"]

_MAP_ENTRY = struct.Struct("<HQ")


def resume(
    disk: Disk, left: Unsealed, known: Mapping[int, Described], facts: Mapping[str, str]
) -> SegmentWriter:
    """Continue a segment that is damaged at its end at most, after its last whole chunk.

    Raises:
        OSError: It cannot be opened or cut.
    """
    segment = SegmentWriter(disk, left.path, left.first, facts)
    counts = left.walk.counts()
    segment.resume(left.walk.sound_bytes, left.walk.located(), counts)
    for number in counts:
        segment.define(number, _channel(left, number, known))
    return segment


def rewrite(
    disk: Disk,
    left: Unsealed,
    known: Mapping[int, Described],
    facts_for: Callable[[int], Mapping[str, str]],
    until_us: int,
) -> list[Sealed]:
    """Copy the whole chunks into sealed segments and remove the damaged file.

    Raises:
        OSError: The damaged file is still there.
    """
    data, codec, made = read_regular(left.path), ChunkCodec(), []
    for run in _runs(left.walk.chunks):
        first = run[0].located.first
        part = Path(f"{sealed_path(left.path.parent, first)}.part")
        disk.remove(part)
        segment = SegmentWriter(disk, part, first, facts_for(first))
        try:
            for found in run:
                chunk = _copy(data, found, codec)
                for number in chunk.counts:
                    if not segment.knows(number):
                        segment.define(number, _channel(left, number, known))
                segment.append(chunk, sync=False)
            size = segment.seal(sealed_path(left.path.parent, first))
        except OSError:
            segment.close()
            disk.remove(part)
            raise
        times = (segment.start_ns // 1000, segment.end_ns // 1000, until_us)
        made.append(Sealed(first, segment.end - first, *times, size))
    disk.remove(left.path)
    return made


def _runs(chunks: list[Found]) -> Iterator[list[Found]]:
    run: list[Found] = []
    for found in chunks:
        if run and found.located.first != run[-1].located.end:
            yield run
            run = []
        run.append(found)
    if run:
        yield run


def _copy(data: bytes, found: Found, codec: ChunkCodec) -> EncodedChunk:
    """Copy a chunk unchanged, or rebuild its header and indexes."""
    first, entry = found.located.first, found.located.entry
    end = entry.position + entry.length
    record = data[entry.position : end]
    if not found.is_sound:
        return codec.reseal(codec.decode(entry, record), first)
    moves = [(number, at - entry.position) for number, at in _MAP_ENTRY.iter_unpack(entry.places)]
    places = b"".join([_MAP_ENTRY.pack(*pair) for pair in moves])
    moved = entry._replace(position=0, places=places)
    indexes = data[end : end + entry.index_length]
    return EncodedChunk(record, indexes, moved, first, dict(found.counts))


def _channel(left: Unsealed, number: int, known: Mapping[int, Described]) -> Described:
    """Describe a channel: the registry has a CRC for it, the open segment has not."""
    if number in known:
        return known[number]
    record = left.walk.channels.get(number)
    if record is None:
        return described(f"unknown/{number}", {})
    return described(record.topic, record.metadata)
