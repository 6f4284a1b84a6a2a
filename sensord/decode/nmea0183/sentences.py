"""What each NMEA 0183 sentence holds.

A function a sentence; `SENTENCES` finds it by its formatter, the three letters after the talker.
Adding one: write it here, its new fields into `quantities.FIELDS` and `docs/decoders.md`.

Three rules hold for all of them. An empty field is no value and gives no sample. A field that
cannot be read makes the sentence faulty, once, and the others are still used. Numbers that the
sentence itself calls void keep their value under a bad quality; those that were estimated, typed
in or simulated are uncertain.

Source: E. S. Raymond, "NMEA Revealed" 2.24; field numbers are counted as there, from 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sensord.decode.naming import field_level
from sensord.decode.nmea0183.quantities import (
    DERIVED_DECIMALS,
    KNOTS,
    LIMITS,
    TRANSDUCER_LIMITS,
    TRANSDUCERS,
    utc_text,
)
from sensord.decode.nmea0183.sentence import Group, Sentence
from sensord.model.readings import GOOD, Level, Metadata, Quality, Reason, Value

__all__ = ["SENTENCES", "Spec"]

NO_FIX = Quality(Level.BAD, Reason.NO_FIX)
INVALID = Quality(Level.BAD, "invalid")
ESTIMATED = Quality(Level.UNCERTAIN, "estimated")
MANUAL = Quality(Level.UNCERTAIN, "manual_input")
SIMULATED = Quality(Level.UNCERTAIN, "simulated")

_MODES = {"N": NO_FIX, "E": ESTIMATED, "M": MANUAL, "S": SIMULATED}
"""The mode indicators that are not good; it says more than the status beside it, which is V for
all but A and D (NMEA 2.3)."""

_GGA_QUALITIES = {"": NO_FIX, "0": NO_FIX, "6": ESTIMATED, "7": MANUAL, "8": SIMULATED}

# A receiver that corrects differentially may send D where A is meant.
_VALID = {"A", "D"}

_SYSTEMS = {
    "GP": "gps",
    "GL": "glonass",
    "GA": "galileo",
    "GB": "beidou",
    "BD": "beidou",
    "GQ": "qzss",
    "QZ": "qzss",
    "GI": "navic",
}

_METRES_IN_A_FOOT, _METRES_IN_A_FATHOM = 0.3048, 1.8288
_BAR_IN_INCH_OF_MERCURY = 0.0338638866667
_FULL_CIRCLE = 360.0

MAX_TRANSDUCERS = 256
"""Bounds the memory for names, however many a device makes up."""

MAX_GSV_SENTENCES = 16
"""Of one group; 64 satellites are more than any system has in view."""

_HIGHEST = {"elevation": 90, "azimuth": 360, "snr": 99}
"""Of a satellite: degrees, and decibels in two digits."""

_FIRST_SATELLITE, _SATELLITE_FIELDS = 4, 4
_TRANSDUCER_FIELDS = 4
_OLD_VTG_FIELDS = 4


def _fix_quality(status: str, mode: str) -> Quality:
    """Return how good a fix is by its status and, where there is one, its mode indicator."""
    if (quality := _MODES.get(mode)) is not None:
        return quality
    return GOOD if status in _VALID else NO_FIX


def _validity(status: str) -> Quality:
    return GOOD if status in _VALID else INVALID


class Spec(NamedTuple):
    """How a sentence is read, and how many fields it has at least.

    Fewer than the oldest version of the sentence means that it was cut.
    """

    least: int
    read: Callable[[Sentence], None]


SENTENCES: dict[str, Spec] = {}
"""By formatter: the three letters after the talker."""


def _sentence(
    formatter: str, least: int
) -> Callable[[Callable[[Sentence], None]], Callable[[Sentence], None]]:
    def register(read: Callable[[Sentence], None]) -> Callable[[Sentence], None]:
        SENTENCES[formatter] = Spec(least, read)
        return read

    return register


# Satellite receivers.


@_sentence("GGA", 14)
def _gga(one: Sentence) -> None:
    """Fix data. Its time lacks the date, so it is not used."""
    quality = _GGA_QUALITIES.get(one.text(6), GOOD)
    one.position(2, quality)
    one.count(6, "fix_quality")
    one.count(7, "satellites_used")
    one.number(8, "hdop", quality)
    one.measure(9, "M", "altitude", quality)
    one.measure(11, "M", "geoid_separation", quality)
    one.number(13, "differential_age", quality)


@_sentence("GLL", 4)
def _gll(one: Sentence) -> None:
    """Position. Before NMEA 2.0 it ended after the longitude."""
    has_status = len(one) > 5  # noqa: PLR2004  # the sixth field
    one.position(1, _fix_quality(one.text(6), one.text(7)) if has_status else GOOD)


@_sentence("GNS", 12)
def _gns(one: Sentence) -> None:
    """Fix data of several systems, with a mode indicator for each."""
    modes = one.text(6).replace("N", "")
    quality = NO_FIX if not modes else GOOD
    if modes and all(mode in _MODES for mode in modes):
        quality = _MODES[modes[0]]
    one.position(2, quality)
    one.count(7, "satellites_used")
    one.number(8, "hdop", quality)
    one.number(9, "altitude", quality)
    one.number(10, "geoid_separation", quality)
    one.number(11, "differential_age", quality)


@_sentence("GSA", 17)
def _gsa(one: Sentence) -> None:
    """Dilution of precision."""
    quality = NO_FIX if one.text(2) in {"", "1"} else GOOD
    one.count(2, "fix_mode")
    one.number(15, "pdop", quality)
    one.number(16, "hdop", quality)
    one.number(17, "vdop", quality)


@_sentence("GSV", 3)
def _gsv(one: Sentence) -> None:
    """Satellites in view: four a sentence, up to the number of sentences in the first field.

    Each system has groups of its own, so each has fields of its own.
    """
    total, number, in_view = one.whole(1), one.whole(2), one.whole(3)
    system = _SYSTEMS.get(one.talker)
    level = f"/{system}" if system else ""
    # The number is repeated in every sentence of the group: once is enough.
    if number == 1 and in_view is not None:
        one.take(f"satellites_in_view{level}", in_view)
    if one.memory.collects_satellites and total and number:
        satellites = _grouped(one, total, number)
        if satellites is not None:
            one.take(f"satellites{level}", satellites)


def _grouped(one: Sentence, total: int, number: int) -> list[Value] | None:
    """Add a sentence to its group; return the satellites when it is complete.

    A group with a part missing is given up: its list would be short without saying so.
    """
    group, one.memory.group = one.memory.group, None
    if number == 1:
        group = Group(one.talker, total, 1, [])
    if group is None or (group.talker, group.total, group.following) != (one.talker, total, number):
        return None
    satellites = [*group.satellites, *_satellites(one)]
    if number < min(total, MAX_GSV_SENTENCES):
        one.memory.group = group._replace(following=number + 1, satellites=satellites)
        return None
    return satellites if number == total else None


def _satellites(one: Sentence) -> list[Value]:
    satellites: list[Value] = []
    # NMEA 4.11 ends with a signal number, which makes one field more than whole satellites.
    has_signal = (len(one) + 1 - _FIRST_SATELLITE) % _SATELLITE_FIELDS == 1
    signal = one.text(len(one)) if has_signal else ""
    for at in range(_FIRST_SATELLITE, len(one) + 1 - has_signal, _SATELLITE_FIELDS):
        names = ("id", "elevation", "azimuth", "snr")
        found = {name: one.whole(at + i) for i, name in enumerate(names)}
        known = {name: n for name, n in found.items() if n is not None}
        satellite: dict[str, Value] = {
            name: n for name, n in known.items() if n <= _HIGHEST.get(name, n)
        }
        one.is_faulty |= len(satellite) < len(known)
        if "id" in satellite:
            satellites.append({**satellite, "signal": signal} if signal else satellite)
    return satellites


@_sentence("RMC", 11)
def _rmc(one: Sentence) -> None:
    """Position, speed, course, date and time."""
    quality = _fix_quality(one.text(2), one.text(12))
    day = one.text(9)
    if one.text(1) and day:
        _take_time(one, (day[4:], day[2:4], day[:2]), quality)
    one.position(3, quality)
    one.speed_in(KNOTS, "speed_over_ground", 7, quality)
    one.number(8, "course_over_ground", quality)
    one.signed(10, ("E", "W"), "magnetic_variation", quality)


@_sentence("VTG", 4)
def _vtg(one: Sentence) -> None:
    """Course and speed. Until NMEA 2.x it was four numbers without letters."""
    if len(one) == _OLD_VTG_FIELDS:
        one.number(1, "course_over_ground")
        one.number(2, "course_over_ground_magnetic")
        one.speed_in(KNOTS, "speed_over_ground", 3)
        return
    quality = _MODES.get(one.text(9), GOOD)
    one.measure(1, "T", "course_over_ground", quality)
    one.measure(3, "M", "course_over_ground_magnetic", quality)
    one.speed("speed_over_ground", 5, 7, quality=quality)


@_sentence("ZDA", 4)
def _zda(one: Sentence) -> None:
    """Date and time in UTC. The local zone is not used."""
    date = (one.text(4), one.text(3), one.text(2))
    if one.text(1) and all(date):
        _take_time(one, date, GOOD)


def _take_time(one: Sentence, date: tuple[str, str, str], quality: Quality) -> None:
    """Add a time from the clock in field 1 and a date's year, month and day."""
    text = utc_text(one.text(1), *date)
    if text is None:
        one.is_faulty = True
    else:
        one.take("time", text, quality)


