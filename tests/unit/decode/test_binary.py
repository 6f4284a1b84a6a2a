"""Numbers, bits and texts out of bytes."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.base import NOTHING, Sample
from sensord.decode.binary import NOT_TEXT, TOO_SHORT, UNKNOWN, Config, Decoder, Field, Kind, Repeat
from sensord.decode.text import NOT_FINITE
from sensord.model.readings import Metadata, ValueType
from tests.unit.decode.streams import config_faults


def decoded(data: bytes, *, byte_order: str = "big", **fields: Field) -> dict[str, object]:
    config = Config(byte_order=byte_order, fields=fields)  # type: ignore[arg-type]  # an order
    found = Decoder(config).decode(data)
    assert found.faults == []
    return {one.field: one.value for one in found.samples}


DATA = bytes.fromhex("0102030405060708f8")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Field(at=0), 1),
        (Field(at=-1, type="i8"), -8),
        (Field(at=0, type="u16"), 0x0102),
        (Field(at=0, type="u16", byte_order="little"), 0x0201),
        (Field(at=0, type="u32", byte_order="big_swapped"), 0x03040102),
        (Field(at=0, type="u32", byte_order="little_swapped"), 0x02010403),
        (Field(at=0, type="u64", byte_order="big_swapped"), 0x0708050603040102),
        (Field(at=1, type="u24"), 0x020304),
        (Field(at=7, type="i16"), 0x08F8),
        (Field(at=0, type="bcd", bytes=3), 10203),
        (Field(at=0, type="bcd", bytes=3, byte_order="little"), 30201),
        (Field(at=0, type="hex", bytes=2), "0102"),
        (Field(at=-1, bit=3), True),
        (Field(at=-1, bit=0), False),
        (Field(at=-1, bits=(3, 6)), 15),
        (Field(at=0, type="u16", scale=0.1), 25.8),
        (Field(at=0, type="u16", scale=0.5, offset=-40), 89.0),
        (Field(at=0, type="u16", scale=0.1, offset=-40), -14.2),
    ],
)
def test_a_field_is_read_where_and_as_it_is_declared(field: Field, value: object) -> None:
    """Decimal scales give the number that is meant, not a float beside it."""
    assert decoded(DATA, x=field) == {"x": value}


def test_floats_are_the_shortest_number_they_stand_for() -> None:
    """21.4 in single precision is 21.4, not 21.3999996185."""
    assert decoded(struct.pack(">f", 21.4), x=Field(at=0, type="f32")) == {"x": 21.4}
    assert decoded(struct.pack("<d", 0.1), x=Field(at=0, type="f64", byte_order="little")) == {
        "x": 0.1
    }
    swapped = struct.pack(">f", 230.25)[2:] + struct.pack(">f", 230.25)[:2]
    assert decoded(swapped, x=Field(at=0, type="f32", byte_order="big_swapped")) == {"x": 230.25}


def test_what_is_no_value_is_said_to_be_none() -> None:
    """Declared as missing, not finite, no digits, no text."""
    fields = {
        "a": Field(at=0, type="u16", missing=(0xFFFF,)),
        "b": Field(at=2, type="f32"),
        "c": Field(at=0, type="bcd", bytes=1),
        "d": Field(at=0, type="ascii", bytes=2),
    }
    data = b"\xff\xff" + struct.pack(">f", float("nan"))
    samples = {one.field: one for one in Decoder(Config(fields=fields)).decode(data).samples}
    assert (samples["a"].value, samples["a"].quality) == (None, NOTHING)
    assert (samples["b"].value, samples["b"].quality) == (None, NOT_FINITE)
    assert (samples["c"].value, samples["c"].quality) == (None, NOTHING)
    assert samples["d"] == Sample("d", "ÿÿ")


def test_a_text_ends_at_its_zero_byte() -> None:
    """Blanks around it are filling."""
    assert decoded(b" JBD-4\0\xff\xff", x=Field(at=0, type="ascii", bytes=9)) == {"x": "JBD-4"}


def test_kinds_of_messages_are_told_apart_by_what_stands_where() -> None:
    """A message of no kind is a fault, unless nobody cares."""
    kinds = (
        Kind(when={"1": "86"}, fields={"co2": Field(at=2, type="u16")}),
        Kind(when={"1": "99", "-1": "00"}, length=4, fields={"ok": Field(at=2, bit=0)}),
    )
    decoder = Decoder(Config(messages=kinds))
    assert decoder.decode(b"\xff\x86\x02\x60").samples == [Sample("co2", 608)]
    assert decoder.decode(b"\xff\x99\x01\x00").samples == [Sample("ok", True)]
    for other in (b"\xff\x99\x01\x00\x00", b"\xff\x99\x01\x01", b"\xff", b""):
        assert [one.reason for one in decoder.decode(other).faults] == [UNKNOWN]
    quiet = Decoder(Config(messages=kinds, ignore_unknown=True))
    assert quiet.decode(b"?").faults == []


def test_a_short_message_gives_the_fields_that_it_has() -> None:
    """And one fault."""
    fields = {"a": Field(at=0), "b": Field(at=1, type="u16"), "c": Field(at=-9)}
    found = Decoder(Config(fields=fields)).decode(b"\x05\x01")
    assert found.samples == [Sample("a", 5)]
    assert [one.reason for one in found.faults] == [TOO_SHORT]


def test_payloads_may_be_digits_or_base64() -> None:
    """As LoRaWAN servers and bridges pass them on."""
    fields = {"a": Field(at=0, type="u16")}
    assert Decoder(Config(fields=fields, input="hex")).decode(b" 01 02\n").samples[0].value == 258
    packed = base64.b64encode(b"\x01\x02")
    assert Decoder(Config(fields=fields, input="base64")).decode(packed).samples[0].value == 258
    for form in ("hex", "base64"):
        found = Decoder(Config(fields=fields, input=form)).decode(b"\xff?")
        assert [one.reason for one in found.faults] == [NOT_TEXT]


def test_metadata_follow_from_the_declaration() -> None:
    """Decimals from a decimal scale."""
    fields = {
        "v": Field(at=0, type="u16", scale=0.01, unit="V"),
        "b": Field(at=0, bit=1),
        "s": Field(at=0, type="hex", bytes=2),
        "f": Field(at=0, type="f32"),
    }
    decoder = Decoder(Config(fields=fields))
    assert decoder.metadata("v") == Metadata(ValueType.FLOAT, unit="V", decimals=2)
    assert decoder.metadata("b") == Metadata(ValueType.BOOL)
    assert decoder.metadata("s") == Metadata(ValueType.STRING)
    assert decoder.metadata("f") == Metadata(ValueType.FLOAT)
    assert decoder.metadata("?") is None


@given(st.binary(max_size=40))
def test_any_bytes_give_samples_or_faults_and_raise_nothing(data: bytes) -> None:
    """Numbers are those of the bytes."""
    fields = {
        "u": Field(at=3, type="u32", byte_order="little"),
        "f": Field(at=2, type="f64"),
        "t": Field(at=-5, type="ascii", bytes=5),
        "d": Field(at=1, type="bcd", bytes=4),
    }
    found = Decoder(Config(fields=fields)).decode(data)
    values = {one.field: one.value for one in found.samples}
    if "u" in values:
        assert values["u"] == int.from_bytes(data[3:7], "little")
    assert len(found.samples) == 4 or found.faults


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({}, "fields: give either fields, or messages"),
        ({"fields": {"a/#": {"at": 0}}}, 'fields: "a/#"'),
        ({"fields": {"a": {"at": 0, "type": "bcd"}}}, "fields.a.bytes: is needed with bcd"),
        ({"fields": {"a": {"at": 0, "type": "u16", "bytes": 2}}}, "fields.a.bytes: u16 has 2"),
        ({"fields": {"a": {"at": 0, "bits": [4, 2]}}}, "fields.a.bits: expected the first"),
        ({"fields": {"a": {"at": 0, "bit": 9}}}, "fields.a.bit: u8 has the bits 0 to 7"),
        ({"fields": {"a": {"at": 0, "type": "i8", "bit": 1}}}, "fields.a.bit: needs a whole"),
        ({"fields": {"a": {"at": 0, "bit": 1, "bits": [0, 1]}}}, "fields.a.bits: give bit or"),
        ({"fields": {"a": {"at": -1, "type": "u16"}}}, "fields.a.at: reaches beyond the end"),
        (
            {"fields": {"a": {"at": 0, "type": "hex", "bytes": 1, "scale": 2}}},
            "fields.a.scale: a text has none",
        ),
        (
            {"messages": [{"fields": {}, "when": {"x": "86"}}]},
            "messages.0.when: expected an offset",
        ),
        (
            {"messages": [{"fields": {}, "when": {"1": "8"}}]},
            "messages.0.when: at 1: expected bytes",
        ),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    table: dict[str, object], fault: str
) -> None:
    """With what to do."""
    assert any(one.startswith(fault) for one in config_faults(Config, table))


def test_types_without_words_have_nothing_to_swap() -> None:
    """A single byte between swapped words was read as 0, and of 24 bits one byte was lost."""
    fields = {"a": Field(at=0, type="u8"), "b": Field(at=1, type="u24")}
    found = Decoder(Config(byte_order="big_swapped", fields=fields)).decode(b"\x07\x01\x02\x03")
    assert [one.value for one in found.samples] == [7, 0x010203]


def test_a_field_of_several_messages_has_one_unit() -> None:
    """Its channel announces only one."""
    table = [{"fields": {"u": {"at": 0, "unit": unit}}} for unit in ("V", "mV")]
    assert any("\"u\" is in 'V' here" in one for one in config_faults(Config, {"messages": table}))


def test_groups_are_numbered_or_named() -> None:
    """As many as the message holds, or as it says."""
    cell = Field(at=0, type="u16", scale=0.001, unit="V")
    cells = Decoder(Config(repeat=Repeat(at=1, size=2, stop=-1, fields={"cell/{n}": cell})))
    samples, faults = cells.decode(bytes.fromhex("00 0CF0 0CF1 FF"))
    assert faults == []
    assert [(one.field, one.value) for one in samples] == [("cell/1", 3.312), ("cell/2", 3.313)]
    metadata = cells.metadata("cell/2")
    assert metadata is not None
    assert (metadata.unit, metadata.decimals) == ("V", 3)
    named = {"id": Field(at=0), "sat/{id}": Field(at=1)}
    some = Decoder(Config(repeat=Repeat(at=1, size=2, count=Field(at=0), fields=named)))
    assert [one.field for one in some.decode(bytes.fromhex("01 0744 0855")).samples] == ["sat/7"]
    assert some.decode(bytes.fromhex("03 0744")).faults[0].reason == TOO_SHORT


def test_groups_that_cannot_be_are_refused() -> None:
    """A field without a place would be the same for all."""
    repeat = {"at": 0, "size": 2, "fields": {"a": {"at": 0}, "b/{c}": {"at": 2}}}
    found = " ".join(config_faults(Config, {"repeat": repeat}))
    assert '"a" needs a place' in found
    assert "{c} is not one of them" in found
    assert "offsets count in the group" in found


def test_what_is_missing_may_be_written_as_its_bits() -> None:
    """8000 hexadecimal is -32768 to an i16, which passed as a temperature."""
    one = Field(at=0, type="i16", missing=(0x8000,))
    (found,) = Decoder(Config(fields={"t": one})).decode(b"\x80\x00").samples
    assert (found.value, found.quality.reason) == (None, "missing")
