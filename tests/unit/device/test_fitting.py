"""What came is read as its channel declares, or is not good."""

from __future__ import annotations

from typing import Any

import pytest

from sensord.decode.base import UNREAD
from sensord.device.conform import Rules
from sensord.device.fitting import MISSING, WRONG_UNIT, Fit, Units
from sensord.device.notation import Notation
from sensord.model.readings import GOOD, Level, Quality, Reason, Value, ValueType

WRONG_TYPE = Quality(Level.BAD, Reason.WRONG_TYPE)
FLOAT = Rules(ValueType.FLOAT)


def fitted(fit: Fit, value: Value, text: str | None = None, unit: str | None = None) -> Any:
    return fit.of(value, GOOD, text, unit)


def hexadecimal(**more: Any) -> Fit:
    return Fit(FLOAT, Notation(base=16, **more))


@pytest.mark.parametrize("text", ["0042", "1E5", "21.50", "nan", "000123", "+7"])
def test_a_declared_text_is_as_it_was_written(text: str) -> None:
    """Also where it looks like a number."""
    fit = Fit(Rules(ValueType.STRING), Notation())
    assert fit.needs_text
    assert fitted(fit, 1.0, text) == (text, GOOD)
    assert fit.of(None, Quality(Level.BAD, Reason.NOT_FINITE), text, None) == (text, GOOD)


@pytest.mark.parametrize(
    ("text", "value"), [("00cf", 207), ("00e5", 229), ("0110", 272), ("0x1F", 31), ("-1f", -31)]
)
def test_hexadecimal_is_read_where_it_is_declared(text: str, value: int) -> None:
    """Whatever it would be in decimals."""
    assert fitted(hexadecimal(), text, text) == (float(value), GOOD)


@pytest.mark.parametrize("text", ["", "xyz", "1.5", "0x", "12 34"])
def test_what_is_not_of_its_base_is_bad(text: str) -> None:
    """No digit is passed over."""
    assert fitted(hexadecimal(), text, text) == (None, WRONG_TYPE)


@pytest.mark.parametrize(
    ("sign", "bits", "text", "value"),
    [
        ("high_bit", None, "80d2", -210),
        ("high_bit", None, "00d2", 210),
        ("high_bit", 16, "80d2", -210),
        ("twos_complement", None, "ffec", -20),
        ("twos_complement", None, "7fff", 32767),
        ("twos_complement", 8, "ec", -20),
    ],
)
def test_the_sign_may_be_a_bit(sign: Any, bits: int | None, text: str, value: int) -> None:
    """The digits say how many bits there are, if nothing else does."""
    assert fitted(hexadecimal(sign=sign, bits=bits), text, text) == (float(value), GOOD)


def test_a_decimal_number_may_have_its_sign_in_a_bit() -> None:
    """As gateways write registers; one with more bits is bad."""
    fit = Fit(FLOAT, Notation(sign="twos_complement", bits=16))
    assert fitted(fit, 65516) == (-20.0, GOOD)
    assert fitted(fit, 65536) == (None, WRONG_TYPE)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (85, None),
        (85.0, "85.0"),
        (65535, None),
        (None, "None"),
        ("unavailable", None),
        ("85", None),
    ],
)
def test_what_is_declared_as_missing_is_no_value(value: Value, text: str | None) -> None:
    """A number however it is written, a word whatever its case."""
    fit = Fit(FLOAT, Notation(missing=(85, 65535, "none", "unavailable")))
    assert fit.of(value, GOOD if value is not None else UNREAD, text, None) == (None, MISSING)
    assert fitted(fit, 85.1) == (85.1, GOOD)


