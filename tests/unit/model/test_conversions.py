"""A value of one unit becomes the same quantity in another, or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.model.conversions import SAME, conversion, is_known, meaning
from sensord.model.units import unit_fault


@pytest.mark.parametrize(
    ("value", "spelling", "unit", "result"),
    [
        (70.7, "[degF]", "Cel", 21.5),
        (70.7, "F", "Cel", 21.5),
        (292.7, "K", "Cel", 19.55),
        (101325, "Pa", "bar", 1.01325),
        (1013.2, "hPa", "mbar", 1013.2),
        (0.244, "kW", "W", 244.0),
        (10.0, "knots", "km/h", 18.52),
        (6, "m3/hr", "L/min", 100.0),
        (60, "rpm", "Hz", 1.0),
        (1500, "uS/cm", "mS/cm", 1.5),
        (3, "mg/m³", "ug/m3", 3000.0),
        (1.5, "MWh", "kW.h", 1500.0),
        (1500, "mWh", "W.h", 1.5),
        (5, "mHz", "Hz", 0.005),
        (5, "mhz", "Hz", 5e6),
        (5, "mPa", "Pa", 0.005),
        (5, "MAH", "A.h", 0.005),
        (1.5, "kvar", "V.A{reactive}", 1500.0),
        (180, "deg", "rad", 3.141592653589793),
    ],
)
def test_a_value_is_converted(value: float, spelling: str, unit: str, result: float) -> None:
    """Exactly: the float is the one nearest to the true value."""
    how = conversion(spelling, unit)
    assert how is not None
    assert how.of(value) == result


@pytest.mark.parametrize(
    ("spelling", "unit"),
    [("%RH", "%"), ("°C", "Cel"), ("C", "Cel"), ("kWh", "kW.h"), ("uSv/hr", "uSv/h"), ("D", "deg")],
)
def test_another_spelling_changes_nothing(spelling: str, unit: str) -> None:
    """An integer stays one."""
    how = conversion(spelling, unit)
    assert how is not None
    assert how.of(41) == 41
    assert type(how.of(41)) is int


@pytest.mark.parametrize(
    ("spelling", "unit"),
    [("VA", "W"), ("kPa", "Cel"), ("GN", "g"), ("nm", "m"), ("", "%"), ("%", ""), ("x", "Cel")],
)
def test_what_measures_something_else_is_not_converted(spelling: str, unit: str) -> None:
    """Nor what may be two units of one kind: nanometres and nautical miles."""
    assert conversion(spelling, unit) is None


def test_a_unit_is_itself_whether_known_or_not() -> None:
    """So an unknown one can be announced."""
    assert conversion("Bft", "Bft") is SAME


@pytest.mark.parametrize(
    ("spelling", "code"), [("C", "Cel"), ("kWh", "kW.h"), ("m", "m"), ("?", None)]
)
def test_a_spelling_means_what_devices_mostly_mean(spelling: str, code: str | None) -> None:
    """And no coulomb."""
    assert meaning(spelling) == code


@pytest.mark.parametrize(
    "unit", ["m/s", "/min", "kg/m2", "1/s", "m3.h-1", "dB", "{count}/s", "mm[Hg]"]
)
def test_composed_codes_are_known(unit: str) -> None:
    """As far as devices use them."""
    assert is_known(unit)
    assert unit_fault(unit) is None


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_raises(spelling: str, unit: str) -> None:
    """What a device calls a unit is any text."""
    conversion(spelling, unit)
    meaning(spelling)
