"""A receiver that is 1024 weeks behind is put right, and says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sensord.decode.base import Sample
from sensord.decode.nmea0183 import Config, Decoder
from sensord.decode.nmea0183.rollover import MENDED, mended
from sensord.model.readings import GOOD, Level, Quality

NOW = datetime(2026, 11, 30, 23, 59, 30, tzinfo=UTC)
NOW_US = int(NOW.timestamp() * 1e6)


def rmc(at: datetime) -> bytes:
    """Write what a receiver says whose date is as given."""
    return b"$GPRMC,%s,A,4807.038,N,01131.000,E,0.0,0.0,%s,," % (
        at.strftime("%H%M%S").encode(),
        at.strftime("%d%m%y").encode(),
    )


def time_of(at: datetime, wall_us: int = NOW_US) -> tuple[object, Quality]:
    decoder = Decoder(Config())
    samples = decoder.mend_dates(decoder.decode(rmc(at)).samples, wall_us)
    (told,) = [(one.value, one.quality) for one in samples if one.field == "time"]
    return told


@pytest.mark.parametrize("weeks", [1024, 2048])
@pytest.mark.parametrize("late", [timedelta(), timedelta(seconds=45), -timedelta(hours=20)])
def test_a_date_that_has_rolled_over_is_put_right(weeks: int, late: timedelta) -> None:
    """Once or twice, and across midnight."""
    right = NOW + late
    expected = right.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert time_of(right - timedelta(weeks=weeks)) == (expected, MENDED)


@pytest.mark.parametrize(
    "behind",
    [
        timedelta(),
        timedelta(weeks=1),
        timedelta(weeks=1023),
        timedelta(weeks=1025),
        timedelta(weeks=512),
    ],
)
def test_another_date_stands_as_it_was_said(behind: timedelta) -> None:
    """Nothing else is known to go wrong so."""
    at = NOW - behind
    assert time_of(at) == (at.strftime("%Y-%m-%dT%H:%M:%S.000Z"), GOOD)


def test_what_is_void_stays_so() -> None:
    """The date is right then, and no better than it was."""
    void = Quality(Level.BAD, "no_fix")
    at = (NOW - timedelta(weeks=1024)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    samples = [Sample("gp/time", at, void), Sample("latitude", 5.0), Sample("time", None, void)]
    found = mended(samples, NOW_US)
    assert found[0] == Sample("gp/time", NOW.strftime("%Y-%m-%dT%H:%M:%S.000Z"), void)
    assert found[1:] == samples[1:]