def test_a_missing_number_is_the_one_before_scaling() -> None:
    """It is what the device sends."""
    fit = Fit(Rules(scale=0.1), Notation(missing=(850,)))
    assert fitted(fit, 850) == (None, MISSING)
    assert fitted(fit, 8500) == (850.0, GOOD)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("41%", "%", 41),
        ("41 %RH", "%", 41),
        ("29D", "deg", 29),
        ("000004.426*kWh", "kW.h", 4.426),
        ("0.244 kW", "W", 244.0),
        ("70.7 °F", "Cel", 21.5),
        ("23.40 *C", "Cel", 23.4),
        ("+  5 m/s", "km/h", 18.0),
    ],
)
def test_a_unit_behind_a_number_is_that_of_the_channel_or_is_converted(
    text: str, unit: str, value: float
) -> None:
    """However the device spells it."""
    assert fitted(Fit(FLOAT, Notation(), Units(announced=unit)), text) == (value, GOOD)


@pytest.mark.parametrize(
    ("text", "unit"), [("41 kPa", "%"), ("41%", ""), ("001F", "Cel"), ("5 nm", "m"), ("1 2", "m")]
)
def test_another_unit_behind_a_number_is_not_passed_off(text: str, unit: str) -> None:
    """Nor is any where the channel announces none."""
    assert fitted(Fit(FLOAT, Notation(), Units(announced=unit)), text) == (None, WRONG_TYPE)


def test_what_the_decoder_knows_to_be_another_unit_is_converted() -> None:
    """Or is bad, where it cannot be."""
    assert fitted(Fit(FLOAT, Notation(), Units("m/s", "km/h")), 36.0) == (10.0, GOOD)
    assert fitted(Fit(FLOAT, Notation(), Units("Cel", "km/h")), 36.0) == (None, WRONG_UNIT)
    assert fitted(Fit(FLOAT, Notation(), Units("Cel")), 36.0, unit="kPa") == (None, WRONG_UNIT)


def test_a_unit_that_comes_later_is_converted_to_the_one_before() -> None:
    """A transducer that says degrees Celsius first and then kelvin is 19.55 in both."""
    fit = Fit(FLOAT, Notation(), Units("Cel", "Cel"))
    assert fitted(fit, 19.55, unit="Cel") == (19.55, GOOD)
    assert fitted(fit, 292.7, unit="K") == (19.55, GOOD)


def test_a_unit_that_is_the_channels_own_is_not_converted_again() -> None:
    """Where the decoder knew another one when the channel was opened."""
    fit = Fit(FLOAT, Notation(), Units(announced="K", decoded="Cel"))
    assert fitted(fit, 0.0) == (273.15, GOOD)
    assert fitted(fit, 0.1, unit="K") == (0.1, GOOD)


def test_what_is_not_finite_is_not_converted() -> None:
    """No unit makes 1e400 a number."""
    not_finite = Quality(Level.BAD, Reason.NOT_FINITE)
    assert fitted(Fit(FLOAT, Notation(), Units("W")), "1e400 kW") == (None, not_finite)


def test_a_scale_converts_by_itself() -> None:
    """Then the unit that comes first is the one that is scaled, and others are made that."""
    rules = Rules(ValueType.FLOAT, scale=0.5)
    fit = Fit(rules, Notation(), Units("m/s", "[kn_i]", is_scaled=True))
    assert fitted(fit, 10.0) == (5.0, GOOD)
    assert fitted(fit, 18.52, unit="km/h") == (5.0, GOOD)


def test_listed_units_may_be_other_names_of_the_channels() -> None:
    """One that is convertible is converted all the same."""
    fit = Fit(FLOAT, Notation(), Units("g", are_listed=True))
    assert fitted(fit, 2.0, unit="GN") == (2.0, GOOD)
    assert fitted(fit, 2.0, unit="kg") == (2000.0, GOOD)


def test_a_code_is_a_number_only_where_one_is_declared() -> None:
    """A channel of numbers that nobody declared does not take hexadecimal for one."""
    assert fitted(Fit(FLOAT, Notation()), "1E5") == (1e5, GOOD)
    assert fitted(Fit(FLOAT, Notation(), is_declared=False), "1E5") == (None, WRONG_TYPE)
