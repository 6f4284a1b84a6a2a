"""Durations as people write them: ``500ms``, ``10s``, ``1.5h``, and ``-10m`` for *ago*.

Pure. The configuration, the wire and the commands read them here, so that one text means one
duration everywhere.
"""

from __future__ import annotations

import re

__all__ = ["SECONDS", "ago_us", "seconds_of"]

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SECONDS |= {"w": 7 * 86400.0, "y": 365 * 86400.0}
"""The units, in seconds; a year has 365 days."""

_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s|m|h|d|w|y)")

_AGO = re.compile(r"-([0-9]{1,9})(?:\.([0-9]{1,6}))?([smhd])")
"""Bounded, so that the result is a time that a reading may have."""
_AGO_US = {"s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}


def seconds_of(text: str) -> float | None:
    """Return a duration with its unit in seconds, or None if the text is no duration."""
    found = _AMOUNT.fullmatch(text)
    return None if found is None else float(found[1]) * SECONDS[found[2]]


def ago_us(text: str) -> int | None:
    """Return how many microseconds ago ``-10m`` is, or None if the text is no such place."""
    found = _AGO.fullmatch(text)
    if found is None:
        return None
    parts = int((found[2] or "0").ljust(6, "0"))  # exact, where a float is not
    return (int(found[1]) * 10**6 + parts) * _AGO_US[found[3]] // 10**6
