"""The commit ring: small frames, written over and over into one file of fixed size.

The first half is pure: frames to bytes and back. `Ring` knows which slots are still needed.

Source: docs/journal.md, The commit ring.
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from operator import sub
from pathlib import Path
from typing import NamedTuple

import msgpack
import zstandard

from sensord.mcap.block import Block
from sensord.mcap.chunk import ChunkCodec
from sensord.mcap.disk import Disk

__all__ = ["NAME", "RING_BYTES", "SLOT_BYTES", "Flag", "Frame", "Head", "Ring", "decode_body"]
__all__ += ["encode_body", "encode_frame", "read_ring"]

NAME = "ring"
SLOT_BYTES = 4096
"""What SD cards and file systems write at least."""
MAX_SHARE = 4
"""A frame fills at most this part of the ring: then a frame that is torn while it is written at
the start of the ring cannot reach the header of the one before, which holds the reservation."""
RING_BYTES = 1 << 20
"""Half of it is two minutes of quiet commits: a chunk's fixed cost is spread over those."""
_MAGIC = b"SJF1"
_HEADER = struct.Struct("<4sIQIIIQIIQQ8s")
_CHECKED_FROM = 8
"""Where in the header its CRC begins to count."""
_FORMER = struct.Struct("<QB")
"""The serial (not stored) and the number of epochs, before a list of former epochs."""
_CRC = struct.Struct("<I")
_EPOCH_BYTES = 8


class Flag(enum.IntFlag):
    """The properties of a frame."""

    NONE = 0
    CLOSED = 1
    DROPPED_FULL = 2
    DROPPED_FAILED = 4


@dataclass(frozen=True, slots=True)
class Head:
    """The header of a frame: its own fields, and those of the log."""

    serial: int
    slot: int
    first: int
    count: int
    flags: Flag
    needed: int
    reserved: int
    epoch: str

    @property
    def end(self) -> int:
        """The offset after its last reading."""
        return self.first + self.count


class Frame(NamedTuple):
    """A frame as found in the ring; ``body`` is None if it is damaged."""

    head: Head
    slots: int
    body: bytes | None
    former: tuple[str, ...] | None = None
    """The epochs that the log had before this one, if the frame lists them."""


def encode_body(block: Block, compressor: zstandard.ZstdCompressor) -> bytes:
    """Encode a frame's readings."""
    logged = block.log_us
    rises = [logged[0], *map(sub, islice(logged, 1, None), logged)]
    ages = list(map(sub, logged, block.time_us))
    return compressor.compress(msgpack.packb([list(block.ids), rises, ages, block.texts]))


def decode_body(body: bytes, head: Head, codec: ChunkCodec) -> Block:
    """Decode a frame's readings.

    Raises:
        ValueError, TypeError: The body holds something else.
    """
    raw, _ = codec.decompress(body, 0)
    ids, rises, ages, texts = msgpack.unpackb(raw)
    count = head.count
    if not count == len(ids) == len(rises) == len(ages) == texts.count(b"\n") + 1:
        raise ValueError("the columns differ in length")
    logged = list(accumulate(rises))
    return Block(head.first, ids, logged, list(map(sub, logged, ages)), texts)


def encode_frame(head: Head, body: bytes, former: Sequence[str] | None = None) -> bytes:
    """Encode a frame, padded to whole slots; list the former epochs if there is room for them."""
    fields = (head.serial, head.slot, len(body), zlib.crc32(body), head.first, head.count)
    rest = (head.flags, head.needed, head.reserved, bytes.fromhex(head.epoch))
    checked = _HEADER.pack(_MAGIC, 0, *fields, *rest)[_CHECKED_FROM:]
    frame = _MAGIC + _CRC.pack(zlib.crc32(checked)) + checked + body
    room = -len(frame) % SLOT_BYTES
    listed = b"" if former is None else _encode_former(head.serial, former)
    return frame + (listed if len(listed) <= room else b"").ljust(room, b"\0")


def _encode_former(serial: int, former: Sequence[str]) -> bytes:
    checked = _FORMER.pack(serial, len(former)) + bytes.fromhex("".join(former))
    return checked[_FORMER.size - 1 :] + _CRC.pack(zlib.crc32(checked))


def _decode_former(serial: int, padding: bytes) -> tuple[str, ...] | None:
    """Read the list of former epochs behind a frame, None if there is no whole one."""
    size = 1 + (padding[0] if padding else 0) * _EPOCH_BYTES
    if len(padding) < size + _CRC.size:
        return None
    checked = _FORMER.pack(serial, padding[0]) + padding[1:size]
    if _CRC.unpack_from(padding, size) != (zlib.crc32(checked),):
        return None
    return tuple(padding[at : at + _EPOCH_BYTES].hex() for at in range(1, size, _EPOCH_BYTES))


