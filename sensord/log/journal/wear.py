"""The bytes written to a disk in a day, by any program, and the days until it is worn.

The kernel counts every sector: the journal's own pages, the file system's additions, and the writes
of other programs. Only Linux reports it, and only for real disks (not tmpfs or networks).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["MEASURED_US", "Wear", "WearMeter", "wear_of", "years_left"]

MEASURED_US = 600 * 1_000_000
"""A shorter time does not represent a day."""

_SECTOR = 512
_SECTORS_WRITTEN = 6
"""The field of ``stat`` that counts sectors written.

Source: Documentation/block/stat.rst of the kernel.
"""
_DAY_US = 86400 * 1_000_000
_DAYS_A_YEAR = 365.25


class Wear(NamedTuple):
    """A disk at one moment."""

    disk: str
    size_bytes: int
    written_bytes: int
    """Since the system started."""


def wear_of(number: int, blocks: Path = Path("/sys/dev/block")) -> Wear | None:
    """Return the facts of a disk by its number, ``st_dev``; None if the kernel reports none.

    A card wears as a whole: writes to its other partitions count too.
    """
    place = Path(os.path.realpath(blocks / f"{os.major(number)}:{os.minor(number)}"))
    try:
        if (place / "partition").exists():
            place = place.parent
        sectors = int((place / "size").read_text())
        written = int((place / "stat").read_text().split()[_SECTORS_WRITTEN])
    except (OSError, ValueError, IndexError):
        return None
    return Wear(place.name, sectors * _SECTOR, written * _SECTOR)


class WearMeter:
    """Measures what a disk is written in a day."""

    def __init__(self, blocks: Path = Path("/sys/dev/block")) -> None:
        self._blocks = blocks
        self._first: Wear | None = None
        self._first_us = 0

    def measure(self, number: int, monotonic_us: int) -> tuple[Wear | None, int | None]:
        """Look at a disk; return it, and the bytes a day at the rate since then.

        Another disk in its place, or one that was reinserted, is measured from the beginning.
        """
        found, first = wear_of(number, self._blocks), self._first
        took_us = monotonic_us - self._first_us
        if (
            found is None
            or first is None
            or found.disk != first.disk
            or found.written_bytes < first.written_bytes
        ):
            self._first, self._first_us = found, monotonic_us
            return found, None
        if took_us < MEASURED_US:
            return found, None
        return found, (found.written_bytes - first.written_bytes) * _DAY_US // took_us


def years_left(size_bytes: float, cycles: float, bytes_per_day: float) -> float:
    """Return how long a disk bears being written so much, if it can write each cell so often."""
    return size_bytes * cycles / max(bytes_per_day, 1.0) / _DAYS_A_YEAR
