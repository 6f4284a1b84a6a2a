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
from sensord.decode import (
    any_value,
    csv_line,
    json_paths,
    key_value,
    nmea0183,
    number,
    obis,
    regex,
)
from sensord.decode.base import Decoder
from sensord.decode.framing import blocks, framer_of
from sensord.decode.framing.lines import Config as Framing
from sensord.device.intake import Intake
from sensord.device.policy import Policy
from sensord.log import Log
from sensord.model.readings import GOOD, Record, Value, ValueType
from tests.unit.decode.nmea0183.sealing import sealed
from tests.unit.decode.streams import cut_points, pieces
from tests.unit.manual import ManualClock

NAMED = json_paths.Named(list="l", name="n", value="x", unit="u")

MAKERS: dict[str, Callable[[], Decoder]] = {
    "csv": lambda: csv_line.Decoder(csv_line.Config(fields=("", "v"), separator=";")),
    "key_value": lambda: key_value.Decoder(key_value.Config(fields={"v": "v"})),
    "regex": lambda: regex.Decoder(regex.Config(pattern="^v:(?P<v>.*)$")),
    "number": lambda: number.Decoder(number.Config(field="v")),
    "json": lambda: json_paths.Decoder(json_paths.Config()),
    "json text": lambda: json_paths.Decoder(json_paths.Config()),
    "any": lambda: any_value.Decoder(any_value.Config(field="v")),
    "obis": lambda: obis.Decoder(obis.Config(fields={"v": "1.8.1"})),
    "obis telegram": lambda: obis.Decoder(obis.Config(fields={"v": "1.8.1"})),
    "json named": lambda: json_paths.Decoder(json_paths.Config(named=NAMED)),
    "json named text": lambda: json_paths.Decoder(json_paths.Config(named=NAMED)),
    "nmea0183": lambda: nmea0183.Decoder(nmea0183.Config(satellites=True)),
}
FORMS: dict[str, Callable[[str], str]] = {
    "csv": "x;{}".format,
    "key_value": "v={}".format,
    "regex": "v:{}".format,
    "number": "{}".format,
    "json": '{{"v":{}}}'.format,
    "json text": lambda text: json.dumps({"v": text}),
    "any": "{}".format,
    "obis": "1-0:1.8.1({})".format,
    "obis telegram": lambda text: f"1-0:1.8.1*03(7*kW)\r1-0:1.8.1*255({text})\r1-0:1.8.2(9*W)",
    "json named": lambda text: _named(text, is_text=False),
    "json named text": lambda text: _named(text, is_text=True),
}


def _digits(text: str) -> str | None:
    """Return a token's number without its unit and blanks."""
    found = PLAIN.fullmatch(text)
    return f"{found[1]}{found[2]}e{found[3]}".removesuffix("eNone") if found else None


def _named(text: str, *, is_text: bool) -> str:
    """Return an object of JSON with the number and the unit of a token, or the token as a text."""
    digits, unit = _digits(text), _suffix(text)
    value = json.dumps(text) if digits is None else json.dumps(digits) if is_text else digits
    return f'{{"l":[{{"n":"v","x":{value}{f""","u":{json.dumps(unit)}""" if unit else ""}}}]}}'


CARRYING = {"obis", "obis telegram", "json named", "json named text"}
"""Forms that have a place of their own for a unit."""

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


FramingConfig = Framing | blocks.Config


def readings(
    decoder: Decoder,
    parts: list[bytes],
    framing: FramingConfig | None = None,
    **channels: ChannelRules,
) -> list[Record]:
    """Return all that an intake publishes of the pieces of a stream."""
    config = Device(
        name="d",
        reader="serial",
        reader_config=None,
        decoder="",
        decoder_config=None,
        framing=framing or Framing(),
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


def _first_power(unit: str) -> str:
    """Return a unit without the exponent 1: to UCUM, W1 is W."""
    return unit.removesuffix("1") if unit != "1" else unit


def plainly(text: str, unit: str) -> Fraction | None:
    """Return the number that a text says in a unit, or None if it plainly says none."""
    found = PLAIN.fullmatch(text)
    if found is None:
        return None
    sign, digits, exponent, suffix = found.groups()
    suffix, unit = _first_power(suffix), _first_power(unit)
    if exponent and (
        len(exponent) > 4
        or (digits[:1] == "0" != digits and digits.isdigit() and exponent.isdigit())
    ):
        return None  # 00e5 is hexadecimal
    value = Fraction(Decimal(f"{sign}{digits}e{exponent or 0}"))
    if not suffix or suffix == unit:
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


def is_as_written(value: Value, text: str, unit: str, type_: ValueType) -> bool:
    """Tell whether a good value is what a text says, in the unit that its channel announces."""
    if isinstance(value, str):
        return type_ is ValueType.STRING and value.strip() == text.strip()
    word = text.strip().casefold()
    if isinstance(value, bool):
        return type_ is ValueType.BOOL and word in {"true", "false"}
    if word in {"true", "false"}:  # JSON's, which a channel of numbers has as 1 and 0
        return not unit and value == (word == "true")
    plain = plainly(text, unit)
    if plain is None or not isinstance(value, int | float):
        return False
    near = nearest(plain)
    if near is not None and any(one in text for one in UNITS):
        return math.isclose(value, near, rel_tol=1e-15)  # converted: rounded twice
    # A fraction is as near as a float is; a whole number is exact.
    return Fraction(value) == plain or (near == value and (isinstance(value, float) or "e" in word))


def is_said(record: Record, texts: list[str], form: str) -> bool:
    """Tell whether a good reading is one of the values that a device sent.

    A channel that announces none of the units here, since none was declared, has all of its values
    in the unit that came first.
    """
    metadata, value = record.channel.metadata, record.reading.value
    units = {metadata.unit}
    if form in CARRYING and metadata.unit not in UNITS:
        units |= {unit for text in texts if (unit := _suffix(text))}
    if form.startswith("json named") and isinstance(value, str):
        return any(value.strip() in {_digits(text), text.strip()} for text in texts)
    return any(is_as_written(value, text, unit, metadata.type) for text in texts for unit in units)


def _suffix(text: str) -> str:
    found = PLAIN.fullmatch(text)
    return found[4] if found else ""


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
            if record.channel.topic == "d/v" and record.reading.quality == GOOD:
                assert is_said(record, [text], form)
                metadata = record.channel.metadata
                assert declared.type in {None, metadata.type}
                assert declared.unit in {None, metadata.unit}
                assert form in CARRYING or metadata.unit == (declared.unit or "")


@pytest.mark.parametrize("form", FORMS)
@given(st.lists(tokens, min_size=2, max_size=5), rules)
def test_a_good_value_is_what_the_device_wrote_whatever_came_before(
    form: str, texts: list[str], declared: ChannelRules
) -> None:
    """The first value decides what an undeclared channel is, and nothing else."""
    messages = [FORMS[form](text).encode() + b"\n" for text in texts]
    for record in readings(MAKERS[form](), messages, v=declared):
        if record.channel.topic == "d/v" and record.reading.quality == GOOD:
            assert is_said(record, texts, form)


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
        MAKERS["nmea0183"](), lines, None, **{"xdr/AIR": ChannelRules(unit=unit, publish=policy())}
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
