"""Times for people: microseconds since 1970, written and read as ISO 8601.

The only place that reads such texts: a command's option, a message's field and a recording's column
differ in nothing but the zone of a time that names none.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

__all__ = ["LOCAL", "iso", "time_us_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class _Local(tzinfo):
    """The zone of this machine."""

    def utcoffset(self, moment: datetime | None, /) -> timedelta | None:
        """Return how far it is from UTC at a local time."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, _moment: datetime | None, /) -> timedelta | None:
        """Return None: it is in the offset."""
        return None

    def tzname(self, _moment: datetime | None, /) -> str:
        """Return the name that the configuration has for it."""
        return "local"


LOCAL = _Local()
"""The zone of this machine."""


def iso(time_us: int) -> str | None:
    """Write a time as ISO 8601 in UTC with microseconds, or None if no calendar has it."""
    try:
        seconds, rest = divmod(time_us, 1_000_000)
        whole = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"


def time_us_of(text: str, zone: tzinfo | None) -> int | None:
    """Read ISO 8601, or return None if the text is no such time.

    ``zone`` is that of a time which names none; without it such a time is not accepted.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            if zone is None:
                return None
            moment = moment.replace(tzinfo=zone)
        # In UTC first: a local time at an end of the calendar may be beyond it.
        return (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):  # the second: at an end of the years that there are
        return None
