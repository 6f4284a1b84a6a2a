"""A message within a message is decoded by a decoder of its own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.base import Writer
from sensord.decode.nested import NO_TEXT, Config, Decoder, Inner
from sensord.decode.sub_decoder import SubDecoder
from sensord.model.readings import Value
from tests.unit.decode.streams import config_faults

HEX: dict[str, object] = {
    "input": "hex",
    "fields": {"t": {"at": 0, "type": "i16", "scale": 0.1, "unit": "Cel"}},
}
BASE64 = HEX | {"input": "base64"}


def decoder(outer: str, options: dict[str, Any], **inner: Inner) -> Decoder:
    return Decoder(Config(outer=SubDecoder(decoder=outer, options=options), inner=inner))


def values(found: Decoder, message: bytes) -> dict[str, Value]:
    return {one.field: one.value for one in found.decode(message).samples}


IN_JSON = decoder("json", {}, data=Inner(decoder="binary", options=HEX))


def test_bytes_in_json_are_decoded_beside_its_own_values() -> None:
    """As a gateway of Bluetooth sensors sends them."""
    assert values(IN_JSON, b'{"rssi": -64, "data": "00D7"}') == {"rssi": -64.0, "t": 21.5}
    metadata = IN_JSON.metadata("t")
    assert metadata is not None
    assert metadata.unit == "Cel"


def test_digits_are_bytes_to_the_inner_decoder() -> None:
    """Though the outer one would make a number of them."""
    found = decoder("csv", {"fields": ["id", "data"]}, data=Inner(decoder="binary", options=HEX))
    assert values(found, b"7,00120034") == {"id": 7.0, "t": 1.8}
    assert [one.text for one in found.decode(b"7,0012").samples] == [None, None]


def test_a_line_may_hold_a_frame() -> None:
    """As candump writes them."""
    pattern = r"^\S+ +(?P<id>[0-9A-F]+) +\[\d\] +(?P<data>[0-9A-F ]+)$"
    found = decoder("regex", {"pattern": pattern}, data=Inner(decoder="binary", options=HEX))
    assert values(found, b"can0  1F2   [2]  00 D7")["t"] == 21.5


def test_base64_is_another_form() -> None:
    """Of LoRaWAN payloads without a formatter."""
    found = decoder("json", {}, frm=Inner(decoder="binary", options=BASE64, prefix="raw/"))
    assert values(found, b'{"frm": "ANc="}') == {"raw/t": 21.5}
    metadata = found.metadata("raw/t")
    assert metadata is not None
    assert metadata.unit == "Cel"


def test_the_time_of_the_outer_message_is_that_of_the_inner_values() -> None:
    """Unless they have their own."""
    found = decoder("json", {"time": "at"}, data=Inner(decoder="binary", options=HEX))
    (sample,) = found.decode(b'{"at": 1700000000, "data": "00D7"}').samples
    assert sample.time_us == 1_700_000_000_000_000


@pytest.mark.parametrize(
    ("message", "reasons"),
    [
        (b'{"data": {"a": 1}}', [NO_TEXT]),
        (b'{"data": [1]}', [NO_TEXT]),
        (b'{"data": null}', []),
        (b'{"data": "xyz"}', ["not hexadecimal or base64"]),
        (b'{"data": "00"}', ["message too short"]),
        (b"{", ["not JSON"]),
    ],
)
def test_what_cannot_be_decoded_costs_only_itself(message: bytes, reasons: list[str]) -> None:
    """The fault is the one of the decoder that met it."""
    found = decoder(
        "json",
        {"fields": {"data": "data", "rssi": "rssi"}},
        data=Inner(decoder="binary", options=HEX),
    )
    decoded = found.decode(message)
    assert [fault.reason for fault in decoded.faults] == reasons
    assert decoded.samples == []


@given(st.binary(max_size=40))
def test_it_never_raises(data: bytes) -> None:
    """Whatever comes, within and without."""
    IN_JSON.decode(data)
    IN_JSON.decode(b'{"data": "' + data + b'"}')


def test_a_text_keeps_its_form() -> None:
    """21.50 stays 21.50 in a channel of texts."""
    found: object = decoder("json", {}, data=Inner(decoder="binary", options=HEX))
    assert isinstance(found, Writer)
    found.keep_text()
    assert isinstance(found, Decoder)
    assert found.decode(b'{"v": 21.50}').samples[0].text == "21.50"


def test_faults_in_options_are_named() -> None:
    """Each decoder is checked like one of its own; one that is composed itself is none."""
    table = {
        "outer": {"decoder": "nested"},
        "inner": {"a": {"decoder": "binary", "options": {"feilds": {}}}},
    }
    found = " ".join(config_faults(Config, table))
    assert 'there is no decoder "nested"' in found
    assert "feilds" in found
    assert "inner" in " ".join(config_faults(Config, {"outer": {"decoder": "json"}}))
