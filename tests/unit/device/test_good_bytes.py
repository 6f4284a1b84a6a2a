"""A good value is what the device sent: sentences with units, bytes at offsets, sealed telegrams.

The relatives of `test_good_values` for the decoders whose input is not a text of one value. What a
message says is worked out here in another way than in the package.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sensord.config.tree import ChannelRules
from sensord.decode import binary, obis, registry
from sensord.decode.framing import blocks
from sensord.decode.framing.line_checksum import TextChecksum
from sensord.decode.framing.lines import Config as Lines
from sensord.model.readings import GOOD, Reason
from tests.unit.decode.nmea0183.sealing import sealed
from tests.unit.device.test_good_values import FORMS, MAKERS, FramingConfig, policy, readings

SPEEDS = {
    "N": Fraction(1852, 3600),
    "M": Fraction(1),
    "K": Fraction(1000, 3600),
    "S": Fraction("0.44704"),
}
SPEED_CODES = {
    "[kn_i]": SPEEDS["N"],
    "m/s": SPEEDS["M"],
    "km/h": SPEEDS["K"],
    "[mi_i]/h": SPEEDS["S"],
}
LENGTHS = {"f": Fraction("0.3048"), "M": Fraction(1), "F": Fraction("1.8288")}
LENGTH_CODES = {"[ft_i]": LENGTHS["f"], "m": LENGTHS["M"], "[fth_i]": LENGTHS["F"]}
PRESSURES = {"I": Fraction("3386.38866667"), "B": Fraction(100_000), "P": Fraction(1)}
PRESSURE_CODES = {
    "[in_i'Hg]": PRESSURES["I"],
    "bar": PRESSURES["B"],
    "hPa": Fraction(100),
    "Pa": PRESSURES["P"],
}

SENTENCES: dict[str, tuple[str, dict[str, Fraction], dict[str, Fraction], dict[str, str]]] = {
    "wind_speed_apparent": ("IIMWV,10,R,{v},{u},A", SPEEDS, SPEED_CODES, {}),
    "speed_over_ground": (
        "",
        {unit: SPEEDS[unit] for unit in "NK"},
        SPEED_CODES,
        {"N": "GPVTG,,T,,M,{v},N,,K,A", "K": "GPVTG,,T,,M,,N,{v},K,A"},
    ),
    "wind_speed_true": (
        "",
        {unit: SPEEDS[unit] for unit in "NMK"},
        SPEED_CODES,
        {
            "N": "IIMWD,,T,,M,{v},N,,M",
            "M": "IIMWD,,T,,M,,N,{v},M",
            "K": "IIVWT,,R,,N,,M,{v},K",
        },
    ),
    "depth_below_transducer": (
        "",
        LENGTHS,
        LENGTH_CODES,
        {"f": "IIDBT,{v},f,,M,,F", "M": "IIDBT,,f,{v},M,,F", "F": "IIDBT,,f,,M,{v},F"},
    ),
    "air_pressure": (
        "",
        {unit: PRESSURES[unit] for unit in "IB"},
        PRESSURE_CODES,
        {"I": "IIMMB,{v},I,,B", "B": "IIMMB,,I,{v},B"},
    ),
    "xdr/BARO": (
        "IIXDR,P,{v},{u},BARO",
        {unit: PRESSURES[unit] for unit in "BP"},
        PRESSURE_CODES,
        {},
    ),
}
"""By field: a sentence, its units' letters, the units that a channel may announce, all in base
units, and sentences of their own for some letters."""


ELSEWHERE = {
    "ais",  # against real messages, in its own tests
    "choice",  # hands messages on to the others
    "nested",  # the same
    "sml",  # against an independent library
    "sparkplug",  # against the protocol's own encoder
    "ubx",
}


def test_every_decoder_has_such_a_test() -> None:
    """One that is new is missing here."""
    covered = {name.split()[0] for name in MAKERS} | {"binary"}
    assert set(registry.names()) - ELSEWHERE <= covered


@pytest.mark.parametrize("field", SENTENCES)
@given(data=st.data())
def test_a_sentence_is_in_the_unit_that_is_announced(field: str, data: st.DataObject) -> None:
    """Whichever unit it came in, and whichever came before."""
    form, letters, codes, own = SENTENCES[field]
    # No impossible value in any of the units, and none so small that rounding hides an error.
    said = st.tuples(st.integers(100, 9999), st.sampled_from(sorted(letters)))
    told = data.draw(st.lists(said, min_size=1, max_size=5))
    unit = data.draw(st.none() | st.sampled_from(sorted(codes)))
    lines, possible = [], []
    for tenths, letter in told:
        lines.append(sealed(own.get(letter, form).format(v=tenths / 10, u=letter)) + b"\n")
        possible.append(Fraction(tenths, 10) * letters[letter])
    found = readings(
        MAKERS["nmea0183"](), lines, None, **{field: ChannelRules(unit=unit, publish=policy())}
    )
    for record in found:
        if record.channel.topic != f"d/{field}" or record.reading.quality != GOOD:
            continue
        value, announced = record.reading.value, record.channel.metadata.unit
        assert isinstance(value, int | float)
        assert unit in {None, announced}
        base = Fraction(value) * codes[announced]
        assert any(math.isclose(base, one, rel_tol=1e-3) for one in possible)


FORMATS: dict[binary.FieldType, tuple[str, int]] = {
    "u8": ("B", 1), "i8": ("b", 1), "u16": ("H", 2), "i16": ("h", 2), "u32": ("I", 4),
    "i32": ("i", 4), "u64": ("Q", 8), "i64": ("q", 8), "f32": ("f", 4), "f64": ("d", 8),
}  # fmt: skip


def by_hand(part: bytes, kind: binary.FieldType, order: binary.Order) -> int | float:
    """Return the number that bytes are; swapped words are put back in place one by one."""
    if order.endswith("_swapped"):
        words = [part[at : at + 2] for at in range(0, len(part), 2)]
        part = b"".join(reversed(words))
    number: int | float
    (number,) = struct.unpack((">" if order.startswith("big") else "<") + FORMATS[kind][0], part)
    return number


SCALES = (1.0, 0.1, 0.01, 2.0, -0.5)
ORDERS: tuple[binary.Order, ...] = ("big", "little", "big_swapped", "little_swapped")


@given(
    st.binary(min_size=1, max_size=12),
    st.sampled_from(sorted(FORMATS)),
    st.sampled_from(ORDERS),
    st.integers(-8, 8),
    st.sampled_from(SCALES),
    st.sampled_from([None, "V", "mV", "W"]),
)
def test_bytes_are_the_number_that_stands_there(
    message: bytes,
    kind: binary.FieldType,
    order: binary.Order,
    at: int,
    scale: float,
    unit: str | None,
) -> None:
    """In each type and order, from either end, in the channel's unit or not at all."""
    size = FORMATS[kind][1]
    assume(not (at < 0 and at + size > 0))
    one = binary.Field(at=at, type=kind, byte_order=order, scale=scale, unit="V")
    decoder = binary.Decoder(binary.Config(fields={"v": one}, input="hex"))
    line = message.hex().encode() + b"\n"
    found = readings(decoder, [line], v=ChannelRules(unit=unit, publish=policy()))
    good = [one for one in found if one.reading.quality == GOOD]
    part = message[at : len(message) + at + size if at + size <= 0 and at < 0 else at + size]
    if at < 0 and -at > len(message):
        part = b""
    if len(part) != size or unit == "W":
        assert not good
        return
    plain = by_hand(part, kind, order)
    if not math.isfinite(plain):
        assert [one.reading.quality.reason for one in found] == [Reason.NOT_FINITE]
        return
    wanted = Fraction(plain) * Fraction(str(scale)) * (1000 if unit == "mV" else 1)
    for record in good:
        value = record.reading.value
        assert isinstance(value, int | float)
        near = 1e-6 if kind == "f32" else 1e-13
        # Rounded to the decimals that the scale implies.
        decimals = record.channel.metadata.decimals
        off = 0.0 if decimals is None else 0.5 * 10.0**-decimals
        assert abs(Fraction(value) - wanted) <= abs(wanted) * Fraction(near) + Fraction(off)
        assert (value > 0) == (wanted > 0) or abs(wanted) <= off
        if scale == 1.0 and isinstance(plain, int) and unit in {None, "V"}:
            assert value == plain


