"""How the text of a field is read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.nmea0183.quantities import (
    SPEED_UNITS,
    coordinate,
    finite,
    knots_in,
    utc_text,
)


@pytest.mark.parametrize(
    ("text", "hemisphere", "degrees"),
    [
        ("4807.038", "N", 48 + 7.038 / 60),
        ("4807.038", "S", -(48 + 7.038 / 60)),
        ("01131.000", "E", 11 + 31 / 60),
        ("17959.9999", "W", -(179 + 59.9999 / 60)),
        ("0000.000", "N", 0.0),
        ("9000", "S", -90.0),
        ("38.9", "N", 38.9 / 60),
        ("0.0", "E", 0.0),
        ("5", "E", 5 / 60),
    ],
)
def test_degrees_and_minutes_become_degrees(text: str, hemisphere: str, degrees: float) -> None:
    """South and west are negative; leading zeros may be missing."""
    assert coordinate(text, hemisphere) == degrees


@pytest.mark.parametrize(
    ("text", "hemisphere"),
    [
        ("4807.038", ""),
        ("4807.038", "X"),
        ("4860.000", "N"),
        ("9000.001", "N"),
        ("18000.001", "E"),
        ("-4807.038", "N"),
        ("48x7.038", "N"),
        ("4807.0.38", "N"),
        (".", "N"),
        ("٤٨٠٧", "N"),
    ],
)
def test_what_is_no_place_on_earth_is_none(text: str, hemisphere: str) -> None:
    """No hemisphere, too many minutes or degrees, signs, letters."""
    assert coordinate(text, hemisphere) is None


@given(st.integers(0, 89), st.integers(0, 59_999_999))
def test_every_written_position_is_read_to_its_last_digit(degrees: int, micro: int) -> None:
    """Down to a millionth of a minute, a few millimetres."""
    text = f"{degrees:02}{micro // 10**6:02}.{micro % 10**6:06}"
    assert coordinate(text, "N") == pytest.approx(degrees + micro / 60e6, abs=1e-12)


@given(st.text(max_size=12), st.sampled_from(["N", "E", "S", "W", ""]))
def test_no_text_raises(text: str, hemisphere: str) -> None:
    """Whatever it is, it is a place or none."""
    degrees = coordinate(text, hemisphere)
    assert degrees is None or -180 <= degrees <= 180


@pytest.mark.parametrize(
    ("text", "value"),
    [("039", 39.0), ("-33.9", -33.9), ("x", None), ("nan", None), ("1e999", None)],
)
def test_numbers_are_finite_floats(text: str, value: float | None) -> None:
    """Also where the device sends no decimals."""
    found = finite(text)
    assert found == value
    assert found is None or type(found) is float


@pytest.mark.parametrize(
    ("clock", "text"),
    [
        ("100000", "2008-07-05T10:00:00.000Z"),
        ("100000.5", "2008-07-05T10:00:00.500Z"),
        ("235960.9999", "2008-07-05T23:59:60.999Z"),
    ],
)
def test_clock_and_date_make_a_time(clock: str, text: str) -> None:
    """With milliseconds, and a leap second as it is said."""
    assert utc_text(clock, "2008", "07", "05") == text
    assert utc_text(clock, "08", "7", "5") == text


@pytest.mark.parametrize(("year", "full"), [("80", 1980), ("99", 1999), ("00", 2000), ("79", 2079)])
def test_two_digits_are_a_year_since_gps_began(year: str, full: int) -> None:
    """From 1980 to 2079."""
    assert utc_text("100000", year, "07", "05") == f"{full}-07-05T10:00:00.000Z"


@pytest.mark.parametrize(
    "clock", ["", "1000", "240000", "106000", "100061", "1000000", "10000x", "100000.x", "१०००००"]
)
def test_a_clock_that_cannot_be_is_none(clock: str) -> None:
    """Too short, too long, too late or no digits."""
    assert utc_text(clock, "2008", "07", "05") is None


@pytest.mark.parametrize(
    ("year", "month", "day"),
    [
        ("2008", "13", "1"),
        ("2008", "2", "30"),
        ("0000", "1", "1"),
        ("208", "1", "1"),
        ("12008", "1", "1"),
        ("2008", "", "1"),
        ("2008", "1", ""),
        ("2008", "1", "-1"),
        ("2008", "1", "9" * 30),
    ],
)
def test_a_date_that_cannot_be_is_none(year: str, month: str, day: str) -> None:
    """The calendar decides, and years have two digits or four."""
    assert utc_text("100000", year, month, day) is None


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_moment_is_written_as_it_is(moment: datetime) -> None:
    """What comes out is read back as the same moment, to the millisecond."""
    clock = f"{moment:%H%M%S}.{moment.microsecond:06}"
    text = utc_text(clock, f"{moment.year:04}", f"{moment.month:02}", f"{moment.day:02}")
    assert text is not None
    kept = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert datetime.fromisoformat(text) == kept


@pytest.mark.parametrize(
    ("unit", "knots"),
    [("[kn_i]", 1), ("m/s", 1.9438444924), ("km/h", 0.5399568), ("[mi_i]/h", 0.8689762)],
)
def test_speeds_convert_to_knots(unit: str, knots: float) -> None:
    """Each unit that a sentence may name."""
    assert knots_in(unit) == pytest.approx(knots)
    assert unit in SPEED_UNITS.values()
