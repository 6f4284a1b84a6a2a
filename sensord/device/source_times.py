"""The source times of one device's messages: believed within bounds, counted as arrivals beyond."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sensord.config.tree import Device
from sensord.decode.base import BAD_TIME, Fault, Zoned, excerpt
from sensord.device.route import Route
from sensord.model.readings import LATEST_US
from sensord.model.times import iso

__all__ = ["SourceTimes"]

T = TypeVar("T")

ZONELESS_US = 600 * 10**6
"""A time without a zone is believed to be UTC if it is no further from the arrival: half an hour is
the least that zones differ by."""


class SourceTimes:
    """Checks the source times of the message at hand; one message makes one fault at most."""

    __slots__ = (
        "_ahead_us",
        "_behind_us",
        "_bounds_us",
        "_is_refused",
        "_on_fault",
        "_zoned",
        "is_clock_set",
    )

    def __init__(self, device: Device, on_fault: Callable[[Fault], None]) -> None:
        self._zoned: Zoned | None = None
        self._behind_us = int(device.time_behind * 1e6)
        self._ahead_us = int(device.time_ahead * 1e6)
        self._on_fault = on_fault
        self._bounds_us: tuple[int, int] | None = None
        """None until a time of the message is looked at."""
        self._is_refused = False
        self.is_clock_set = True
        """Whether the wall clock that comes with what arrives can be trusted."""

    def begin(self, zoned: Zoned | None) -> None:
        """Begin with the next message, whose times are to be checked.

        ``zoned`` is its decoder, if that knows whether a time named its zone.
        """
        self._zoned = zoned
        self._bounds_us = None

    def believe(self) -> None:
        """Begin with samples whose times the reader vouches for."""
        self._bounds_us = 0, LATEST_US
        self._is_refused = False

    def believed(self, route: Route, time_us: int, wall_us: int, otherwise: T) -> int | T:
        """Return a source time, or what counts otherwise if it lies out of bounds."""
        if self._bounds_us is None:
            self._bounds_us = self._bounds(wall_us)
            self._is_refused = False
        earliest_us, latest_us = self._bounds_us
        if earliest_us <= time_us <= latest_us:
            return time_us
        if not self._is_refused:
            self._is_refused = True  # one message, one fault
            shown = f"{iso(time_us) or time_us} {route.source}".strip()
            self._on_fault(Fault(BAD_TIME, excerpt(shown.encode("utf-8", "backslashreplace"))))
        return otherwise

    def _bounds(self, wall_us: int) -> tuple[int, int]:
        """Return the bounds of the source times in a message that arrives."""
        if not self.is_clock_set:
            return 0, LATEST_US
        is_zone_known = self._zoned is None or self._zoned.is_zone_known
        behind_us = self._behind_us if is_zone_known else min(ZONELESS_US, self._behind_us)
        ahead_us = self._ahead_us if is_zone_known else min(ZONELESS_US, self._ahead_us)
        return max(0, wall_us - behind_us), min(LATEST_US, wall_us + ahead_us)
