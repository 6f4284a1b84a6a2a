"""A good value is what the device wrote, in the unit announced, under the type declared.

Over all decoders, whatever comes. What a text plainly says is read here in another way than in the
package: as a decimal, by one pattern, with a table of a few units.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sensord.bus import Bus
from sensord.config.tree import ChannelRules, Device
from sensord.decode import csv_line, json_paths, key_value, nmea0183, number, regex
from sensord.decode.base import Decoder
from sensord.decode.framing import framer_of
from sensord.decode.framing.lines import Config as Framing
from sensord.device.intake import Intake
from sensord.device.policy import Policy
from sensord.log import Log
from sensord.model.readings import GOOD, Record, Value, ValueType
from tests.unit.decode.nmea0183.sealing import sealed
from tests.unit.decode.streams import cut_points, pieces
from tests.unit.manual import ManualClock

MAKERS: dict[str, Callable[[], Decoder]] = {
    "csv": lambda: csv_line.Decoder(csv_line.Config(fields=("", "v"), separator=";")),
    "key_value": lambda: key_value.Decoder(key_value.Config(fields={"v": "v"})),
    "regex": lambda: regex.Decoder(regex.Config(pattern="^v:(?P<v>.*)$")),
    "number": lambda: number.Decoder(number.Config(field="v")),
    "json": lambda: json_paths.Decoder(json_paths.Config()),
    "json text": lambda: json_paths.Decoder(json_paths.Config()),
    "nmea0183": lambda: nmea0183.Decoder(nmea0183.Config(satellites=True)),
}
FORMS: dict[str, Callable[[str], str]] = {
    "csv": "x;{}".format,
    "key_value": "v={}".format,
    "regex": "v:{}".format,
    "number": "{}".format,
    "json": '{{"v":{}}}'.format,
    "json text": lambda text: json.dumps({"v": text}),
}

UNITS = {
    "%": ("ratio", "1/100"),
    "W": ("power", "1"),
    "kW": ("power", "1000"),
    "daW": ("power", "10"),
    "dW": ("power", "1/10"),
    "cW": ("power", "1/100"),
    "mW": ("power", "1/1000"),
}

PLAIN = re.compile(
    r"\s*([+-]?)\s*([0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?\s*\*?\s*(.*?)\s*"
)


def policy() -> Policy:
    return Policy(policy="every")


def readings(decoder: Decoder, parts: list[bytes], **channels: ChannelRules) -> list[Record]:
    """Return all that an intake publishes of the pieces of a stream."""
    config = Device(
        name="d",
        reader="serial",
        reader_config=None,
        decoder="",
        decoder_config=None,
        framing=Framing(),
        topic="{device}/{field}",
        description="",
        publish=policy(),
        max_channels=1000,
        channels=channels,
    )
    bus = Bus(Log("e1", 100_000), ManualClock())
    intake = Intake(config, framer_of(config.framing), decoder, bus, lambda _: None)
    for part in parts:
        intake.data(part, 0, 0)
    return [record for piece in bus.log.read(0, bus.log.tail) for record in piece]


def plainly(text: str, unit: str) -> Fraction | None:
    """Return the number that a text says in a unit, or None if it plainly says none."""
    found = PLAIN.fullmatch(text)
    if found is None:
        return None
    sign, digits, exponent, suffix = found.groups()
    if exponent and len(exponent) > 4:
        return None
    value = Fraction(Decimal(f"{sign}{digits}e{exponent or 0}"))
    if not suffix:
        return value
    if suffix not in UNITS or unit not in UNITS or UNITS[suffix][0] != UNITS[unit][0]:
        return None
    return value * Fraction(UNITS[suffix][1]) / Fraction(UNITS[unit][1])


digits = st.text("0123456789", min_size=1, max_size=20)
numbers = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "-", "+", "- ", "+   "]),
    digits,
    st.sampled_from(["", ".", ".5", ".250"]),
    st.sampled_from(["", "e5", "E-3", "e+02", "e400"]),
    st.sampled_from(["", "", "%", " %", "kW", "*kW", " mW", "W", " kPa", "x"]),
)
words = st.sampled_from(
    [
        "---",
        "nan",
        "inf",
        "None",
        "00cf",
        "00e5",
        "0110",
        "0x1F",
        "ON",
        "true",
        "1,5",
        "12:30",
        "1_0",
    ]
)
tokens = numbers | words | st.text("0123456789abcdefE.+- %kW*x", min_size=1, max_size=12)
rules = st.builds(
    ChannelRules,
    type=st.none() | st.sampled_from([ValueType.FLOAT, ValueType.INT, ValueType.STRING]),
    unit=st.none() | st.sampled_from([*UNITS]),
    publish=st.builds(policy),
)


def is_as_written(value: Value, text: str, declared: ChannelRules, type_: ValueType) -> bool:
    """Tell whether a good value is what a text says under what is declared."""
    if isinstance(value, str):
        return type_ is ValueType.STRING and value.strip() == text.strip()
    if isinstance(value, bool):
        return type_ is ValueType.BOOL and text.strip().casefold() in {"true", "false"}
    if text.strip().casefold() in {
        "true",
        "false",
    }:  # JSON's, which a channel of numbers has as 1 and 0
        return value == (text.strip().casefold() == "true")
    plain = plainly(text, declared.unit or "")
    if plain is None or not isinstance(value, int | float):
        return False
    near = nearest(plain)
    if near is not None and any(unit in text for unit in UNITS):
        return math.isclose(value, near, rel_tol=1e-15)  # converted: rounded twice
    return Fraction(value) == plain or (isinstance(value, float) and near == value)


def nearest(number_: Fraction) -> float | None:
    try:
        return float(number_)
    except OverflowError:
        return None


@pytest.mark.parametrize("form", FORMS)
@given(st.lists(tokens, min_size=1, max_size=4), rules)
def test_a_good_value_is_what_the_device_wrote(
    form: str, texts: list[str], declared: ChannelRules
) -> None:
    """A number under a number, a text under a text, an integer to its last digit."""
    if form == "json":
        assume(all(text.strip() for text in texts))
    for text in texts:
        message = FORMS[form](text).encode() + b"\n"
        for record in readings(MAKERS[form](), [message], v=declared):
            if record.reading.quality == GOOD:
                type_ = record.channel.metadata.type
                assert is_as_written(record.reading.value, text, declared, type_)
                assert declared.type in {None, type_}
                assert record.channel.metadata.unit == (declared.unit or "")


@pytest.mark.parametrize("form", FORMS)
@given(st.lists(tokens, min_size=2, max_size=5), rules)
def test_a_good_value_is_what_the_device_wrote_whatever_came_before(
    form: str, texts: list[str], declared: ChannelRules
) -> None:
    """The first value decides what an undeclared channel is, and nothing else."""
    messages = [FORMS[form](text).encode() + b"\n" for text in texts]
    for record in readings(MAKERS[form](), messages, v=declared):
        if record.reading.quality == GOOD:
            type_, value = record.channel.metadata.type, record.reading.value
            assert any(is_as_written(value, text, declared, type_) for text in texts)


def said(records: list[Record]) -> list[tuple[str, Any]]:
    return [(record.channel.topic, record.reading) for record in records]


@pytest.mark.parametrize("name", MAKERS)
@given(
    st.lists(tokens.map(str.encode) | st.binary(max_size=12), max_size=6),
    st.lists(
        st.sampled_from([b";", b"v=", b"v:", b'{"v":', b"}", b"\n", b",", b"\0", b"\xef\xbb\xbf"]),
        max_size=6,
    ),
    st.permutations(range(12)),
    cut_points,
)
def test_any_cut_gives_the_same_readings(
    name: str, values: list[bytes], marks: list[bytes], order: list[int], points: list[int]
) -> None:
    """Whatever the bytes."""
    both = [*values, *marks]
    stream = b"".join(both[i] for i in order if i < len(both)) + b"\n"
    whole = readings(MAKERS[name](), [stream])
    assert said(readings(MAKERS[name](), [*pieces(stream, points)])) == said(whole)


KELVIN: dict[str, Callable[[Fraction], Fraction]] = {
    "C": lambda value: value + Fraction("273.15"),
    "K": lambda value: value,
    "F": lambda value: (value + Fraction("459.67")) * 5 / 9,
}
LETTERS = {"Cel": "C", "K": "K", "[degF]": "F"}


@given(
    st.lists(
        st.tuples(st.integers(-500, 5000), st.sampled_from(["C", "K", "F"])), min_size=1, max_size=6
    ),
    st.none() | st.sampled_from([*LETTERS]),
)
def test_a_transducer_is_in_the_unit_that_is_announced(
    told: list[tuple[int, str]], unit: str | None
) -> None:
    """Whichever it said before."""
    lines = [sealed(f"IIXDR,C,{value / 10},{letter},AIR") + b"\n" for value, letter in told]
    found = readings(
        MAKERS["nmea0183"](), lines, **{"xdr/AIR": ChannelRules(unit=unit, publish=policy())}
    )
    possible = {KELVIN[letter](Fraction(value, 10)) for value, letter in told}
    for record in found:
        assert record.reading.quality == GOOD
        value = record.reading.value
        assert isinstance(value, float)
        announced = record.channel.metadata.unit
        assert unit in {None, announced}
        kelvin = float(KELVIN[LETTERS[announced]](Fraction(repr(value))))
        assert any(kelvin == pytest.approx(float(one), abs=1e-9) for one in possible)
