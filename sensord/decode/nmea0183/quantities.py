"""The fields of NMEA 0183, their units, and how their text is read.

Sentences share fields: a heading is ``heading_true`` in HDT and VHW alike. Angles are in
degrees; those relative to the bow run clockwise from 0 to 360. Speeds keep the unit of the device,
for a value that was converted has another resolution than the one that was measured.

Units: UCUM codes.

Source: E. S. Raymond, "NMEA Revealed" 2.24 (gpsd's www/NMEA.adoc); for MDA and MWD, which it lacks
or only names, the manuals of Airmar weather stations; for XDR also the Vaisala WXT530 manual,
table 20.
"""

from __future__ import annotations

from datetime import date

from sensord.decode.text import number
from sensord.model.readings import Metadata, ValueType

__all__ = [
    "DERIVED_DECIMALS",
    "FIELDS",
    "KNOTS",
    "LIMITS",
    "SPEED_UNITS",
    "TRANSDUCERS",
    "TRANSDUCER_LIMITS",
    "coordinate",
    "finite",
    "knots_in",
    "utc_text",
]

KNOTS = "[kn_i]"

DERIVED_DECIMALS = 4
"""Of sums, differences and conversions of the device's values: more digits than any device has,
fewer than binary floating point adds."""

SPEED_UNITS = {"N": KNOTS, "M": "m/s", "K": "km/h", "S": "[mi_i]/h"}
"""The letter that follows a speed, and its unit."""

_KNOTS_IN = {KNOTS: 1.0, "m/s": 3600 / 1852, "km/h": 1 / 1.852, "[mi_i]/h": 1.609344 / 1.852}
"""Knots in one of each; exact, for all of them are defined in metres."""


def _float(unit: str, description: str) -> Metadata:
    return Metadata(ValueType.FLOAT, unit, description=description)


def _int(description: str) -> Metadata:
    return Metadata(ValueType.INT, description=description)


FIELDS: dict[str, Metadata] = {
    "absolute_humidity": _float("%", "Absolute humidity"),
    "air_pressure": _float("bar", "Barometric pressure"),
    "air_temperature": _float("Cel", "Air temperature"),
    "altitude": _float("m", "Height of the antenna above mean sea level"),
    "course_over_ground": _float("deg", "Course over ground, true"),
    "course_over_ground_magnetic": _float("deg", "Course over ground, magnetic"),
    "cross_track_error": _float("[nmi_i]", "Distance from the track; positive: steer right"),
    "current_direction_magnetic": _float("deg", "Direction the current sets to, magnetic"),
    "current_direction_true": _float("deg", "Direction the current sets to, true"),
    "current_speed": _float(KNOTS, "Speed of the current"),
    "depth_below_keel": _float("m", "Depth of water below the keel"),
    "depth_below_surface": _float("m", "Depth of water"),
    "depth_below_transducer": _float("m", "Depth of water below the transducer"),
    "dew_point": _float("Cel", "Dew point"),
    "differential_age": _float("s", "Age of the differential correction"),
    "distance_since_reset": _float("[nmi_i]", "Distance through the water since the reset"),
    "distance_through_water": _float("[nmi_i]", "Distance through the water, cumulative"),
    "fix_mode": _int("1 no fix, 2 two-dimensional, 3 three-dimensional"),
    "fix_quality": _int("0 none, 1 GPS, 2 differential, 4 RTK, 5 float RTK, 6 estimated"),
    "geoid_separation": _float("m", "Height of the geoid above the ellipsoid"),
    "hdop": _float("", "Horizontal dilution of precision"),
    "heading_magnetic": _float("deg", "Heading, magnetic"),
    "heading_true": _float("deg", "Heading, true"),
    "latitude": _float("deg", "Latitude, north positive"),
    "longitude": _float("deg", "Longitude, east positive"),
    "magnetic_deviation": _float("deg", "Deviation of the compass, east positive"),
    "magnetic_variation": _float("deg", "Magnetic variation, east positive"),
    "pdop": _float("", "Dilution of precision"),
    "rate_of_turn": _float("deg/min", "Rate of turn, positive to starboard"),
    "relative_humidity": _float("%", "Relative humidity"),
    "rudder_angle": _float("deg", "Angle of the single or starboard rudder, positive to starboard"),
    "rudder_angle_port": _float("deg", "Angle of the port rudder, positive to starboard"),
    "satellites": Metadata(ValueType.JSON, description="Satellites in view"),
    "satellites_in_view": _int("Number of satellites in view"),
    "satellites_used": _int("Number of satellites used for the fix"),
    "speed_over_ground": _float(KNOTS, "Speed over ground"),
    "speed_parallel_to_wind": _float(KNOTS, "Speed to windward, negative downwind"),
    "speed_through_water": _float(KNOTS, "Speed through the water"),
    "time": Metadata(ValueType.STRING, description="UTC date and time that the device tells"),
    "transducer_offset": _float("m", "From the transducer up to the water line, or (-) to keel"),
    "vdop": _float("", "Vertical dilution of precision"),
    "water_temperature": _float("Cel", "Water temperature"),
    "waypoint_closing_speed": _float(KNOTS, "Speed at which the waypoint comes nearer"),
    "wind_angle_apparent": _float("deg", "Apparent wind, clockwise from the bow"),
    "wind_angle_true": _float("deg", "True wind, clockwise from the bow"),
    "wind_direction_magnetic": _float("deg", "Direction the wind comes from, magnetic"),
    "wind_direction_true": _float("deg", "Direction the wind comes from, true"),
    "wind_speed_apparent": _float(KNOTS, "Apparent wind speed"),
    "wind_speed_true": _float(KNOTS, "True wind speed"),
}
"""What is known of each field before a device has spoken.

A speed's unit here is the usual one. No decimals: how many there are is the device's affair, and
rounding to fewer would lose what it measured.
"""

