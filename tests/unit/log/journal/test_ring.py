"""The ring never writes over what is still needed, and finds its way after any restart."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from sensord.log.journal.ring import SLOT_BYTES, Flag, Head, Ring, read_ring
from sensord.mcap.disk import Disk

SLOTS = 16


def head(first: int, count: int, needed: int) -> Head:
    return Head(0, 0, first, count, Flag.NONE, needed, first + count + 1000, "00" * 8)


class MemoryDisk(Disk):
    """Keeps one file in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.content = bytearray(SLOTS * SLOT_BYTES)

    def create(self, path: Path) -> int:
        assert path.name == "ring.part"
        return 3

    def close(self, descriptor: int) -> None:
        pass

    def write(self, descriptor: int, data: bytes, position: int) -> None:
        assert descriptor == 3
        self.content[position : position + len(data)] = data

    def sync(self, descriptor: int) -> None:
        pass

    def replace(self, old: Path, new: Path) -> None:
        pass

    def remove(self, path: Path) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=60))
def test_needed_frames_are_always_in_the_file(steps: list[tuple[int, bool]]) -> None:
    """Whatever sizes frames have and whenever some are freed."""
    disk = MemoryDisk()
    ring = Ring(disk, Path("nowhere"), SLOTS * SLOT_BYTES)
    ring.create()
    held: list[int] = []
    offset = 0
    for slots, free in steps:
        if free and held:
            done = held.pop(0)
            ring.free(done + 1)
        body = bytes([slots]) * max(1, slots * SLOT_BYTES - 200)
        if ring.fits(body):
            ring.write(head(offset, 1, held[0] if held else offset), body)
            held.append(offset)
            offset += 1
        found = {frame.head.first: frame for frame in read_ring(bytes(disk.content))}
        assert set(held) <= set(found)
        assert all(found[each].body is not None for each in held)
        if held:
            assert max(found) == held[-1]


def test_frames_come_back_in_the_order_of_their_writing() -> None:
    """Also when the ring has begun again at its start."""
    disk = MemoryDisk()
    ring = Ring(disk, Path("nowhere"), SLOTS * SLOT_BYTES)
    ring.create()
    for i in range(40):
        ring.free(i - 2)
        ring.write(head(i, 1, max(0, i - 2)), b"x" * 5000)
    firsts = [frame.head.first for frame in read_ring(bytes(disk.content))]
    assert firsts == sorted(firsts)
    assert firsts[-1] == 39


def test_a_frame_larger_than_a_quarter_does_not_fit() -> None:
    """A torn one could take the header that holds the reservation."""
    ring = Ring(MemoryDisk(), Path("nowhere"), SLOTS * SLOT_BYTES)
    ring.create()
    assert ring.fits(bytes(4 * SLOT_BYTES - 100))
    assert not ring.fits(bytes(4 * SLOT_BYTES))
