"""The times of fixes, as the source times of what a sentence holds. Pure.

RMC and ZDA state a date; GGA, GLL and GNS only a time of day, which is of the day that brings it
nearest to the last date. A time counts only if the sentence calls all of its values good: a
receiver without a fix has a clock that drifts, or one that was never set.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sensord.decode.nmea0183.quantities import utc_text
from sensord.decode.nmea0183.sentence import Sentence
from sensord.model.readings import GOOD
from sensord.model.times import time_us_of

__all__ = ["FixTime"]

_DAY_US = 86_400 * 10**6

_DATED = {"RMC", "ZDA"}
_CLOCK_AT = {"GGA": 1, "GLL": 5, "GNS": 1}
"""Where sentences without a date have their time of day."""


class FixTime:
    """Finds the time of a sentence, by the date that came before."""

    def __init__(self) -> None:
        self._last_us: int | None = None

    def of(self, formatter: str, sentence: Sentence) -> int | None:
        """Return the time of a sentence, or None if it has none that can be trusted."""
        samples = sentence.samples
        if not samples or any(one.quality != GOOD for one in samples):
            return None
        if formatter in _DATED:
            text = next((one.value for one in samples if one.field.endswith("time")), None)
            time_us = time_us_of(text, None) if isinstance(text, str) else None
        else:
            time_us = self._undated(sentence.text(_CLOCK_AT.get(formatter, 0)), formatter)
        if time_us is not None:
            self._last_us = time_us
        return time_us

    def _undated(self, clock: str, formatter: str) -> int | None:
        last_us = self._last_us
        if last_us is None or formatter not in _CLOCK_AT or not clock:
            return None
        day = datetime.fromtimestamp(last_us // 10**6, UTC)
        text = utc_text(clock, f"{day.year:04}", f"{day.month:02}", f"{day.day:02}")
        time_us = time_us_of(text, None) if text else None
        if time_us is None:
            return None
        return min(
            (time_us + days * _DAY_US for days in (-1, 0, 1)), key=lambda t: abs(t - last_us)
        )
