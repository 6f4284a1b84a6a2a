"""One NMEA 0183 sentence being read, and what is remembered from those before it.

Owns how a field of text becomes a sample; what the fields of each sentence mean is for
`sentences`.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from sensord.decode.base import Sample
from sensord.decode.nmea0183.quantities import (
    DERIVED_DECIMALS,
    FIELDS,
    LIMITS,
    SPEED_UNITS,
    coordinate,
    finite,
    knots_in,
)
from sensord.model.readings import GOOD, Metadata, Quality, Value

__all__ = ["Group", "Memory", "Sentence"]


class Group(NamedTuple):
    """GSV sentences that belong together, as far as they have come."""

    talker: str
    total: int
    following: int
    satellites: list[Value]


class Memory:
    """What earlier sentences have taught: the device's units, its transducers, half a group."""

    __slots__ = ("collects_satellites", "group", "speed_units", "transducers")

    def __init__(self, *, collects_satellites: bool) -> None:
        self.collects_satellites = collects_satellites
        self.group: Group | None = None
        self.speed_units: dict[str, str] = {}
        self.transducers: dict[str, Metadata] = {}

    def metadata(self, field: str) -> Metadata | None:
        """Return what is known of a field by now."""
        if (transducer := self.transducers.get(field)) is not None:
            return transducer
        # `satellites_in_view/gps` is what `satellites_in_view` is.
        known = FIELDS.get(field.partition("/")[0])
        if known is not None and (unit := self.speed_units.get(field)) is not None:
            return dataclasses.replace(known, unit=unit)
        return known


class Sentence:
    """One sentence being read: its fields, and what was found in them so far."""

    __slots__ = ("_fields", "_prefix", "is_faulty", "memory", "samples", "talker")

    def __init__(self, talker: str, fields: list[str], prefix: str, memory: Memory) -> None:
        self.talker = talker
        self.memory = memory
        self.samples: list[Sample] = []
        self.is_faulty = False
        self._fields = fields
        self._prefix = prefix

    def __len__(self) -> int:
        """Return how many fields follow the address."""
        return len(self._fields) - 1

    def text(self, at: int) -> str:
        """Return field ``at``; one that an older version of the sentence lacks is empty."""
        return self._fields[at] if at < len(self._fields) else ""

    def take(self, field: str, value: Value, quality: Quality = GOOD) -> None:
        """Add a sample; what cannot be is a fault."""
        limits = LIMITS.get(field)
        if limits is not None and not limits[0] <= value <= limits[1]:  # type: ignore[operator]  # numbers
            self.is_faulty = True
        else:
            self.samples.append(Sample(self._prefix + field, value, quality))

    def take_in(self, unit: str | None, field: str, value: float) -> None:
        """Add a sample that has its own unit."""
        self.samples.append(Sample(self._prefix + field, value, GOOD, None, None, unit))

    def whole(self, at: int) -> int | None:
        """Return the count in field ``at``; None if it is empty or, which is a fault, none."""
        text = self.text(at)
        if text.isascii() and text.isdigit():
            return int(text)
        self.is_faulty |= bool(text)
        return None

    def count(self, at: int, field: str) -> None:
        """Add a whole number."""
        if (value := self.whole(at)) is not None:
            self.take(field, value)

    def amount(self, at: int) -> float | None:
        """Return the number in field ``at``; None if it is empty or, which is a fault, none."""
        text = self.text(at)
        value = finite(text) if text else None
        self.is_faulty |= bool(text) and value is None
        return value

    def amount_in(self, letter: str, at: int) -> float | None:
        """Return the number in field ``at``, which ``letter`` follows, or nothing."""
        if not self.text(at):
            return None
        if self.text(at + 1).upper() in {letter, ""}:
            return self.amount(at)
        self.is_faulty = True
        return None

    def number(self, at: int, field: str, quality: Quality = GOOD) -> None:
        """Add a number."""
        if (value := self.amount(at)) is not None:
            self.take(field, value, quality)

    def measure(self, at: int, letter: str, field: str, quality: Quality = GOOD) -> None:
        """Add a number that ``letter`` follows: its unit or reference.

        Devices leave the letter out; another one means another quantity.
        """
        if not self.text(at):
            return
        if self.text(at + 1) in {letter, ""}:
            self.number(at, field, quality)
        else:
            self.is_faulty = True

    def signed_amount(self, at: int, positive: str, negative: str) -> float | None:
        """Return a magnitude with the sign given by the letter after it."""
        value = self.amount(at)
        side = self.text(at + 1)
        if value is not None and value < 0:
            self.is_faulty = True  # with a sign and a side, which of them counts?
            return None
        if value is None or side == positive:
            return value
        if side == negative:
            return -value
        self.is_faulty = True
        return None

    def signed(self, at: int, sides: tuple[str, str], field: str, quality: Quality = GOOD) -> None:
        """Add a magnitude with the sign given by the letter after it."""
        if (value := self.signed_amount(at, *sides)) is not None:
            self.take(field, value, quality)

    def speed(self, field: str, *places: int, quality: Quality = GOOD) -> None:
        """Add a speed found at one or more places, each with its unit after it."""
        given = [(at, SPEED_UNITS.get(self.text(at + 1))) for at in places if self.text(at)]
        if not given:
            return
        known = self.memory.speed_units.get(field)
        at, unit = next((one for one in given if one[1] == known), given[0])
        if unit is None:
            self.is_faulty = True
        else:
            self.speed_in(unit, field, at, quality)

    def speed_in(self, unit: str, field: str, at: int, quality: Quality = GOOD) -> None:
        """Add a speed of that unit.

        A field keeps the unit it came in first; only where sentences differ is one converted.
        """
        value = self.amount(at)
        if value is None:
            return
        low, high = LIMITS[field]
        if not low <= value * knots_in(unit) <= high:
            self.is_faulty = True
            return
        known = self.memory.speed_units.setdefault(field, unit)
        if known != unit:
            value = round(value * knots_in(unit) / knots_in(known), DERIVED_DECIMALS)
        self.samples.append(Sample(self._prefix + field, value, quality))

    def position(self, at: int, quality: Quality) -> None:
        """Add latitude and longitude, each with its hemisphere after it."""
        for field, place in (("latitude", at), ("longitude", at + 2)):
            if text := self.text(place):
                degrees = coordinate(text, self.text(place + 1))
                if degrees is None or (field == "latitude") != (self.text(place + 1) in {"N", "S"}):
                    self.is_faulty = True
                else:
                    self.take(field, degrees, quality)
