"""Checksums that devices put at the end of lines, telegrams and frames. Pure.

Source: the catalogue of parametrised CRC algorithms (Greg Cook), whose check values of
``123456789`` are in the tests; for the others the makers' protocol descriptions.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

__all__ = ["Checksum", "Kind", "checksum"]

Kind = Literal[
    "sum8",
    "sum8_inverted",
    "sum8_twos",
    "sum16",
    "sum16_twos",
    "xor8",
    "sum6_linky",
    "crc8",
    "crc8_maxim",
    "crc16_modbus",
    "crc16_arc",
    "crc16_ccitt",
    "crc16_xmodem",
    "crc16_kermit",
    "crc16_x25",
    "crc32",
    "fletcher8",
]


class Checksum(NamedTuple):
    """A kind of checksum: how many bytes it has, and what computes it."""

    size: int
    of: Callable[[bytes], int]


class _Crc(NamedTuple):
    """The parameters of a CRC, as the catalogue has them."""

    width: int
    polynomial: int
    initial: int
    final: int
    is_reflected: bool


_CRCS: dict[str, _Crc] = {
    "crc8": _Crc(8, 0x07, 0x00, 0x00, is_reflected=False),
    "crc8_maxim": _Crc(8, 0x31, 0x00, 0x00, is_reflected=True),
    "crc16_modbus": _Crc(16, 0x8005, 0xFFFF, 0x0000, is_reflected=True),
    "crc16_arc": _Crc(16, 0x8005, 0x0000, 0x0000, is_reflected=True),
    "crc16_ccitt": _Crc(16, 0x1021, 0xFFFF, 0x0000, is_reflected=False),
    "crc16_xmodem": _Crc(16, 0x1021, 0x0000, 0x0000, is_reflected=False),
    "crc16_kermit": _Crc(16, 0x1021, 0x0000, 0x0000, is_reflected=True),
    "crc16_x25": _Crc(16, 0x1021, 0xFFFF, 0xFFFF, is_reflected=True),
}


@cache
def checksum(kind: Kind) -> Checksum:
    """Return a kind of checksum by its name."""
    if kind in _CRCS:
        parameters = _CRCS[kind]
        return Checksum(parameters.width // 8, _crc(parameters))
    return _SIMPLE[kind]


def _crc(crc: _Crc) -> Callable[[bytes], int]:
    table = [_reflected_entry(crc, i) if crc.is_reflected else _entry(crc, i) for i in range(256)]
    mask, shift = (1 << crc.width) - 1, crc.width - 8

    def reflected(data: bytes) -> int:
        value = crc.initial
        for byte in data:
            value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
        return value ^ crc.final

    def plain(data: bytes) -> int:
        value = crc.initial
        for byte in data:
            value = table[((value >> shift) ^ byte) & 0xFF] ^ (value << 8 & mask)
        return value ^ crc.final

    return reflected if crc.is_reflected else plain


def _entry(crc: _Crc, index: int) -> int:
    top, mask = 1 << (crc.width - 1), (1 << crc.width) - 1
    value = index << (crc.width - 8)
    for _ in range(8):
        value = (value << 1 ^ crc.polynomial if value & top else value << 1) & mask
    return value


def _reflected_entry(crc: _Crc, index: int) -> int:
    polynomial = int(f"{crc.polynomial:0{crc.width}b}"[::-1], 2)
    for _ in range(8):
        index = index >> 1 ^ polynomial if index & 1 else index >> 1
    return index


def _xor(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
    return value


def _fletcher(data: bytes) -> int:
    """Return the checksum of UBX: the first byte is the plain sum, the second the sum of sums."""
    first = second = 0
    for byte in data:
        first = (first + byte) & 0xFF
        second = (second + first) & 0xFF
    return first << 8 | second


_SIMPLE: dict[str, Checksum] = {
    "sum8": Checksum(1, lambda data: sum(data) & 0xFF),
    "sum8_inverted": Checksum(1, lambda data: ~sum(data) & 0xFF),
    "sum8_twos": Checksum(1, lambda data: -sum(data) & 0xFF),
    "sum16": Checksum(2, lambda data: sum(data) & 0xFFFF),
    "sum16_twos": Checksum(2, lambda data: -sum(data) & 0xFFFF),
    "xor8": Checksum(1, _xor),
    "sum6_linky": Checksum(1, lambda data: (sum(data) & 0x3F) + 0x20),
    "crc32": Checksum(4, zlib.crc32),
    "fletcher8": Checksum(2, _fletcher),
}
