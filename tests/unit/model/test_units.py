"""A unit is a code of UCUM, or the one that was meant is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.nmea0183 import quantities
from sensord.model import units
from sensord.model.units import meant_unit, spelled_unit, unit_fault


@pytest.mark.parametrize(
    "unit",
    [
        *("Cel", "%", "m/s", "kW.h", "[kn_i]", "deg", "dB[mW]", "L/min", "m3", "/min", "uSv/h"),
        *("ug/m3", "10*3/uL", "mm[Hg]", "m3.h-1", "V.A{reactive}", "{count}", "{count}/s"),
        *("[degF]", "[in_i'Hg]", "s-1", "kg/m2", "W/(m2.K)", "/m3", "hPa", "[ppm]", "1", "mg/L"),
        *("KiBy", "Mbit/s", "a"),
    ],
)
def test_codes_of_ucum_are_right(unit: str) -> None:
    """Also with prefixes, exponents, factors and annotations."""
    assert unit_fault(unit) is None


@pytest.mark.parametrize(
    ("unit", "meant"),
    [
        ("celsius", "Cel"),
        ("Celsius", "Cel"),
        ("celcius", "Cel"),
        ("°C", "Cel"),
        ("degC", "Cel"),
        ("C", "Cel"),
        ("°F", "[degF]"),
        ("F", "[degF]"),
        ("percent", "%"),
        ("rpm", "/min"),
        ("knots", "[kn_i]"),
        ("kWh", "kW.h"),
        ("kwh", "kW.h"),
        ("µg/m³", "ug/m3"),
        ("m³", "m3"),
        ("ppm", "[ppm]"),
        ("psi", "[psi]"),
        ("hpa", "hPa"),
        ("volts", "V"),
        ("dBm", "dB[mW]"),
        ("mph", "[mi_i]/h"),
        ("minutes", "min"),
    ],
)
def test_what_people_write_names_the_code(unit: str, meant: str) -> None:
    """With the symbol to copy."""
    fault = unit_fault(unit)
    assert fault is not None
    assert meant in fault.partition('"' + unit + '"')[2]


def test_every_unit_that_is_proposed_is_one() -> None:
    """A hint that is refused in turn would be worse than none."""
    proposed = set(units._MEANT.values())
    assert {unit: unit_fault(unit) for unit in proposed if unit_fault(unit)} == {}


def test_the_units_that_the_decoder_of_nmea_announces_are_codes() -> None:
    """One table of units holds for all."""
    announced = {one.unit for one in quantities.FIELDS.values()}
    announced |= {unit for _, known in quantities.TRANSDUCERS.values() for unit in known.values()}
    announced |= set(quantities.SPEED_UNITS.values())
    assert {unit for unit in announced if unit_fault(unit)} == set()


@given(st.text(max_size=100))
def test_no_text_raises(text: str) -> None:
    """Whatever stands in a configuration."""
    unit_fault(text)
    meant_unit(text)


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        ("mWh", "mW.h"),
        ("MWh", "MW.h"),
        ("mwh", None),
        ("mPa", None),
        ("mHz", None),
        ("MV", None),
        ("MA", None),
        ("mhz", "MHz"),
        ("MAH", "mA.h"),
        ("mv", "mV"),
    ],
)
def test_milli_is_never_read_as_mega(spelling: str, code: str | None) -> None:
    """The 5 mWh of a USB meter were 5 MW.h."""
    assert spelled_unit(spelling) == code