# Heading and motion.


@_sentence("HDG", 5)
def _hdg(one: Sentence) -> None:
    """Heading of a magnetic sensor, its deviation and the variation.

    The sensor's own heading plus the deviation is the magnetic heading in HDM and VHW.
    """
    deviation = one.signed_amount(2, "E", "W")
    if (heading := one.amount(1)) is not None:
        if deviation:
            heading = round((heading + deviation) % _FULL_CIRCLE, DERIVED_DECIMALS)
        one.take("heading_magnetic", heading)
    if deviation is not None:
        one.take("magnetic_deviation", deviation)
    one.signed(4, ("E", "W"), "magnetic_variation")


@_sentence("HDM", 2)
def _hdm(one: Sentence) -> None:
    """Magnetic heading."""
    one.measure(1, "M", "heading_magnetic")


@_sentence("HDT", 2)
def _hdt(one: Sentence) -> None:
    """True heading."""
    one.measure(1, "T", "heading_true")


@_sentence("ROT", 2)
def _rot(one: Sentence) -> None:
    """Rate of turn."""
    one.number(1, "rate_of_turn", _validity(one.text(2)))


@_sentence("RSA", 2)
def _rsa(one: Sentence) -> None:
    """Rudder angles: a single or starboard one, and a port one."""
    one.number(1, "rudder_angle", _validity(one.text(2)))
    one.number(3, "rudder_angle_port", _validity(one.text(4)))


