"""Few requests, and nothing read that may not be."""

from __future__ import annotations

import struct
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sensord.readers.modbus.groups import Block, Item, groups, parts
from sensord.readers.modbus.requests import Table

items = st.lists(
    st.builds(
        Item,
        st.uuids().map(str),
        st.sampled_from(Table),
        st.integers(0, 400),
        st.integers(1, 4),
        st.sampled_from([1.0, 5.0]),
    ),
    max_size=30,
).map(lambda found: [replace(i, count=1) if i.table.is_bits else i for i in found])
spans = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 60)).map(lambda s: (s[0], s[0] + s[1])),
    max_size=4,
)


def words(*places: tuple[int, int], interval: float = 5.0) -> list[Item]:
    return [Item(f"r{at}", Table.INPUT, at, count, interval) for at, count in places]


def shown(blocks: list[Block]) -> list[tuple[int, int]]:
    return [(block.address, block.count) for block in blocks]


def test_neighbours_share_a_request() -> None:
    """A meter's thirty floats need one request, and what is far away another."""
    found = groups(words((0, 2), (2, 2), (6, 2), (70, 2)), max_gap=8, max_span=125)
    assert shown(found) == [(0, 8), (70, 2)]


def test_a_span_is_not_exceeded() -> None:
    """Some units answer so many registers and no more."""
    found = groups(words(*((at, 2) for at in range(0, 20, 2))), max_gap=8, max_span=8)
    assert shown(found) == [(0, 8), (8, 8), (16, 4)]


def test_ranges_are_not_crossed() -> None:
    """Between two ranges there is nothing that could be read."""
    items_ = words((8, 2), (10, 2), (12, 1))
    found = groups(items_, max_gap=8, max_span=125, ranges=[(0, 9), (10, 20)])
    assert shown(found) == [(8, 2), (10, 3)]


@given(items, st.integers(0, 20), st.integers(4, 125), spans)
def test_every_item_is_read_once_and_from_its_place(
    found: list[Item], max_gap: int, max_span: int, ranges: list[tuple[int, int]]
) -> None:
    """Whatever the limits are, and they hold."""
    blocks = groups(found, max_gap=max_gap, max_span=max_span, ranges=ranges)
    assert sorted(i.name for b in blocks for i in b.items) == sorted(i.name for i in found)
    for block in blocks:
        assert block.count <= (2000 if block.table.is_bits else max_span)
        data = memory(block)
        at = block.address
        for item in sorted(block.items, key=lambda i: (i.address, i.end)):
            assert (item.table, item.interval) == (block.table, block.interval)
            assert item.address - at <= max_gap
            at = max(at, item.end)
            assert block.data_of(item, data) == memory_of(item)


@given(items)
def test_what_a_unit_refuses_is_read_in_parts(found: list[Item]) -> None:
    """First without gaps, then one by one; each item stays."""
    for block in groups(found, max_gap=20, max_span=125):
        waiting, read = [block], []
        while waiting:
            one = waiting.pop()
            smaller = parts(one)
            assert all(len(part.items) < len(one.items) or not part.has_gaps for part in smaller)
            waiting += smaller
            read += [] if smaller else [one]
        assert sorted(i.name for b in read for i in b.items) == sorted(i.name for i in block.items)
        assert all(len(one.items) == 1 for one in read)


def memory(block: Block) -> bytes:
    """Return what a unit answers whose words hold their address, and whose bits are odd."""
    places = range(block.address, block.address + block.count)
    if not block.table.is_bits:
        return struct.pack(f">{block.count}H", *places)
    bits = sum((at % 2) << n for n, at in enumerate(places))
    return bits.to_bytes((block.count + 7) // 8, "little")


def memory_of(item: Item) -> bytes:
    if item.table.is_bits:
        return bytes([0, item.address % 2])
    return struct.pack(f">{item.count}H", *range(item.address, item.end))
