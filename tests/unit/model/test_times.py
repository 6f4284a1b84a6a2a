"""Times for people."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, timedelta, timezone

import pytest

from sensord.model.times import LOCAL, iso, time_us_of

NOON_US = 1_795_608_000_000_000
"""2026-11-25T12:00:00Z."""


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-25T12:00:00Z",
        "2026-11-25 12:00:00+00:00",
        "20261125T120000Z",
        "2026-11-25T13:00:00.000000+01:00",
        "2026-W48-3T12:00Z",
    ],
)
def test_every_form_of_one_moment_is_that_moment(text: str) -> None:
    """Whatever zone stands for those that name none."""
    assert [time_us_of(text, zone) for zone in (None, UTC, LOCAL)] == [NOON_US] * 3


def test_what_is_written_is_read() -> None:
    """To the microsecond."""
    for time_us in (0, 1, NOON_US + 123_456, 253_402_300_799_999_999):
        assert time_us_of(iso(time_us) or "", None) == time_us


def test_a_time_without_a_zone_is_of_the_zone_that_is_given() -> None:
    """Or it is not accepted."""
    plain = "2026-11-25T12:00:00"
    assert time_us_of(plain, None) is None
    assert time_us_of(plain, UTC) == NOON_US
    assert time_us_of(plain, timezone(timedelta(hours=5))) == NOON_US - 5 * 3600 * 10**6


@pytest.mark.usefixtures("berlin")
def test_the_local_zone_knows_summer_and_winter() -> None:
    """By the date of the time, not by the present."""
    assert time_us_of("2026-11-25T13:00:00", LOCAL) == NOON_US
    assert time_us_of("2026-07-01T14:00:00", LOCAL) == time_us_of("2026-07-01T12:00:00Z", None)


@pytest.mark.parametrize("text", ["", "12:00", "tomorrow", "2026-13-01T00:00Z", "2026-11-25T25:00"])
def test_what_is_no_time_is_none(text: str) -> None:
    """However near it comes."""
    assert time_us_of(text, UTC) is None


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00", "9999-12-31T23:59:59"])
@pytest.mark.parametrize("zone", [UTC, LOCAL])
def test_the_ends_of_the_calendar_raise_nothing(text: str, zone: timezone) -> None:
    """There the offset of a zone may lead out of the years that there are."""
    time_us_of(text, zone)
