"""How a text file of others is to be read: what the file itself does not settle.

Every field is empty where the file decides. What could mean two things is refused with the option
that settles it, never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sensord.model.times import LOCAL

__all__ = ["TIME_FORMATS", "Damage", "TextForm", "UndecidedError", "zone_of"]

TIME_FORMATS = ("iso8601", "s", "ms", "us", "dmy", "mdy", "ymd")
"""ISO 8601, units since 1970, and the order of day, month and year."""


class UndecidedError(ValueError):
    """A file that could mean two things; the text names the option that decides."""


class Damage(NamedTuple):
    """A line that gives nothing, and what was expected there."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class TextForm:
    """What a user specifies about a text file.

    ``rate`` gives lines without a time one: so many a second from ``begin_us`` on, or from the
    beginning of 1970, marked as the times of a clock that was not set.
    """

    time_column: str = ""
    time_format: str = ""
    zone: tzinfo | None = None
    decimal: str = ""
    separator: str = ""
    encoding: str = ""
    prefix: str = ""
    """Levels in front of each topic."""
    rate: float | None = None
    begin_us: int | None = None


def zone_of(name: str) -> tzinfo | None:
    """Return the zone of a name, of ``local`` or of an offset such as ``+01:00``, or None."""
    if name == "local":
        return LOCAL
    if name[:1] in {"+", "-"}:
        hours, _, minutes = name[1:].partition(":")
        if not (hours.isdecimal() and (minutes or "0").isdecimal() and len(name) <= len("+00:00")):
            return None
        offset = timedelta(hours=int(hours), minutes=int(minutes or "0"))
        if offset >= timedelta(days=1):
            return None
        return timezone(-offset if name[0] == "-" else offset)
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return None
