"""Recorded exchanges are decoded, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensord.readers.modbus.exchanges import samples_in
from sensord.readers.modbus.options import Config, Register, Unit
from sensord.readers.modbus.requests import Table

UNIT = Unit(1, {"voltage": Register(0, type="f32")}, table=Table.INPUT)
PLAN = Config({"m": UNIT}, port="/dev/null").plans()["m"]
GOOD = bytes.fromhex("01 04 00 00 00 02 71 CB 01 04 04 43 66 33 34 1B 38")


@given(st.binary(max_size=20))
def test_an_exchange_is_found_behind_anything(noise: bytes) -> None:
    """What is none is passed over, one byte at a time."""
    found = [sample.value for samples in samples_in(PLAN, noise + GOOD) for sample in samples]
    assert found == [230.20001]


@given(st.integers(0, 8 * len(GOOD) - 1))
def test_a_damaged_exchange_gives_nothing(bit: int) -> None:
    """Request and answer have a CRC each."""
    damaged = bytearray(GOOD)
    damaged[bit // 8] ^= 1 << bit % 8
    assert list(samples_in(PLAN, bytes(damaged))) == []


def test_the_exchange_of_another_unit_gives_nothing() -> None:
    """Its registers are others, whatever their addresses are."""
    other = PLAN._replace(number=2)
    assert list(samples_in(other, GOOD)) == []