@_sentence("VHW", 6)
def _vhw(one: Sentence) -> None:
    """Speed through the water and heading."""
    one.measure(1, "T", "heading_true")
    one.measure(3, "M", "heading_magnetic")
    one.speed("speed_through_water", 5, 7)


@_sentence("VLW", 4)
def _vlw(one: Sentence) -> None:
    """Distance through the water."""
    one.measure(1, "N", "distance_through_water")
    one.measure(3, "N", "distance_since_reset")


@_sentence("VDR", 6)
def _vdr(one: Sentence) -> None:
    """Set and drift of the current."""
    one.measure(1, "T", "current_direction_true")
    one.measure(3, "M", "current_direction_magnetic")
    one.speed("current_speed", 5)


@_sentence("VPW", 2)
def _vpw(one: Sentence) -> None:
    """Speed parallel to the wind."""
    one.speed("speed_parallel_to_wind", 1, 3)


@_sentence("WCV", 2)
def _wcv(one: Sentence) -> None:
    """Speed towards the waypoint."""
    one.speed("waypoint_closing_speed", 1, quality=_MODES.get(one.text(4), GOOD))


@_sentence("XTE", 5)
def _xte(one: Sentence) -> None:
    """Cross-track error."""
    valid = one.text(1) in _VALID and one.text(2) in _VALID
    if one.text(3) and one.text(5) not in {"N", ""}:
        one.is_faulty = True
        return
    one.signed(3, ("R", "L"), "cross_track_error", GOOD if valid else INVALID)


# Depth and water.


def _depth(field: str) -> Callable[[Sentence], None]:
    def read(one: Sentence) -> None:
        """Depth in feet, metres and fathoms, of which a device may leave out some."""
        if one.text(3):
            one.measure(3, "M", field)
        elif (feet := one.amount_in("F", 1)) is not None:
            one.take(field, round(feet * _METRES_IN_A_FOOT, DERIVED_DECIMALS))
        elif (fathoms := one.amount_in("F", 5)) is not None:
            one.take(field, round(fathoms * _METRES_IN_A_FATHOM, DERIVED_DECIMALS))

    return read


_sentence("DBK", 4)(_depth("depth_below_keel"))
_sentence("DBS", 4)(_depth("depth_below_surface"))
_sentence("DBT", 4)(_depth("depth_below_transducer"))