def crc16(data: bytes) -> int:
    """Reckon CRC-16/ARC bit by bit."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def telegram(*values: str) -> bytes:
    body = "/X\r\n\r\n" + "".join(f"1-0:1.8.1({value}*kWh)\r\n" for value in values) + "!"
    return body.encode() + b"%04X\r\n" % crc16(body.encode())


def wind_line(value: str) -> bytes:
    total = 0
    for byte in value.encode():
        total ^= byte
    return b"\x02" + value.encode() + b"\x03%02X\r\n" % total


P1 = blocks.Config(start="/", end="!", checksum=TextChecksum(type="crc16_arc"))
WIND = Lines(start="\x02", checksum=TextChecksum(type="xor8", before="\x03"))
SEALED: dict[str, tuple[FramingConfig, Callable[[str], bytes], str]] = {
    "block": (P1, telegram, "obis"),
    "line": (WIND, wind_line, "number"),
}


@pytest.mark.parametrize("kind", SEALED)
@given(
    st.lists(st.integers(0, 99_999), min_size=2, max_size=4), st.integers(0), st.integers(1, 255)
)
def test_no_value_of_a_damaged_message_is_used(
    kind: str, amounts: list[int], where: int, flip: int
) -> None:
    """One byte is another one on its way: each good value was sent."""
    framing, message, name = SEALED[kind]
    stream = bytearray(b"".join(message(f"{amount}.5") for amount in amounts))
    stream[where % len(stream)] ^= flip
    maker = MAKERS[name] if name != "obis" else lambda: obis.Decoder(OBIS)
    for record in readings(maker(), [bytes(stream)], framing=framing):
        if record.reading.quality == GOOD:
            assert record.reading.value in {amount + 0.5 for amount in amounts}


OBIS = obis.Config(fields={"v": "1.8.1"})


@pytest.mark.parametrize("unit", ["m3", "xyzzy"])
@pytest.mark.parametrize("name", ["obis", "json named"])
def test_a_number_in_a_unit_of_something_else_is_not_good(name: str, unit: str) -> None:
    """5 m3 passed as 5 kW.h, as did 5 of a unit that nobody knows."""
    line = FORMS[name](f"5*{unit}").encode() + b"\n"
    (record,) = readings(MAKERS[name](), [line], v=ChannelRules(unit="kW.h", publish=policy()))
    assert (record.reading.value, record.reading.quality.reason) == (None, Reason.WRONG_UNIT)


def test_a_value_announces_the_unit_that_came_with_it() -> None:
    """Then other units are converted to it."""
    lines = [FORMS["json named"](text).encode() + b"\n" for text in ("20*W", "0.5*kW")]
    first, second = readings(MAKERS["json named"](), lines)
    assert (first.reading.value, first.channel.metadata.unit) == (20, "W")
    assert (second.reading.value, second.channel) == (500, first.channel)
