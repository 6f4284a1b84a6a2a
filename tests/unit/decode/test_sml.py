"""SML lists: codes, units, scalers, and what is no list."""

from __future__ import annotations

import random

from sensord.decode.base import Decoded
from sensord.decode.sml import BROKEN, Config, Decoder
from tests.unit.decode.streams import config_faults


def octets(data: bytes) -> bytes:
    """Return an octet string; a long one has two length bytes."""
    length = len(data) + 1
    if length < 16:
        return bytes([length]) + data
    return bytes([0x80 | length + 1 >> 4, length + 1 & 0xF]) + data


def entry(code: str, unit: int | None, scaler: int, value: bytes) -> bytes:
    """Return one entry of a list."""
    unit_part = b"\x01" if unit is None else bytes([0x62, unit])
    scaler_part = b"\x52" + scaler.to_bytes(1, "big", signed=True)
    head = b"\x77" + octets(bytes.fromhex(code)) + b"\x01\x01"
    return head + unit_part + scaler_part + value + b"\x01"


def message(*entries: bytes) -> bytes:
    """Return the message of a list of values."""
    values = bytes([0x70 | len(entries)]) + b"".join(entries)
    response = b"\x77\x01" + octets(b"server") + b"\x01\x01" + values + b"\x01\x01"
    return b"\x76" + octets(b"1") + b"\x62\0\x62\0" + b"\x72\x63\x07\x01" + response + b"\x63\0\0\0"


ENERGY = entry("0100010800FF", 30, -1, b"\x59" + (123456).to_bytes(8, "big"))
EXPORTED = entry("0100100700FF", 27, 0, b"\x52\xfe")


def found(decoded: Decoded) -> dict[str, object]:
    """Return the values by field."""
    return {one.field: one.value for one in decoded.samples}


def test_values_have_their_scaler_unit_and_sign() -> None:
    """A negative power is one that is delivered."""
    decoder = Decoder(Config())
    decoded = decoder.decode(message(ENERGY, EXPORTED))
    assert found(decoded) == {"1-0:1.8.0": 12345.6, "1-0:16.7.0": -2}
    assert [one.unit for one in decoded.samples] == ["W.h", "W"]
    metadata = decoder.metadata("1-0:1.8.0")
    assert metadata is not None
    assert (metadata.unit, metadata.decimals) == ("W.h", 1)


def test_fields_name_codes_with_and_without_their_groups() -> None:
    """What nobody asked for is no fault."""
    decoder = Decoder(Config(fields={"energy": "1.8.0"}))
    assert found(decoder.decode(message(ENERGY, EXPORTED))) == {"energy": 12345.6}


def test_texts_and_identifiers() -> None:
    """A maker's letters are a text; a serial number is hexadecimal."""
    maker = entry("8181C78203FF", None, 0, octets(b"EMH"))
    serial = entry("0100000009FF", None, 0, octets(bytes.fromhex("06454D4801001D406236")))
    values = found(Decoder(Config()).decode(message(maker, serial)))
    assert values == {"129-129:199.130.3": "EMH", "1-0:0.0.9": "06454d4801001d406236"}


def test_hexadecimal_payloads_are_read() -> None:
    """Some gateways pass the file on as text."""
    payload = message(ENERGY).hex().encode()
    assert found(Decoder(Config(input="hex")).decode(payload)) == {"1-0:1.8.0": 12345.6}
    assert Decoder(Config(input="hex")).decode(b"xyz").faults


def test_no_bytes_break_it() -> None:
    """Cut, changed and made up: samples or a fault, in bounded time."""
    chance = random.Random(3)
    whole = message(ENERGY, EXPORTED)
    for _ in range(5000):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        Decoder(Config()).decode(bytes(data[: chance.randrange(len(data) + 1)]))
    assert Decoder(Config()).decode(b"\x71" * 5000).faults[0].reason == BROKEN
    assert Decoder(Config()).decode(b"\xff\xff\xff\x7f").faults[0].reason == BROKEN


def test_a_code_that_is_none_is_refused() -> None:
    """With the form that is expected."""
    assert "no OBIS code" in config_faults(Config, {"fields": {"x": "energy"}})[0]
