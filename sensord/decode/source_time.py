"""The source time in a message: in which unit, and in which zone where it names none. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from sensord.decode.base import BAD_TIME, Decoded, Fault, Sample, excerpt
from sensord.decode.text import TextOptions, number
from sensord.model.readings import LATEST_US, Value
from sensord.model.times import LOCAL, time_us_of

__all__ = ["SourceTime", "TimeUnit", "TimedOptions", "zone_fault"]


class TimeUnit(enum.StrEnum):
    """How a message writes its time."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    ISO8601 = "iso8601"


_MICROSECONDS = {
    TimeUnit.SECONDS: 1_000_000,
    TimeUnit.MILLISECONDS: 1_000,
    TimeUnit.MICROSECONDS: 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOptions(TextOptions):
    """Which field is the source time, and how it is written.

    ``zone`` is that of times which name none: ``"Europe/Berlin"``, or ``"local"`` for the
    gateway's own. ``unit_fields`` names for each field the one that is its unit.
    """

    unit_fields: dict[str, str] = field(default_factory=dict)
    time: str = ""
    time_unit: TimeUnit = TimeUnit.SECONDS
    zone: str = ""


def zone_fault(zone: str, unit: TimeUnit) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a zone."""
    if zone and unit is not TimeUnit.ISO8601:
        yield "zone", 'needs time_unit = "iso8601": a number of seconds has no zone'
    elif zone and _zone(zone) is None:
        yield "zone", f'"{zone}" is no zone that this machine knows, such as "Europe/Berlin"'


def _zone(name: str) -> tzinfo | None:
    if name == "local":
        return LOCAL
    try:
        return ZoneInfo(name)
    except (ValueError, OSError):  # the second: it is a folder, or there is no such file
        return None
    except KeyError:  # ZoneInfoNotFoundError
        return None


class SourceTime:
    """Reads the times of one device."""

    def __init__(self, unit: TimeUnit, zone: str) -> None:
        self._unit = unit
        self._zone = _zone(zone) if zone else None
        self.is_zone_known = True
        """Whether the last time named its zone, or the configuration does; else it is as UTC."""

    def read(self, node: Value) -> int | None:
        """Return microseconds since 1970, or None if this is no time in the unit."""
        self.is_zone_known = True
        if self._unit is TimeUnit.ISO8601:
            time_us = self._iso(node) if isinstance(node, str) else None
            return time_us if time_us is not None and 0 <= time_us <= LATEST_US else None
        amount = number(node) if isinstance(node, str) else node
        if isinstance(amount, bool) or not isinstance(amount, int | float):
            return None
        scaled = amount * _MICROSECONDS[self._unit]
        # Compared before it is rounded: round() refuses what is not finite.
        return round(scaled) if 0 <= scaled <= LATEST_US else None

    def _iso(self, text: str) -> int | None:
        time_us = time_us_of(text, None)
        if time_us is None:
            self.is_zone_known = self._zone is not None
            time_us = time_us_of(text, self._zone or UTC)
        return time_us

    def applied(self, decoded: Decoded, field: str, message: bytes) -> Decoded:
        """Return samples under the source time that one of them is; that is no reading itself."""
        stamp = next((sample for sample in decoded.samples if sample.field == field), None)
        if stamp is None:
            return decoded
        time_us = self.read(stamp.value)
        samples: list[Sample] = [
            sample._replace(time_us=time_us) for sample in decoded.samples if sample is not stamp
        ]
        faults = decoded.faults
        if time_us is None and stamp.value is not None:
            faults = [*faults, Fault(BAD_TIME, excerpt(message))]
        return Decoded(samples, faults)