@_sentence("DPT", 2)
def _dpt(one: Sentence) -> None:
    """Depth, and where the transducer is."""
    one.number(1, "depth_below_transducer")
    one.number(2, "transducer_offset")


@_sentence("MTW", 2)
def _mtw(one: Sentence) -> None:
    """Water temperature."""
    one.measure(1, "C", "water_temperature")


# Wind and weather.


@_sentence("MWV", 5)
def _mwv(one: Sentence) -> None:
    """Wind from the bow, apparent (R, relative) or true (T, theoretical)."""
    kind = {"R": "apparent", "T": "true"}.get(one.text(2))
    if kind is None:
        one.is_faulty = bool(one.text(1) or one.text(3))
        return
    quality = _validity(one.text(5))
    one.number(1, f"wind_angle_{kind}", quality)
    one.speed(f"wind_speed_{kind}", 3, quality=quality)


def _wind_by_side(kind: str) -> Callable[[Sentence], None]:
    def read(one: Sentence) -> None:
        """Wind from the bow, its angle counted to the left or right."""
        angle = one.signed_amount(1, "R", "L")
        if angle is not None:
            # MWV has the same angle clockwise.
            clockwise = angle if angle >= 0 else round(angle + _FULL_CIRCLE, DERIVED_DECIMALS)
            one.take(f"wind_angle_{kind}", clockwise)
        one.speed(f"wind_speed_{kind}", 3, 5, 7)

    return read


_sentence("VWR", 4)(_wind_by_side("apparent"))
_sentence("VWT", 4)(_wind_by_side("true"))


@_sentence("MWD", 6)
def _mwd(one: Sentence) -> None:
    """Direction and speed of the true wind."""
    one.measure(1, "T", "wind_direction_true")
    one.measure(3, "M", "wind_direction_magnetic")
    one.speed("wind_speed_true", 5, 7)


def _air_pressure(one: Sentence) -> None:
    """Add a pressure in inches of mercury and in bars, of which a device may leave out one."""
    if one.text(3):
        one.measure(3, "B", "air_pressure")
    elif (inches := one.amount_in("I", 1)) is not None:
        one.take("air_pressure", round(inches * _BAR_IN_INCH_OF_MERCURY, DERIVED_DECIMALS))


@_sentence("MMB", 2)
def _mmb(one: Sentence) -> None:
    """Barometric pressure."""
    _air_pressure(one)


@_sentence("MTA", 2)
def _mta(one: Sentence) -> None:
    """Air temperature."""
    one.measure(1, "C", "air_temperature")


@_sentence("MHU", 1)
def _mhu(one: Sentence) -> None:
    """Humidity, and the dew point with its unit."""
    one.number(1, "relative_humidity")
    one.number(2, "absolute_humidity")
    one.measure(3, "C", "dew_point")


@_sentence("MDA", 4)
def _mda(one: Sentence) -> None:
    """Everything that a weather station knows."""
    _air_pressure(one)
    one.measure(5, "C", "air_temperature")
    one.measure(7, "C", "water_temperature")
    one.number(9, "relative_humidity")
    one.number(10, "absolute_humidity")
    one.measure(11, "C", "dew_point")
    one.measure(13, "T", "wind_direction_true")
    one.measure(15, "M", "wind_direction_magnetic")
    one.speed("wind_speed_true", 17, 19)


@_sentence("XDR", 3)
def _xdr(one: Sentence) -> None:
    """Any number of transducers: type, value, unit, name; the last one may lack a name."""
    for index, at in enumerate(range(1, len(one) + 1, _TRANSDUCER_FIELDS), start=1):
        value = one.amount(at + 1)
        if value is None:
            continue
        kind, units = TRANSDUCERS.get(one.text(at).upper(), ("transducer", {}))
        letter, name = one.text(at + 2), one.text(at + 3)
        field = f"xdr/{field_level(name) if name.strip() else f'{kind}_{index}'}"
        unit = units.get(letter.upper())
        low, high = TRANSDUCER_LIMITS.get(unit or "", (value, value))
        if kind == "humidity":
            low, high = LIMITS["relative_humidity"]
        if not low <= value <= high:
            one.is_faulty = True
            continue
        known = one.memory.transducers
        if field in known or len(known) < MAX_TRANSDUCERS:
            known[field] = Metadata(unit=unit or "", description=name.strip())
        # A letter that is not known here is a unit as well, though no other is converted to it.
        one.take_in((letter if unit is None else unit) or None, field, value)
