"""Each kind of checksum is that of the catalogue, or of a frame that a maker printed."""

from __future__ import annotations

from typing import get_args

import pytest

from sensord.decode.checksums import Kind, checksum

CHECKS: dict[Kind, int] = {
    "crc8": 0xF4,
    "crc8_maxim": 0xA1,
    "crc16_modbus": 0x4B37,
    "crc16_arc": 0xBB3D,
    "crc16_ccitt": 0x29B1,
    "crc16_xmodem": 0x31C3,
    "crc16_kermit": 0x2189,
    "crc16_x25": 0x906E,
    "crc32": 0xCBF43926,
    "sum8": 0xDD,
    "sum8_inverted": 0x22,
    "sum8_twos": 0x23,
    "sum16": 0x01DD,
    "sum16_twos": 0xFE23,
    "xor8": 0x31,
    "sum6_linky": 0x3D,
    "fletcher8": 0xDD15,
}
"""Of the nine characters 1 to 9."""


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_checksum_of_the_digits_is_the_check_value(kind: Kind) -> None:
    """And as long as its kind has bytes."""
    found = checksum(kind)
    assert found.of(b"123456789") == CHECKS[kind]
    assert found.of(b"123456789") < 256**found.size
    assert found.of(b"\xff" * 1000) < 256**found.size


def test_known_frames_of_devices_fit() -> None:
    """As their makers print them."""
    modbus = bytes.fromhex("01 03 00 00 00 0A C5 CD")
    assert checksum("crc16_modbus").of(modbus[:-2]) == int.from_bytes(modbus[-2:], "little")
    mhz19 = bytes.fromhex("FF 86 02 60 47 00 00 00 D1")
    assert checksum("sum8_twos").of(mhz19[1:-1]) == mhz19[-1]
    ubx = bytes.fromhex("B5 62 05 01 02 00 06 01 0F 38")
    assert checksum("fletcher8").of(ubx[2:-2]) == int.from_bytes(ubx[-2:], "big")