_CIRCLE = (0.0, 360.0)
_EITHER_WAY = (-360.0, 360.0)
_HALF_CIRCLE = (-180.0, 180.0)
_DISTANCE = (0.0, 1e9)
_WATER_SPEED = (-200.0, 200.0)
_TEMPERATURE = (-273.15, 10_000.0)
_HUMIDITY = (0.0, 110.0)

LIMITS: dict[str, tuple[float, float]] = {
    "absolute_humidity": (0.0, 1000.0),
    "air_pressure": (0.0, 10.0),
    "air_temperature": _TEMPERATURE,
    "altitude": (-12_000.0, 1e8),
    "course_over_ground": _CIRCLE,
    "course_over_ground_magnetic": _CIRCLE,
    "cross_track_error": (-25_000.0, 25_000.0),
    "current_direction_magnetic": _CIRCLE,
    "current_direction_true": _CIRCLE,
    "current_speed": _WATER_SPEED,
    "depth_below_keel": (-12_000.0, 12_000.0),
    "depth_below_surface": (-12_000.0, 12_000.0),
    "depth_below_transducer": (-12_000.0, 12_000.0),
    "dew_point": _TEMPERATURE,
    "differential_age": _DISTANCE,
    "distance_since_reset": _DISTANCE,
    "distance_through_water": _DISTANCE,
    "fix_mode": (1, 3),
    "fix_quality": (0, 9),
    "geoid_separation": (-200.0, 200.0),
    "hdop": (0.0, 10_000.0),
    "heading_magnetic": _CIRCLE,
    "heading_true": _CIRCLE,
    "magnetic_deviation": _HALF_CIRCLE,
    "magnetic_variation": _HALF_CIRCLE,
    "pdop": (0.0, 10_000.0),
    "rate_of_turn": (-100_000.0, 100_000.0),
    "relative_humidity": _HUMIDITY,
    "rudder_angle": _HALF_CIRCLE,
    "rudder_angle_port": _HALF_CIRCLE,
    "satellites_in_view": (0, 1000),
    "satellites_used": (0, 1000),
    "speed_over_ground": (0.0, 20_000.0),
    "speed_parallel_to_wind": _WATER_SPEED,
    "speed_through_water": _WATER_SPEED,
    "transducer_offset": (-12_000.0, 12_000.0),
    "vdop": (0.0, 10_000.0),
    "water_temperature": _TEMPERATURE,
    "waypoint_closing_speed": (-20_000.0, 20_000.0),
    "wind_angle_apparent": _EITHER_WAY,
    "wind_angle_true": _EITHER_WAY,
    "wind_direction_magnetic": _CIRCLE,
    "wind_direction_true": _CIRCLE,
    "wind_speed_apparent": (0.0, 1000.0),
    "wind_speed_true": (0.0, 1000.0),
}
"""The lowest and highest value that there can be, in the unit of `FIELDS`: beyond it a field cannot
be read. These are bounds of nature and of the format, with room for what a sensor errs by, not
those of a good sensor: for that a channel has its ``range``. Orbits have 15,000 knots.
"""

TRANSDUCER_LIMITS = {
    "Cel": _TEMPERATURE,
    "[degF]": (-459.67, 20_000.0),
    "K": (0.0, 10_000.0),
    "deg": _EITHER_WAY,
    "Hz": (0.0, 1e12),
    "bar": (-2.0, 1e5),
    "Pa": (-2e5, 1e10),
    "hPa": (-2e3, 1e8),
    "[in_i'Hg]": (-60.0, 3e6),
    "mm[Hg]": (-1500.0, 7.5e7),
    "m/s": (-500.0, 10_000.0),
    "km/h": (-2000.0, 40_000.0),
    KNOTS: (-1000.0, 20_000.0),
}
"""The same for transducers, by unit; pressures may be those of a gauge."""

