"""Sparkplug B: births, aliases, types, sequence; bytes made by Google's protobuf."""

from __future__ import annotations

import random

import pytest

from sensord.decode.protobuf import BrokenError, fields, signed
from sensord.decode.sparkplug import BROKEN, GAP, UNKNOWN_ALIAS, Config, Decoder

# Encoded by protobuf 6 with the fields of sparkplug_b.proto.
NBIRTH = bytes.fromhex(
    "0880e09af7a234120b0a05626453657120045803121a0a144e6f646520436f6e74726f6c2f52656269727468200b700012130a06557074696d65100120085894b4e4f4cb031800"
)
DBIRTH = bytes.fromhex(
    "0880e09af7a23412310a12496e707574732f54656d7065726174757265100220094a120a07656e67556e697412"
    "07080c4203c2b043653333ab4112110a054c6576656c1003200350fbffffff0f12170a064f6666736574100420"
    "0458f9ffffffffffffffff0112100a044d6f64651005200c7a046175746f120c0a0450756d701006200b700112"
    "140a05526174696f1007200a69000000000000c03f120e0a05536d616c6c1008200150fe011801"
    ""
)
DDATA = bytes.fromhex(
    "0880e09af7a234120e10021898d89af7a23465cdccb44112061003200350071204100538011802"
)
AFTER_A_GAP = bytes.fromhex("0880e09af7a23412071002650000bc411805")
UNKNOWN = bytes.fromhex("0880e09af7a23412071063650000803f1806")

NODE = "spBv1.0/plant/NBIRTH/edge"
DEVICE = "spBv1.0/plant/DDATA/edge/oven"


def born() -> Decoder:
    """Return a decoder that has seen the births of a node and its device."""
    decoder = Decoder(Config())
    decoder.decode_from(NODE, NBIRTH)
    assert decoder.decode_from("spBv1.0/plant/DBIRTH/edge/oven", DBIRTH).faults == []
    return decoder


def test_a_birth_names_its_metrics_with_type_and_unit() -> None:
    """Numbers with a sign come as their two's complement."""
    samples, faults = Decoder(Config()).decode_from(DEVICE, DBIRTH)
    assert faults == []
    assert {one.field: one.value for one in samples} == {
        "Inputs/Temperature": 21.4,
        "Level": -5,
        "Offset": -7,
        "Mode": "auto",
        "Pump": True,
        "Ratio": 0.125,
        "Small": -2,
    }
    assert samples[0].unit == "Cel"


def test_data_by_alias_is_named_by_the_birth() -> None:
    """With its own time where it has one, else that of the message."""
    samples, faults = born().decode_from(DEVICE, DDATA)
    assert faults == []
    assert [(one.field, one.value) for one in samples] == [
        ("Inputs/Temperature", 22.6),
        ("Level", 7),
        ("Mode", None),
    ]
    times = [1_796_083_199_000_000, 1_796_083_200_000_000, 1_796_083_200_000_000]
    assert [one.time_us for one in samples] == times


def test_a_lost_message_and_an_unknown_alias_are_faults() -> None:
    """A birth begins the count again."""
    decoder = born()
    assert [one.reason for one in decoder.decode_from(DEVICE, AFTER_A_GAP).faults] == [GAP]
    assert [one.reason for one in decoder.decode_from(DEVICE, UNKNOWN).faults] == [UNKNOWN_ALIAS]
    assert decoder.decode_from(NODE, NBIRTH).faults == []
    # The device's aliases were those of the node's former life.
    assert decoder.decode_from(DEVICE, DDATA).faults[-1].reason == UNKNOWN_ALIAS


def test_nodes_do_not_share_aliases() -> None:
    """The number is the node's own."""
    faults = born().decode_from("spBv1.0/plant/DDATA/other/oven", DDATA).faults
    assert [one.reason for one in faults] == [UNKNOWN_ALIAS]


def test_no_bytes_break_it() -> None:
    """Whatever arrives: samples or a fault."""
    chance = random.Random(9)
    for _ in range(5000):
        data = bytearray(DBIRTH)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        Decoder(Config()).decode_from(DEVICE, bytes(data[: chance.randrange(len(data) + 1)]))
    assert Decoder(Config()).decode(b"{}").faults[0].reason == BROKEN


def test_the_wire_format() -> None:
    """Varints, fixed lengths and bytes; what is cut off is no message."""
    assert list(fields(bytes.fromhex("089601120161"))) == [(1, 150), (2, b"a")]
    assert signed(0xFE, 8) == -2
    for broken in ("08", "0a05", "00", "0b", "08" + "ff" * 11):
        with pytest.raises(BrokenError):
            list(fields(bytes.fromhex(broken)))
