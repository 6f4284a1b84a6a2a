"""A number is what a device means as one, and nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.base import Sample
from sensord.decode.text import (
    NOT_FINITE,
    TextOptions,
    TextValues,
    number,
    number_with_comma,
    quantity,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("21.5", 21.5),
        ("-0.5", -0.5),
        ("+7", 7),
        ("0042", 42),
        (" 3 ", 3),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("9007199254740993", 9007199254740993),
        ("-123456789012345678901234567890", -123456789012345678901234567890),
        ("0" * 5000 + "1", 1),
        ("+" + "0" * 5000 + "9007199254740993", 9007199254740993),
    ],
)
def test_numbers_are_read(text: str, value: float) -> None:
    """Digits alone are an int, all else a float."""
    found = number(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["", "abc", "1_000", "٣", "0x1F", "1,5", "12:30", "1 2", "--1"])
def test_what_no_device_means_as_a_number_is_none(text: str) -> None:
    """Python's own liberties are not taken."""
    assert number(text) is None


@pytest.mark.parametrize("text", ["nan", "-inf", "Infinity", "9" * 400, "1e+999"])
def test_what_is_not_finite_is_a_bad_sample(text: str) -> None:
    """A device that prints nan has a value to report: that there is none."""
    assert TextValues(TextOptions()).sample("t", text) == Sample("t", None, NOT_FINITE)


@pytest.mark.parametrize("text", ["1E5", "00e5", "12e4", "1e999"])
def test_what_is_a_code_as_well_as_a_number_stays_text(text: str) -> None:
    """Whether 1E5 is a number is for its channel to declare."""
    assert TextValues(TextOptions()).sample("id", text) == Sample("id", text)


@pytest.mark.parametrize(
    ("text", "value"), [("1e+05", 1e5), ("1.0E5", 1e5), ("-1E5", -1e5), ("5e-1", 0.5)]
)
def test_what_only_a_number_looks_like_is_one(text: str, value: float) -> None:
    """With a point or a sign, no hexadecimal looks like it."""
    assert TextValues(TextOptions()).sample("t", text) == Sample("t", value)


def test_a_padded_number_with_an_exponent_is_no_number() -> None:
    """Nothing prints 0 x 10^5 as 00e5, but it is hexadecimal for 229."""
    assert number("00e5") is None
    assert number("0e5") == 0.0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("41%", (41, "%")),
        ("41 %", (41, "%")),
        ("29D", (29, "D")),
        ("000004.426*kWh", (4.426, "kWh")),
        ("23.40 *C", (23.4, "C")),
        ("-  29.182 g", (-29.182, "g")),
        ("1e3Pa", (1000.0, "Pa")),
        ("5 m/s", (5, "m/s")),
    ],
)
def test_a_number_and_its_unit_are_parted(text: str, found: tuple[float, str]) -> None:
    """Whatever stands between them."""
    assert quantity(text) == found


@pytest.mark.parametrize("text", ["41", "%", "1,013 hPa", "12:30", "1 2", "001F", "", "C 5"])
def test_what_is_no_number_with_a_unit_is_none(text: str) -> None:
    """Neither is hexadecimal, which is padded."""
    assert quantity(text) is None


def test_with_a_decimal_comma_a_quantity_has_one() -> None:
    """And a point is read as without."""
    assert quantity("21,5 °C", decimal_comma=True) == (21.5, "°C")


def test_words_stay_text() -> None:
    """Also in other scripts, and with a no-break space."""
    values = TextValues(TextOptions())
    assert values.sample("state", "läuft\u00a0gut") == Sample("state", "läuft\u00a0gut")


def test_control_characters_are_noise() -> None:
    """They give no sample."""
    assert TextValues(TextOptions()).sample("t", "21\x00.5") is None


def test_text_fields_stay_text() -> None:
    """A serial number keeps its zeros."""
    values = TextValues(TextOptions(), ("serial",))
    assert values.sample("serial", "0042") == Sample("serial", "0042")
    assert values.sample("serial", "42") == Sample("serial", "42")
    assert values.sample("count", "42") == Sample("count", 42)


@pytest.mark.parametrize("text", ["0042", "00", "89014103211118510720", "-9223372036854775809"])
def test_what_a_number_would_lose_stays_text(text: str) -> None:
    """Leading zeros, and digits that no integer of the wire has room for."""
    assert TextValues(TextOptions()).sample("id", text) == Sample("id", text)


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("-07", -7), ("+0042", 42), ("007.5", 7.5), ("0.5", 0.5)]
)
def test_a_number_that_is_no_code_is_one(text: str, value: float) -> None:
    """A sign or a point makes it one, whatever zeros it is padded with."""
    assert TextValues(TextOptions()).sample("t", text) == Sample("t", value)


def test_a_decimal_comma_is_read_when_configured() -> None:
    """A text that has a point as well is grouped, and no number here."""
    values = TextValues(TextOptions(decimal_comma=True))
    assert values.number("21,5") == 21.5
    assert values.number("21.5") == 21.5
    assert values.number("1.234,5") is None


def test_the_encoding_decides_what_is_text() -> None:
    """A lone degree sign is text in Latin-1 and noise in UTF-8."""
    assert TextValues(TextOptions(encoding="latin-1")).text(b"21\xb0") == "21°"
    assert TextValues(TextOptions()).text(b"21\xb0") is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_float_is_read_back(value: float) -> None:
    """What repr writes is read as the same number."""
    assert number(repr(value)) == value


@given(st.text(max_size=20))
def test_no_text_raises(text: str) -> None:
    """Whatever it is, it is a number, infinite, or none."""
    found = number(text)
    assert found is None or isinstance(found, int) or math.isnan(found) or found == float(text)


@pytest.mark.parametrize(
    ("text", "value"), [("1.013", None), ("-12.345.678", None), ("21.5", 21.5), ("0.125", 0.125)]
)
def test_with_a_decimal_comma_a_point_may_group_thousands(text: str, value: float | None) -> None:
    """1.013 hPa passed where the device meant 1013."""
    assert number_with_comma(text) == value
