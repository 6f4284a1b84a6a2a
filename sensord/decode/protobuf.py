"""Read the wire format of Protocol Buffers: fields by number, without a schema. Pure.

Source: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["BrokenError", "fields", "signed"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES = 10
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_ALL_64 = (1 << 64) - 1


class BrokenError(ValueError):
    """The bytes are no message."""


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number of each field with its value: a number, or its bytes unchanged.

    Raises:
        BrokenError: The bytes are not a message; the fields before were yielded.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if not number:
            raise BrokenError
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        size = _FIXED.get(kind)
        if kind == _BYTES:
            size, at = _varint(data, at)
        if size is None or at + size > len(data):
            raise BrokenError
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:  # noqa: PLR2004  # the last one
            return value & _ALL_64, at + index + 1
    raise BrokenError


def signed(value: int, bits: int) -> int:
    """Return the lowest bits of a number as one with a sign."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value