def read_ring(data: bytes) -> list[Frame]:
    """Find every frame whose header is whole, in the order in which they were written."""
    found = []
    for at in range(0, len(data) - SLOT_BYTES + 1, SLOT_BYTES):
        if data[at : at + 4] != _MAGIC:
            continue
        _, crc, serial, slot, length, body_crc, *rest = _HEADER.unpack_from(data, at)
        body_at = at + _HEADER.size
        if zlib.crc32(data[at + _CHECKED_FROM : body_at]) != crc or slot != at // SLOT_BYTES:
            continue
        first, count, flags, needed, reserved, epoch = rest
        head = Head(serial, slot, first, count, Flag(flags & 7), needed, reserved, epoch.hex())
        body = data[body_at : body_at + length]
        is_whole = zlib.crc32(body) == body_crc
        slots = _slots(_HEADER.size + length)
        former = _decode_former(serial, data[body_at + length : at + slots * SLOT_BYTES])
        found.append(Frame(head, slots, body if is_whole else None, former))
    return sorted(found, key=lambda frame: frame.head.serial)


def _slots(size: int) -> int:
    return -(-size // SLOT_BYTES)


class _Held(NamedTuple):
    """Slots that may not be written over, as the segments lack their readings."""

    slot: int
    slots: int
    end: int


class Ring:
    """The ring's file and the account of its slots."""

    def __init__(self, disk: Disk, folder: Path, size: int = RING_BYTES) -> None:
        self._disk = disk
        self._path = folder / NAME
        self._folder = folder
        self._slots = size // SLOT_BYTES
        self._descriptor: int | None = None
        self._compressor = zstandard.ZstdCompressor(level=3)
        self._held: deque[_Held] = deque()
        self._next_slot = 0
        self._serial = 0

    def create(self) -> None:
        """Make the file and have all its blocks allocated and written.

        Raises:
            OSError: There is no room.
        """
        part = self._path.with_suffix(".part")
        self._disk.remove(part)
        descriptor = self._disk.create(part)
        try:
            self._disk.write(descriptor, bytes(self._slots * SLOT_BYTES), 0)
            self._disk.sync(descriptor)
            self._disk.replace(part, self._path)
            self._disk.sync_folder(self._folder)
        except OSError:
            self._disk.close(descriptor)
            self._disk.remove(part)
            raise
        self._descriptor = descriptor

    def adopt(self, frames: Sequence[Frame], needed: Sequence[Frame]) -> bool:
        """Continue after the newest of ``frames``, keeping the slots of those that are needed.

        Return False if the file is missing or has another size.

        Raises:
            OSError: The file cannot be opened.
        """
        try:
            if self._path.stat().st_size != self._slots * SLOT_BYTES:
                return False
        except FileNotFoundError:
            return False
        self._descriptor = self._disk.open(self._path)
        if frames:
            newest = frames[-1]
            self._serial = newest.head.serial + 1
            self._next_slot = newest.head.slot + newest.slots
        self._held.extend(_Held(f.head.slot, f.slots, f.head.end) for f in needed)
        return True

    def _used_slots(self) -> int:
        """Count the slots from the oldest that is held on, with those skipped at the end."""
        if not self._held:
            return 0
        return (self._next_slot - self._held[0].slot) % self._slots or self._slots

    def encode(self, block: Block) -> bytes:
        """Encode a frame's body; done once, as whether it fits decides where it goes."""
        return encode_body(block, self._compressor)

    def fits(self, body: bytes) -> bool:
        """Return whether a frame with this body fits into the free space."""
        return self._room_for(body) is not None

    def is_half_full_with(self, body: bytes) -> bool:
        """Return whether a frame with this body leaves less than half of the ring free."""
        room = self._room_for(body)
        return room is None or room[1] > self._slots // 2

    def _room_for(self, body: bytes) -> tuple[int, int] | None:
        """Return the slot for a frame with this body and the used slots then, or None."""
        slots, used, at = _slots(_HEADER.size + len(body)), self._used_slots(), self._next_slot
        if slots > self._slots // MAX_SHARE:
            return None
        if at + slots > self._slots:
            used, at = used + self._slots - at if self._held else 0, 0
        return (at, used + slots) if used + slots <= self._slots else None

    def write(self, head: Head, body: bytes, former: Sequence[str] | None = None) -> None:
        """Write a frame over free slots and sync it; serial and slot are filled in here.

        ``former`` are all epochs that the log had before, None if they are too many to list.

        Raises:
            OSError: It may or may not be on the device; the next frame is written over it.
        """
        room = self._room_for(body)
        assert self._descriptor is not None
        assert room is not None
        head = replace(head, serial=self._serial, slot=room[0])
        data = encode_frame(head, body, former)
        self._disk.write(self._descriptor, data, room[0] * SLOT_BYTES)
        self._disk.sync(self._descriptor)
        slots = len(data) // SLOT_BYTES
        self._serial += 1
        self._next_slot = room[0] + slots
        if head.count:
            self._held.append(_Held(room[0], slots, head.end))

    def free(self, before: int) -> None:
        """Free the slots of readings before an offset."""
        while self._held and self._held[0].end <= before:
            self._held.popleft()

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor is not None:
            self._disk.close(self._descriptor)
            self._descriptor = None
        self._held.clear()