TRANSDUCERS: dict[str, tuple[str, dict[str, str]]] = {
    "A": ("angle", {"D": "deg"}),
    "C": ("temperature", {"C": "Cel", "F": "[degF]", "K": "K"}),
    "D": ("displacement", {"M": "m", "F": "[ft_i]"}),
    "F": ("frequency", {"H": "Hz"}),
    "G": ("generic", {"P": "%"}),
    "H": ("humidity", {"P": "%"}),
    "I": ("current", {"A": "A"}),
    "L": ("salinity", {"S": "[ppth]"}),
    "N": ("force", {"N": "N"}),
    "P": ("pressure", {"B": "bar", "P": "Pa", "H": "hPa", "I": "[in_i'Hg]", "M": "mm[Hg]"}),
    "R": ("flow", {"L": "L/s", "M": "mm/h"}),
    "S": ("switch", {"M": "m/s", "K": "km/h", "N": KNOTS}),
    "T": ("tachometer", {"R": "/min"}),
    "U": ("voltage", {"V": "V"}),
    "V": ("volume", {"M": ""}),
}
"""XDR's transducer types: a name for one that has none, and the unit that each letter means.

Vaisala uses S for wind speed, and V and M for millimetres of rain; the latter looks like the
standard's cubic metres, so its unit is for the configuration to declare.
"""

_MAX_DEGREES = {"N": 90, "S": -90, "E": 180, "W": -180}
_MINUTES = 60
_MINUTE_DIGITS = 2
_CLOCK_DIGITS = 6
_LAST_HOUR, _LAST_MINUTE = 23, 59
_LEAP_SECOND = 60
_YEAR_DIGITS = (2, 4)
_DATE_DIGITS = 4
_FIRST_GPS_YEAR = 80

_INFINITY = float("inf")


def knots_in(unit: str) -> float:
    """Return how many knots one ``unit`` of speed is."""
    return _KNOTS_IN[unit]


def finite(text: str) -> float | None:
    """Return the number that ``text`` is, or None."""
    value = number(text)
    return float(value) if value is not None and -_INFINITY < value < _INFINITY else None


def coordinate(text: str, hemisphere: str) -> float | None:
    """Return degrees, south and west negative, or None if it is not a place on Earth.

    Shape: ``ddmm.mmmm`` or ``dddmm.mmmm``: two digits before the point are whole minutes, those
    before them degrees.
    """
    limit = _MAX_DEGREES.get(hemisphere)
    digits = text.replace(".", "", 1)
    if limit is None or not (digits.isascii() and digits.isdigit()):
        return None
    point = text.find(".")
    split = max((point if point >= 0 else len(text)) - _MINUTE_DIGITS, 0)
    minutes = float(text[split:])
    degrees = int(text[:split] or "0") + minutes / _MINUTES
    if minutes >= _MINUTES or degrees > abs(limit):
        return None
    return degrees if limit > 0 else -degrees


def utc_text(clock: str, year: str, month: str, day: str) -> str | None:
    """Return an ISO 8601 text such as ``2008-07-05T10:00:00.000Z``, or None if it is not a time.

    A year of two digits is one of 1980 to 2079, for GPS began in 1980. Nothing else is corrected: a
    receiver with an old firmware may be 1024 weeks behind, and its date is kept.

    Shape: ``clock`` is ``hhmmss`` or ``hhmmss.sss``. The fraction is cut to milliseconds. A leap
    second, 60, is written as the device sends it.
    """
    whole, _, fraction = clock.partition(".")
    digits = whole + fraction + year + month + day
    if not (digits.isascii() and digits.isdigit()) or len(whole) != _CLOCK_DIGITS:
        return None
    hour, minute, second = whole[:2], whole[2:4], whole[4:]
    if int(hour) > _LAST_HOUR or int(minute) > _LAST_MINUTE or int(second) > _LEAP_SECOND:
        return None
    if not (len(year) in _YEAR_DIGITS and month and day and len(month + day) <= _DATE_DIGITS):
        return None
    full_year = int(year)
    if len(year) == min(_YEAR_DIGITS):
        full_year += 1900 if full_year >= _FIRST_GPS_YEAR else 2000
    try:
        date_text = date(full_year, int(month), int(day)).isoformat()
    except ValueError:
        return None
    return f"{date_text}T{hour}:{minute}:{second}.{fraction[:3]:0<3}Z"
