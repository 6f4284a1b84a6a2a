"""Group what is read into as few requests as possible. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sensord.readers.modbus.requests import MOST_BITS, MOST_WORDS, Table

__all__ = ["Block", "Item", "groups", "parts"]


@dataclass(frozen=True, slots=True)
class Item:
    """Something that is read: so many words, or bits, from an address on."""

    name: str
    table: Table
    address: int
    count: int
    interval: float

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.address + self.count


@dataclass(frozen=True, slots=True)
class Block:
    """What one request reads."""

    table: Table
    address: int
    count: int
    interval: float
    items: tuple[Item, ...]

    @property
    def has_gaps(self) -> bool:
        """Whether it reads more than its items."""
        at = self.address
        for item in self.items:
            if item.address > at:
                return True
            at = max(at, item.end)
        return False

    def data_of(self, item: Item, data: bytes) -> bytes:
        """Return an item's part of what was read; of one bit, a word that is 0 or 1."""
        at = item.address - self.address
        if not self.table.is_bits:
            return data[2 * at : 2 * (at + item.count)]
        bit = data[at // 8] >> at % 8 & 1 if at // 8 < len(data) else 0
        return bytes([0, bit])

    def __str__(self) -> str:
        """Name it for people, by addresses from 0."""
        last = f" to {self.address + self.count - 1}" if self.count > 1 else ""
        return f"{self.table} {self.address}{last}"


def groups(
    items: Iterable[Item],
    *,
    max_gap: int,
    max_span: int,
    ranges: Sequence[tuple[int, int]] = (),
) -> list[Block]:
    """Return the requests that read all items.

    Those of one table and interval share a request where at most ``max_gap`` addresses between
    them are read for nothing, and it reads at most ``max_span`` words. With ``ranges`` (first and
    last address) none reads beyond the range that it begins in.
    """
    kinds: dict[tuple[Table, float], list[Item]] = {}
    for item in items:
        kinds.setdefault((item.table, item.interval), []).append(item)
    found = []
    for (table, _), alike in kinds.items():
        most = MOST_BITS if table.is_bits else MOST_WORDS
        span = most if table.is_bits else min(max_span, most)
        found += list(_joined(alike, max_gap, span, () if table.is_bits else ranges))
    return found


def parts(block: Block) -> list[Block]:
    """Return smaller requests for a block that a unit refuses: without gaps, else one an item."""
    most = MOST_BITS if block.table.is_bits else MOST_WORDS
    if block.has_gaps:
        return list(_joined(block.items, 0, most, ()))
    return [_block([item]) for item in block.items] if len(block.items) > 1 else []


def _joined(
    items: Iterable[Item], max_gap: int, most: int, ranges: Sequence[tuple[int, int]]
) -> Iterator[Block]:
    run: list[Item] = []
    end = 0
    for item in sorted(items, key=lambda item: (item.address, item.end)):
        if run:
            reach = max(end, item.end) - run[0].address
            last = _last(run[0].address, ranges)
            is_far = item.address - end > max_gap or reach > most
            if is_far or (last is not None and item.end - 1 > last):
                yield _block(run)
                run = []
        end = item.end if not run else max(end, item.end)
        run.append(item)
    if run:
        yield _block(run)


def _last(address: int, ranges: Sequence[tuple[int, int]]) -> int | None:
    """Return the last address that may be read together with one; None if nothing is declared."""
    if not ranges:
        return None
    return next((last for first, last in ranges if first <= address <= last), address)


def _block(items: Sequence[Item]) -> Block:
    address = min(item.address for item in items)
    count = max(item.end for item in items) - address
    return Block(items[0].table, address, count, items[0].interval, tuple(items))
