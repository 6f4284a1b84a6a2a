"""Salvage of rows from the pages of a damaged SQLite file. Pure.

SQLite gives up at the first unusable page. This module reads each page by itself, whatever the
others hold. A row counts only if its own checksum is right, so no salvaged row is wrong.

Shape: pages of 4,096 bytes without reserved space, as SQLite makes them; big-endian. A table
without row ids is an index B-tree: its rows are the cells of pages of type 10 (leaf) and 2.
Source: https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

__all__ = ["Row", "checksum", "rows_in"]

PAGE = 4096
LEAF, INTERIOR = 10, 2
HEADER_BYTES = {LEAF: 8, INTERIOR: 12}
MOST_LOCAL = (PAGE - 12) * 64 // 255 - 23
LEAST_LOCAL = (PAGE - 12) * 32 // 255 - 23
"""The most bytes of a row in its cell, and the least if the rest is elsewhere."""

WAL_HEADER = struct.Struct(">IIIIIIII")
FRAME_HEADER = struct.Struct(">IIIIII")

COLUMNS = 5
FIRST_TEXT = 13
INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}

Cell = int | str | None


class Row(NamedTuple):
    """One row of the store in the file."""

    kind: str
    key: str
    text: str
    sequence: int
    """The number of the transaction that wrote it."""
    checksum: int

    @property
    def is_whole(self) -> bool:
        """Whether the checksum matches the rest."""
        return checksum(self.kind, self.key, self.text, self.sequence) == self.checksum


def checksum(kind: str, key: str, text: str, sequence: int) -> int:
    """Return the CRC-32 of a row, which detects every single flipped bit."""
    content = "\0".join((kind, key, text, str(sequence)))
    return zlib.crc32(content.encode("utf-8", "surrogatepass"))


def rows_in(main: bytes, wal: bytes) -> Iterator[Row]:
    """Yield every row in the pages of a file and its write-ahead log, intact or not."""
    pages = {number: main[at : at + PAGE] for number, at in enumerate(range(0, len(main), PAGE), 1)}
    pages |= _pages_in_wal(wal)
    for page in pages.values():
        for columns in _cells(page, pages):
            match columns:
                case [str(kind), str(key), str(text), int(sequence), int(found)]:
                    yield Row(kind, key, text, sequence, found)


def _pages_in_wal(wal: bytes) -> dict[int, bytes]:
    """Return the newest committed form of each page in a write-ahead log.

    The log's own checksums are ignored: behind a flipped bit every frame's is wrong, and each row
    has one.
    """
    committed: dict[int, bytes] = {}
    if len(wal) < WAL_HEADER.size:
        return committed
    *_, salt, other_salt, _, _ = WAL_HEADER.unpack_from(wal)
    pending: dict[int, bytes] = {}
    size = FRAME_HEADER.size + PAGE
    for at in range(WAL_HEADER.size, len(wal) - size + 1, size):
        number, pages, *salts, _, _ = FRAME_HEADER.unpack_from(wal, at)
        if salts != [salt, other_salt]:
            continue
        pending[number] = wal[at + FRAME_HEADER.size : at + size]
        if pages:
            committed |= pending
            pending.clear()
    return committed


def _cells(page: bytes, pages: Mapping[int, bytes]) -> Iterator[list[Cell]]:
    if len(page) != PAGE or page[0] not in HEADER_BYTES:
        return
    (count,) = struct.unpack_from(">H", page, 3)
    begin = HEADER_BYTES[page[0]]
    left = 4 if page[0] == INTERIOR else 0
    for at in range(begin, min(begin + 2 * count, PAGE - 1), 2):
        (place,) = struct.unpack_from(">H", page, at)
        try:
            yield _record(_payload(page, place + left, pages))
        except (IndexError, ValueError, struct.error):
            continue  # it leads nowhere


def _payload(page: bytes, at: int, pages: Mapping[int, bytes]) -> bytes:
    length, at = _varint(page, at)
    local = length
    if length > MOST_LOCAL:
        local = LEAST_LOCAL + (length - LEAST_LOCAL) % (PAGE - 4)
        if local > MOST_LOCAL:
            local = LEAST_LOCAL
    parts = [page[at : at + local]]
    missing = length - local
    if not missing:
        return parts[0]
    (number,) = struct.unpack_from(">I", page, at + local)
    seen = set[int]()
    while missing > 0:
        overflow = pages.get(number, b"")
        if len(overflow) != PAGE or number in seen:
            raise ValueError("the rest of a row is gone")
        seen.add(number)
        (number,) = struct.unpack_from(">I", overflow)
        parts.append(overflow[4 : 4 + missing])
        missing -= len(parts[-1])
    return b"".join(parts)


def _record(payload: bytes) -> list[Cell]:
    end, at = _varint(payload, 0)
    types = []
    while at < end:
        kind, at = _varint(payload, at)
        types.append(kind)
    if len(types) != COLUMNS:
        raise ValueError("not a row of the store")
    columns: list[Cell] = []
    for kind in types:
        length = _length(kind)
        content = payload[at : at + length]
        if len(content) != length:
            raise ValueError("cut off")
        if kind >= FIRST_TEXT:
            columns.append(content.decode())
        elif kind in {8, 9}:  # the integers 0 and 1
            columns.append(kind - 8)
        else:
            columns.append(int.from_bytes(content, "big", signed=True) if kind else None)
        at += length
    return columns


def _length(kind: int) -> int:
    if kind >= FIRST_TEXT and kind % 2:
        return (kind - FIRST_TEXT) // 2
    if kind in {0, 8, 9}:
        return 0
    return INTEGER_BYTES[kind] if kind in INTEGER_BYTES else _not_ours(kind)


def _not_ours(kind: int) -> int:
    raise ValueError(f"no column of ours has type {kind}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number of up to nine bytes that begins at ``at``, and where it ends."""
    number = 0
    for i in range(8):
        byte = data[at + i]
        number = number << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004  # the bit that marks more bytes
            return number, at + i + 1
    return number << 8 | data[at + 8], at + 9
