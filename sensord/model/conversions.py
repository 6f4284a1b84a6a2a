"""Units: each one in base units, and conversions between them.

Devices spell units in their own ways (``kWh``, ``°C``, ``uSv/hr``); channels announce UCUM codes
(``kW.h``, ``Cel``, ``uSv/h``). A spelling may stand for several units: ``C`` is a coulomb to UCUM
and a degree Celsius to most devices. The unit that is wanted decides, for two meanings of one
spelling never measure the same kind of quantity.

Conversions are exact: 70.7 [degF] are 21.5 Cel, and not 21.500000000000004.

Source: The Unified Code for Units of Measure, version 2.1.
"""

from __future__ import annotations

import functools
import math
import re
from fractions import Fraction
from typing import NamedTuple

from sensord.model.units import spelled_unit

__all__ = ["SAME", "Conversion", "conversion", "is_known", "meaning"]

MAX_CHARACTERS = 32
"""A longer text is no unit."""


class _Unit(NamedTuple):
    """A unit in base units: ``factor`` * value + ``offset``, of the kind ``dimension``."""

    factor: Fraction
    dimension: tuple[tuple[str, int], ...]
    offset: Fraction = Fraction(0)


def _dimension(text: str) -> dict[str, int]:
    """Read ``kg m2 s-2``."""
    found: dict[str, int] = {}
    for part in text.split():
        name = part.rstrip("-0123456789")
        found[name] = int(part[len(name) :] or "1")
    return found


def _atom(factor: Fraction | str | int, dimension: str, offset: str = "0") -> _Unit:
    return _Unit(Fraction(factor), tuple(sorted(_dimension(dimension).items())), Fraction(offset))


_PI = Fraction(math.pi)
_MERCURY = Fraction("133322.387415")
_WATER = Fraction("9806.65")

_METRIC = {
    "m": _atom(1, "m"),
    "g": _atom("1/1000", "kg"),
    "s": _atom(1, "s"),
    "K": _atom(1, "K"),
    "A": _atom(1, "A"),
    "mol": _atom(1, "mol"),
    "cd": _atom(1, "cd"),
    "rad": _atom(1, "rad"),
    "L": _atom("1/1000", "m3"),
    "l": _atom("1/1000", "m3"),
    "t": _atom(1000, "kg"),
    "N": _atom(1, "kg m s-2"),
    "Pa": _atom(1, "kg m-1 s-2"),
    "bar": _atom(100_000, "kg m-1 s-2"),
    "m[Hg]": _atom(_MERCURY, "kg m-1 s-2"),
    "m[H2O]": _atom(_WATER, "kg m-1 s-2"),
    "J": _atom(1, "kg m2 s-2"),
    "W": _atom(1, "kg m2 s-3"),
    "V": _atom(1, "kg m2 s-3 A-1"),
    "Ohm": _atom(1, "kg m2 s-3 A-2"),
    "S": _atom(1, "kg-1 m-2 s3 A2"),
    "F": _atom(1, "kg-1 m-2 s4 A2"),
    "C": _atom(1, "A s"),
    "H": _atom(1, "kg m2 s-2 A-2"),
    "T": _atom(1, "kg s-2 A-1"),
    "G": _atom("1/10000", "kg s-2 A-1"),
    "Wb": _atom(1, "kg m2 s-2 A-1"),
    "Hz": _atom(1, "s-1"),
    "lm": _atom(1, "lm"),
    "lx": _atom(1, "lx"),
    # These have the dimension of another quantity, and must not pass for it.
    "VA": _atom(1, "VA"),
    "var": _atom(1, "var"),
    "Bq": _atom(1, "Bq"),
    "Sv": _atom(1, "Sv"),
    "Gy": _atom(1, "Gy"),
    "B": _atom(1, "B"),
}
"""Units that may have a prefix."""

_OTHERS = {
    "1": _atom(1, ""),
    "%": _atom("1/100", ""),
    "[ppth]": _atom("1/1000", ""),
    "[ppm]": _atom("1/1000000", ""),
    "[ppb]": _atom("1/1000000000", ""),
    "[pH]": _atom(1, "pH"),
    "Cel": _atom(1, "K", "273.15"),
    "[degF]": _atom("5/9", "K", str(Fraction("459.67") * 5 / 9)),
    "deg": _atom(_PI / 180, "rad"),
    "'": _atom(_PI / 180 / 60, "rad"),
    "''": _atom(_PI / 180 / 3600, "rad"),
    "min": _atom(60, "s"),
    "h": _atom(3600, "s"),
    "d": _atom(86_400, "s"),
    "wk": _atom(604_800, "s"),
    "[in_i]": _atom("0.0254", "m"),
    "[ft_i]": _atom("0.3048", "m"),
    "[yd_i]": _atom("0.9144", "m"),
    "[fth_i]": _atom("1.8288", "m"),
    "[mi_i]": _atom("1609.344", "m"),
    "[nmi_i]": _atom(1852, "m"),
    "[kn_i]": _atom("1852/3600", "m s-1"),
    "[g]": _atom("9.80665", "m s-2"),
    "[lb_av]": _atom("0.45359237", "kg"),
    "[oz_av]": _atom("0.028349523125", "kg"),
    "[gal_us]": _atom("0.003785411784", "m3"),
    "atm": _atom(101_325, "kg m-1 s-2"),
    "[psi]": _atom("6894.757293168", "kg m-1 s-2"),
    "[in_i'Hg]": _atom(_MERCURY * Fraction("0.0254"), "kg m-1 s-2"),
    "[in_i'H2O]": _atom(_WATER * Fraction("0.0254"), "kg m-1 s-2"),
}

