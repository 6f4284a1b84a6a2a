"""Times as people's files write them: learned from a whole column, then read without a guess. Pure.

Theory of operation. `TimeColumn.see` looks at every text of the column; `settle` decides what they
are, or refuses with the option that decides; `read` then reads one, in that form only.
Of three numbers the order of day and month is known where one of them is beyond 12 in any row, and
where points part them: those are day, month, year everywhere.
A number is seconds, milliseconds or microseconds since 1970 where it lies in 2000 to 2100 by
exactly one of these, which no number does by two.
"""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from fractions import Fraction

from sensord.model.readings import LATEST_US
from sensord.model.times import time_us_of
from sensord.recordings.text_form import UndecidedError

__all__ = ["TimeColumn"]

_UNITS_US = {"s": 1_000_000, "ms": 1_000, "us": 1}
_FIRST_S, _LAST_S = 946_684_800, 4_102_444_800
"""2000 and 2100: numbers beyond are believed only where the unit is given."""

_MONTHS = 12
_NOON = 12
_YEAR_DIGITS = 4

_NUMBER = re.compile(r"([0-9]{1,17})(?:[.,]([0-9]{1,9}))?")
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])")
_DATE = re.compile(r"([0-9]{1,4})([./-])([0-9]{1,2})\2([0-9]{1,4})(?:(?:,? +|T)(.+))?")
_CLOCK = re.compile(
    r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?(?: ?([apAP])\.?[mM]\.?)?"
)


class TimeColumn:
    """The times of one file."""

    def __init__(self, time_format: str, zone: tzinfo | None) -> None:
        self._format = time_format
        self._zone = zone
        self._units: set[str] = set()
        self._orders: set[str] = set()
        self._example = ""
        self._naive = ""
        self._has_zone = False
        """Whether a time names its zone: then one that does not is damaged."""

    def see(self, text: str) -> None:
        """Look at one of its texts."""
        if self._format in _UNITS_US:
            return
        if number := _NUMBER.fullmatch(text):
            self._units |= _units_of(int(number[1]))
        elif _ISO.match(text):
            if (moment := _iso(text)) is not None and moment.tzinfo is None:
                self._naive = self._naive or text
            elif moment is not None:
                self._has_zone = True
        elif date := _DATE.fullmatch(text):
            self._naive = self._naive or text
            self._see_date(date)

    def _see_date(self, date: re.Match[str]) -> None:
        first, mark, second, third = date.group(1, 2, 3, 4)
        if len(first) == _YEAR_DIGITS:
            self._orders.add("ymd")
            return
        self._example = self._example or date[0]
        if len(third) != _YEAR_DIGITS:
            return
        if mark == "." or int(first) > _MONTHS >= int(second):
            self._orders.add("dmy")
        elif int(second) > _MONTHS >= int(first):
            self._orders.add("mdy")

    def settle(self) -> None:
        """Decide what the texts are.

        Raises:
            UndecidedError: They could mean two things.
        """
        if self._has_zone and not self._format:
            self._format = "iso8601"
        if not self._format:
            self._format = self._found()
        if self._has_zone and self._format == "iso8601":
            return
        if self._naive and self._zone is None and self._format not in _UNITS_US:
            raise UndecidedError(
                f'the time "{self._naive}" names no zone; say --zone UTC, --zone local'
                " or one such as --zone Europe/Berlin"
            )

    def _found(self) -> str:
        if len(self._units) > 1 or (self._units and (self._orders or self._naive)):
            units = ", ".join(sorted(self._units | self._orders))
            raise UndecidedError(f"its times are of several forms ({units}); say --time-format")
        if self._units:
            return next(iter(self._units))
        if {"dmy", "mdy"} <= self._orders or (self._example and not self._orders):
            raise UndecidedError(
                f'the time "{self._example}" may have the day first or the month;'
                " say --time-format dmy or mdy"
            )
        return next(iter(self._orders - {"ymd"}), "")

    def read(self, text: str) -> int:
        """Return microseconds since 1970.

        Raises:
            ValueError: It is not a time of the form; the text has what was expected.
        """
        time_us = self._read(text)
        if not 0 <= time_us <= LATEST_US:
            raise ValueError(f'"{_shown(text)}" is a time out of bounds')
        return time_us

    def _read(self, text: str) -> int:
        unit_us = _UNITS_US.get(self._format)
        if unit_us is not None:
            number = _NUMBER.fullmatch(text)
            if number is None:
                raise ValueError(f'"{_shown(text)}" is no time in {self._format} since 1970')
            return int(Fraction(f"{number[1]}.{number[2] or 0}") * unit_us)
        if self._format not in {"dmy", "mdy"} and _ISO.match(text):
            time_us = time_us_of(text, None)
            if time_us is not None:
                return time_us
            moment = _iso(text)
        else:
            moment = self._of_date(text)
        if moment is None:
            raise ValueError(f'"{_shown(text)}" is no time{_EXPECTED.get(self._format, "")}')
        return self._placed(moment)

    def _of_date(self, text: str) -> datetime | None:
        date = _DATE.fullmatch(text)
        if date is None:
            return None
        parts = [int(part) for part in date.group(1, 3, 4)]
        order = "ymd" if len(date[1]) == _YEAR_DIGITS else self._format
        if order not in {"dmy", "mdy", "ymd"}:
            return None
        found = dict(zip(order, parts, strict=True))
        year = found["y"] + (2000 if max(len(date[1]), len(date[4])) < _YEAR_DIGITS else 0)
        clock = (0, 0, 0, 0) if date[5] is None else _clock(date[5])
        if clock is None:
            return None
        try:
            return datetime(year, found["m"], found["d"], *clock)  # noqa: DTZ001  # placed later
        except ValueError:
            return None

    def _placed(self, moment: datetime) -> int:
        """Place a local time; one in an hour that occurs twice, or never, is invalid."""
        if self._zone is None:
            raise ValueError(f"the time {moment} names no zone, which others do; say --zone")
        early, late = (moment.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1))
        if early.utcoffset() != late.utcoffset():
            raise ValueError(
                f"{moment} comes twice in its zone, or never; say --zone +01:00 or alike"
            )
        time_us = time_us_of(moment.isoformat(), self._zone)
        if time_us is None:
            raise ValueError(f"{moment} is in no calendar")
        return time_us


_EXPECTED = {
    "dmy": " with day, month and year",
    "mdy": " with month, day and year",
    "ymd": " with year, month and day",
    "": ", such as 2026-11-22T17:00:00Z",
    "iso8601": ", such as 2026-11-22T17:00:00Z",
}


def _units_of(whole: int) -> set[str]:
    return {unit for unit, us in _UNITS_US.items() if _FIRST_S <= whole * us // 10**6 < _LAST_S}


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _clock(text: str) -> tuple[int, int, int, int] | None:
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        return None
    hour, half = int(found[1]), (found[5] or "").lower()
    if half:
        if not 1 <= hour <= _NOON:
            return None
        hour = hour % _NOON + (_NOON if half == "p" else 0)
    return hour, int(found[2]), int(found[3] or 0), int((found[4] or "").ljust(6, "0")[:6])


def _shown(text: str) -> str:
    return text if len(text) <= len("2026-11-22T17:00:00.000000+00:00") else f"{text[:32]}…"
