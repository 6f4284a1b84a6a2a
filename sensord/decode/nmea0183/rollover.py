"""Dates of receivers that have lost count of the weeks. Pure.

GPS sends the week modulo 1024. A receiver older than its firmware expects sends a date that is 1024
or 2048 weeks, some 20 or 40 years, too early; everything else that it sends is right.

Source: IS-GPS-200, 20.3.3.3.1.1, Transmission week number.
"""

from __future__ import annotations

from sensord.decode.base import Sample
from sensord.model.readings import Level, Quality, Reason
from sensord.model.times import iso, time_us_of

__all__ = ["mended"]

WEEK_US = 7 * 86_400 * 10**6
ROLLOVERS = (1024, 2048)
NEAR_US = 86_400 * 10**6
"""A date that is so near to the present after so many weeks is one that has rolled over."""

MENDED = Quality(Level.UNCERTAIN, Reason.WEEK_ROLLOVER)


def mended(samples: list[Sample], wall_us: int) -> list[Sample]:
    """Return samples in which dates that have rolled over are put right, by the system's clock."""
    return [
        _in_time(
            _mended(sample, wall_us) if sample.field.rpartition("/")[2] == "time" else sample,
            wall_us,
        )
        for sample in samples
    ]


def _in_time(sample: Sample, wall_us: int) -> Sample:
    """Return a sample whose source time is corrected in the same way."""
    if sample.time_us is None:
        return sample
    for weeks in ROLLOVERS:
        right_us = sample.time_us + weeks * WEEK_US
        if abs(right_us - wall_us) <= NEAR_US:
            quality = MENDED if sample.quality.level is Level.GOOD else sample.quality
            return sample._replace(time_us=right_us, quality=quality)
    return sample


def _mended(sample: Sample, wall_us: int) -> Sample:
    time_us = time_us_of(sample.value, None) if isinstance(sample.value, str) else None
    if time_us is None:
        return sample
    for weeks in ROLLOVERS:
        right_us = time_us + weeks * WEEK_US
        if abs(right_us - wall_us) <= NEAR_US:
            text = f"{(iso(right_us) or '')[:-4]}Z"  # milliseconds, as it was
            quality = sample.quality if sample.quality.level is Level.BAD else MENDED
            return sample._replace(value=text, quality=quality)
    return sample