_PREFIXES: dict[str, int | Fraction] = {
    "G": 10**9,
    "M": 10**6,
    "k": 10**3,
    "h": 10**2,
    "da": 10,
    "d": Fraction(1, 10),
    "c": Fraction(1, 100),
    "m": Fraction(1, 10**3),
    "u": Fraction(1, 10**6),
    "n": Fraction(1, 10**9),
    "p": Fraction(1, 10**12),
}

_SPELLINGS = {
    "d": "deg",  # as NMEA 0183 writes it
    "cps": "/s",
    "%r.h.": "%",
}
"""Spellings of devices, regardless of case, besides those that people write in configurations."""

_SAME_KIND = {"nm"}
"""Spellings of two units of one kind, here nanometres and nautical miles: none of them is meant."""

_SIGNS = str.maketrans(
    {
        "\u00b5": "u",
        "\u03bc": "u",
        "\u03a9": "Ohm",
        "\u2126": "Ohm",
        "º": "°",
        "²": "2",
        "³": "3",
        "·": ".",
        "^": None,
    }
)
_ENERGY = re.compile(r"([GMkm]?)(W|VA|var|A)h")
_COMPONENT = re.compile(r"([^0-9+-].*?|[%1])([+-]?\d{1,2})?")


class Conversion(NamedTuple):
    """How a value of one unit becomes a value of another: ``factor`` * value + ``offset``."""

    factor: Fraction
    offset: Fraction

    @property
    def is_none(self) -> bool:
        """Whether both units are the same."""
        return self.factor == 1 and not self.offset

    def of(self, value: float) -> int | float:
        """Return the value in the other unit.

        Raises:
            OverflowError: No float is that large.
        """
        if self.is_none:
            return value
        # A float represents the decimal that the device wrote.
        exact = Fraction(value) if isinstance(value, int) else Fraction(repr(value))
        return float(exact * self.factor + self.offset)


SAME = Conversion(Fraction(1), Fraction(0))
"""That of a unit to itself."""


def is_known(unit: str) -> bool:
    """Return whether a UCUM code is one that values can be converted to and from."""
    return _parsed(unit) is not None


@functools.lru_cache(maxsize=1024)
def conversion(spelling: str, unit: str) -> Conversion | None:
    """Return the conversion from a device's unit to the one with that UCUM code.

    None if they measure different quantities, or one is not known here.
    """
    if spelling == unit:
        return SAME
    wanted = [found for code in _meanings(unit) if (found := _parsed(code)) is not None]
    for code in _meanings(spelling):
        given = _parsed(code)
        for to in wanted:
            if given is not None and given.dimension == to.dimension:
                return Conversion(given.factor / to.factor, (given.offset - to.offset) / to.factor)
    return None


def meaning(spelling: str) -> str | None:
    """Return the UCUM code of a device's unit as devices mostly mean it, or None."""
    known = [code for code in _meanings(spelling) if _parsed(code) is not None]
    return next((code for code in known if code != spelling), next(iter(known), None))


def _meanings(spelling: str) -> list[str]:
    """Return the UCUM codes that a spelling may mean, starting with itself if it is one."""
    if len(spelling) > MAX_CHARACTERS or spelling.casefold() in _SAME_KIND:
        return []
    plain = "".join(spelling.split()).translate(_SIGNS)
    codes = [spelling]
    if (known := _spelled(spelling) or _spelled(plain)) is not None:
        codes.append(known)
    if energy := _ENERGY.fullmatch(plain):
        codes.append(f"{energy[1]}{energy[2]}.h")
    above, slash, below = plain.partition("/")
    if slash:
        above = _spelled(above) or above if len(above) > 1 else above
        codes.append(f"{above}/{_spelled(below) or below if len(below) > 1 else below}")
    return [*codes, plain]


def _spelled(text: str) -> str | None:
    return _SPELLINGS.get(text.casefold()) or spelled_unit(text)


@functools.lru_cache(maxsize=1024)
def _parsed(code: str) -> _Unit | None:
    """Return what a UCUM code is: components joined by ``.`` and ``/``, each with an exponent."""
    if len(code) > MAX_CHARACTERS:
        return None
    code = code.replace("V.A{reactive}", "var").replace("V.A", "VA")
    code = re.sub(r"\{[^}]*\}", "", code)
    if (alone := _OTHERS.get(code)) is not None:
        return alone
    factor, dimension, sign = Fraction(1), dict[str, int](), 1
    for index, part in enumerate(re.split(r"([./])", code)):
        if index % 2:
            sign = -1 if part == "/" else 1
            continue
        if not part and not index:  # as in /min
            continue
        found = _component(part)
        if found is None:
            return None
        unit, exponent = found
        factor *= unit.factor ** (sign * exponent)
        for name, power in unit.dimension:
            dimension[name] = dimension.get(name, 0) + sign * exponent * power
    kinds = tuple(sorted((name, power) for name, power in dimension.items() if power))
    return _Unit(factor, kinds) if code else None


def _component(text: str) -> tuple[_Unit, int] | None:
    match = _COMPONENT.fullmatch(text)
    if match is None:
        return None
    name, exponent = match[1], int(match[2] or "1")
    unit = _OTHERS.get(name) or _METRIC.get(name)
    if unit is None:
        for prefix, power in _PREFIXES.items():
            if name.startswith(prefix) and (base := _METRIC.get(name.removeprefix(prefix))):
                unit = base._replace(factor=base.factor * power)
                break
    # A unit with a zero of its own, such as Cel, cannot be combined.
    return None if unit is None or unit.offset else (unit, exponent)
