"""Values, ages and times as people read them."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest

from sensord.terminal.values import (
    age_text,
    clock_text,
    day_text,
    plain_value,
    unit_text,
    zone_text,
)

NOON_US = 1_795_262_400_000_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "now"),
        (0.9, "now"),
        (59.9, "59 s"),
        (60, "1 m"),
        (3600, "1 h"),
        (47 * 3600, "47 h"),
        (3 * 86400, "3 d"),
        (1e9, ">3 y"),
    ],
)
def test_an_age_fits_five_cells(seconds: float, text: str) -> None:
    """Its unit is never left out."""
    assert age_text(seconds) == text
    assert len(text) <= 5


def test_a_time_is_written_in_the_zone() -> None:
    """With the zone's name beside it."""
    zone = timezone(timedelta(hours=1), "CET")
    assert clock_text(NOON_US, UTC) == "12:00:00"
    assert day_text(NOON_US, zone) == "2026-11-21 13:00:00"
    assert zone_text(NOON_US, zone) == "CET"
    assert clock_text(10**30) == "?"


def test_a_value_has_its_channel_s_decimals() -> None:
    """Other values are JSON, texts are themselves."""
    assert plain_value(21.5, 2) == "21.50"
    assert plain_value(value="open", decimals=None) == "open"
    assert plain_value(value=True, decimals=None) == "true"


def test_units_are_those_that_people_write() -> None:
    """Another code is shown as it is, without UCUM's brackets."""
    assert unit_text("Cel") == "°C"
    assert unit_text("[in_i]") == "in_i"
    assert unit_text("bar") == "bar"
