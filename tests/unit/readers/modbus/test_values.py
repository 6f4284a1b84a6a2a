"""Values in registers, both ways."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.model.readings import GOOD, Level, Value, ValueType
from sensord.readers.modbus.values import WORDS, Form, decode, encode

orders = st.sampled_from(["big", "little"])

WHOLE = {"u8": (0, 255), "i8": (-128, 127), "u16": (0, 65535), "i16": (-32768, 32767)}
WHOLE |= {"u32": (0, 2**32 - 1), "i32": (-(2**31), 2**31 - 1)}
WHOLE |= {"u64": (0, 2**64 - 1), "i64": (-(2**63), 2**63 - 1)}


@pytest.mark.parametrize(
    ("data", "options", "value"),
    [
        ("43 66 33 33", {"type": "f32"}, 230.2),
        ("33 33 43 66", {"type": "f32", "word_order": "little"}, 230.2),
        ("66 43 33 33", {"type": "f32", "byte_order": "little"}, 230.2),
        ("33 33 66 43", {"type": "f32", "byte_order": "little", "word_order": "little"}, 230.2),
        ("08 fc", {"scale": 0.1}, 230.0),
        ("08 fd", {"scale": 0.1}, 230.1),
        ("ff f6", {"type": "i16", "scale": 0.1}, -1.0),
        ("00 00 70 48 86 0d df 79", {"type": "u64", "scale": 0.001}, 123456789012.345),
        ("00 6c 00 00", {"type": "u32", "word_order": "little", "scale": 0.001}, 0.108),
        ("00 01 00 00 00 00 00 00", {"type": "u64"}, 2**48),
        ("12 34", {"type": "bcd"}, 1234),
        ("12 34 56 78", {"type": "bcd", "words": 2, "word_order": "little"}, 56781234),
        ("53 44 4d 00", {"type": "ascii", "words": 2}, "SDM"),
        ("44 53 00 4d", {"type": "ascii", "words": 2, "byte_order": "little"}, "SDM"),
        ("00 08", {"type": "bool", "first_bit": 3}, True),
        ("ff f7", {"type": "bool", "first_bit": 3}, False),
        ("00 b0", {"first_bit": 4, "last_bit": 7}, 11),
        ("12 ff", {"type": "i8"}, -1),
        ("00 00", {"offset": -40.0}, -40.0),
    ],
)
def test_values_stand_as_declared(data: str, options: dict[str, Any], value: Value) -> None:
    """In the orders and types that devices use."""
    words = {"words": WORDS.get(options.get("type", "u16"), 1)}
    form = Form(**{**words, **options})
    assert decode(form, bytes.fromhex(data)) == (value, GOOD)
    assert type(decode(form, bytes.fromhex(data))[0]) is type(value)


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("7f c0 00 00", {"type": "f32", "words": 2}),
        ("7f 80 00 00", {"type": "f32", "words": 2}),
        ("ff ff", {"missing": (65535,)}),
        ("80 00", {"type": "i16", "missing": (0x8000,)}),
        ("1a 34", {"type": "bcd"}),
        ("01 80", {"type": "ascii"}),
        ("00 00", {"type": "ascii"}),
        ("00", {}),
        ("00 00 00", {}),
    ],
)
def test_what_is_no_value_is_bad(data: str, options: dict[str, Any]) -> None:
    """It never becomes a number that somebody believes."""
    value, quality = decode(Form(**options), bytes.fromhex(data))
    assert value is None
    assert quality.level is Level.BAD


@given(st.data(), st.sampled_from(sorted(WHOLE)), orders, orders)
def test_whole_numbers_come_back(data: st.DataObject, kind: Any, words: Any, bytes_: Any) -> None:
    """What is written is what is read, to the last bit."""
    value = data.draw(st.integers(*WHOLE[kind]))
    form = Form(type=kind, words=WORDS[kind], word_order=words, byte_order=bytes_)
    assert decode(form, encode(form, value)) == (value, GOOD)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), orders, orders)
def test_floats_are_the_shortest_that_the_device_means(
    value: float, words: Any, bytes_: Any
) -> None:
    """The decimal number stands for exactly the bits that came."""
    form = Form(type="f32", words=2, word_order=words, byte_order=bytes_)
    data = encode(form, value)
    found, quality = decode(form, data)
    assert quality == GOOD
    assert isinstance(found, float)
    assert struct.pack(">f", found) == struct.pack(">f", value)
    assert len(repr(found)) <= len(repr(value))


@given(st.binary(max_size=12), st.sampled_from([*WORDS, "bcd", "ascii"]), st.integers(1, 6))
def test_no_bytes_raise(data: bytes, kind: Any, count: int) -> None:
    """A value that is good has the type that is announced."""
    form = Form(type=kind, words=WORDS.get(kind, count), scale=0.1 if kind == "u16" else 1.0)
    value, quality = decode(form, data)
    kinds = {ValueType.INT: int, ValueType.FLOAT: float, ValueType.BOOL: bool}
    wanted = kinds.get(form.value_type, str)
    assert value is None or type(value) is wanted
    assert (value is None) is (quality.level is Level.BAD)


@pytest.mark.parametrize(
    ("options", "value", "words"),
    [
        ({}, 65536, "does not fit into u16"),
        ({}, -1, "does not fit"),
        ({}, 1.5, "steps of 1"),
        ({"scale": 0.5}, 21.3, "steps of 0.5"),
        ({"missing": (65535,)}, 65535, "stands for no value"),
        ({}, "x", "a number"),
        ({"type": "f32", "words": 2}, 1e39, "does not fit"),
        ({"type": "bcd"}, 10000, "4 digits"),
        ({"type": "ascii", "words": 1}, "abc", "2 characters"),
        ({"type": "ascii", "words": 1}, "é", "ASCII"),
    ],
)
def test_what_cannot_be_held_is_refused(options: dict[str, Any], value: Value, words: str) -> None:
    """Before anything is sent, with the reason."""
    with pytest.raises(ValueError, match=words):
        encode(Form(**options), value)


def test_a_scaled_value_is_written_as_the_step_that_it_is() -> None:
    """21.5 / 0.1 is no whole number to a computer."""
    assert encode(Form(scale=0.1), 21.5) == struct.pack(">H", 215)
