"""Values, units, ages and times as people read them in a terminal."""

from __future__ import annotations

import json
from datetime import UTC, datetime, tzinfo

from sensord.model.readings import Value

__all__ = ["age_text", "clock_text", "day_text", "plain_value", "unit_text", "zone_text"]

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400

_TWO_DAYS_S = 2 * _DAY_S

UNITS = {
    "Cel": "°C",
    "[degF]": "°F",
    "kW.h": "kWh",
    "W.h": "Wh",
    "V.A": "VA",
    "ug/m3": "µg/m³",
    "m3": "m³",
    "[ppm]": "ppm",
    "[ppb]": "ppb",
    "[kn_i]": "kn",
    "deg": "°",
    "dB[mW]": "dBm",
    "m3/h": "m³/h",
    "Ohm": "Ω",
    "[psi]": "psi",
    "[pH]": "pH",
    "A.h": "Ah",
    "uS/cm": "µS/cm",
    "W/m2": "W/m²",
    "[mi_i]/h": "mph",
}
"""Codes of UCUM that people write otherwise: those of the page (`web/format.js`)."""

_BRACKETS = str.maketrans("", "", "{}[]")


def plain_value(value: Value, decimals: int | None) -> str:
    """Write a value as people do, with the decimals of its channel."""
    if isinstance(value, float):
        return f"{value:.{decimals}f}" if decimals is not None else f"{value:.10g}"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def unit_text(code: str) -> str:
    """Write the code of a unit as people do."""
    return UNITS.get(code) or code.translate(_BRACKETS)


def age_text(seconds: float) -> str:
    """Write an age in at most five characters."""
    if seconds < 1:
        return "now"
    if seconds < _MINUTE_S:
        return f"{int(seconds)} s"
    if seconds < _HOUR_S:
        return f"{int(seconds / _MINUTE_S)} m"
    if seconds < _TWO_DAYS_S:
        return f"{int(seconds / _HOUR_S)} h"
    days = int(seconds / _DAY_S)
    return f"{days} d" if days < 1000 else ">3 y"  # noqa: PLR2004  # as wide as the column


def _moment(time_us: int, zone: tzinfo | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(time_us / 1e6, UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return None


def clock_text(time_us: int, zone: tzinfo | None = None) -> str:
    """Write the time of day; ``None`` is the zone of this machine."""
    moment = _moment(time_us, zone)
    return "?" if moment is None else f"{moment:%H:%M:%S}"


def day_text(time_us: int, zone: tzinfo | None = None) -> str:
    """Write date and time to the second; ``None`` is the zone of this machine."""
    moment = _moment(time_us, zone)
    return "?" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def zone_text(time_us: int, zone: tzinfo | None = None) -> str:
    """Return the name of the zone at a time, such as CET."""
    moment = _moment(time_us, zone)
    return "?" if moment is None else moment.tzname() or "?"
