"""The units of measure that a channel may announce: UCUM codes, and what people write for them.

`unit_fault` checks a code and names the one that was probably meant: ``celsius`` is ``Cel``. Units
are case-sensitive: ``mW`` and ``MW`` differ by nine orders of magnitude. Pure.

Source: The Unified Code for Units of Measure, version 2.2, sections 2.1 to 2.3 and tables 1 to 24;
the symbols of physics, surveying and shipping that sensors use, not those of typesetting.
"""

from __future__ import annotations

import difflib
import re

__all__ = ["meant_unit", "spelled_unit", "unit_fault"]

_PREFIX_LIST = "Y Z E P T G M k h da d c m u n p f a z y Ki Mi Gi Ti"

_METRIC_LIST = """
m s g rad K C cd mol sr Hz N Pa J W A V F Ohm S Wb Cel T H lm lx Bq Gy Sv
l L ar t bar u eV pc st B Np bit By Bd cal
B[W] B[kW] B[V] B[mV] B[uV] B[mW] B[SPL] [iU] [IU] kat U osm eq
gf dyn erg P St Gal Mx G Oe Ci R RAD REM
mho att m[H2O] m[Hg] [car_m] cal_IT cal_th cal_[15] cal_[20] tex
"""
"""Units that accept a prefix. ``B[mW]``, for dBm, is no code of UCUM but is in use."""

_PLAIN_LIST = """
% 10* 10^ [pi] [ppth] [ppm] [ppb] [pptr] [pH] 1
min h d wk mo mo_s mo_j mo_g a a_t a_j a_g
deg ' '' gon circ
[degF] [degR] [degRe]
[in_i] [ft_i] [yd_i] [mi_i] [nmi_i] [fth_i] [kn_i] [mil_i] [in_us] [ft_us] [yd_us] [mi_us]
[sin_i] [sft_i] [syd_i] [cin_i] [cft_i] [cyd_i] [acr_us] [acr_br] [smi_us]
[gal_us] [qt_us] [pt_us] [foz_us] [bbl_us] [gal_br] [bu_us] [tsp_us] [tbs_us] [cup_us]
[lb_av] [oz_av] [gr] [ston_av] [lton_av] [oz_tr] [lbf_av] [psi] [in_i'H2O] [in_i'Hg]
[Btu] [Btu_IT] [Btu_th] [HP] [g] [c] [h] [k] [eps_0] [mu_0] [e] [m_e] [m_p] [G] [ly] AU atm
NTU FTU [NTU] [FNU] [APL'U] [CFU] [arb'U] bit_s [drp]
iso8601
"""
"""Units that accept no prefix. ``iso8601`` is sensord's own, for times written as texts."""

_PREFIXES = frozenset(_PREFIX_LIST.split())
_METRIC = frozenset(_METRIC_LIST.split())
_PLAIN = frozenset(_PLAIN_LIST.split())

_MEANT = {
    "c": "Cel", "celsius": "Cel", "degc": "Cel", "deg c": "Cel", "deg_c": "Cel", "°c": "Cel",
    "degreecelsius": "Cel", "degrees celsius": "Cel", "centigrade": "Cel", "℃": "Cel",
    "f": "[degF]", "fahrenheit": "[degF]", "degf": "[degF]", "deg f": "[degF]", "°f": "[degF]",
    "℉": "[degF]", "kelvin": "K", "°k": "K", "degk": "K",
    "percent": "%", "pct": "%", "%rh": "%", "rh": "%", "%rf": "%", "percentage": "%",
    "°": "deg", "degree": "deg", "degrees": "deg", "radian": "rad", "radians": "rad",
    "rpm": "/min", "u/min": "/min", "1/min": "/min", "r/min": "/min", "cpm": "/min", "bpm": "/min",
    "kn": "[kn_i]", "kt": "[kn_i]", "kts": "[kn_i]", "knot": "[kn_i]", "knots": "[kn_i]",
    "nm": "[nmi_i]", "nmi": "[nmi_i]", "mph": "[mi_i]/h", "mi/h": "[mi_i]/h", "mile": "[mi_i]",
    "miles": "[mi_i]", "mi": "[mi_i]", "kph": "km/h", "kmh": "km/h", "kmph": "km/h", "mps": "m/s",
    "ft": "[ft_i]", "foot": "[ft_i]", "feet": "[ft_i]", "in": "[in_i]", "inch": "[in_i]",
    "inches": "[in_i]", "yd": "[yd_i]", "meter": "m", "meters": "m", "metre": "m", "metres": "m",
    "psi": "[psi]", "inhg": "[in_i'Hg]", "mmhg": "mm[Hg]", "mbar": "mbar", "millibar": "mbar",
    "pascal": "Pa", "hectopascal": "hPa", "kilopascal": "kPa", "torr": "mm[Hg]", "mh2o": "m[H2O]",
    "volt": "V", "volts": "V", "millivolt": "mV", "ampere": "A", "amperes": "A", "amp": "A",
    "amps": "A", "milliampere": "mA", "watt": "W", "watts": "W", "kilowatt": "kW", "ohm": "Ohm",
    "ohms": "Ohm", "ω": "Ohm", "Ω": "Ohm", "kohm": "kOhm", "va": "V.A", "kva": "kV.A",
    "var": "V.A{reactive}", "kvar": "kV.A{reactive}", "vah": "V.A.h", "varh": "V.A.h{reactive}",
    "wh": "W.h", "kwh": "kW.h", "mwh": "MW.h", "watthour": "W.h", "ah": "A.h", "mah": "mA.h",
    "joule": "J", "hertz": "Hz", "khz": "kHz", "mhz": "MHz", "ghz": "GHz", "dbm": "dB[mW]",
    "ppm": "[ppm]", "ppb": "[ppb]", "ph": "[pH]", "lux": "lx", "lumen": "lm", "decibel": "dB",
    "db(a)": "dB[SPL]", "dba": "dB[SPL]", "µg/m³": "ug/m3", "μg/m³": "ug/m3", "µg/m3": "ug/m3",
    "μg/m3": "ug/m3", "ug/m³": "ug/m3", "mg/m³": "mg/m3", "m³": "m3", "m²": "m2", "m^3": "m3",
    "m^2": "m2", "cbm": "m3", "m³/h": "m3/h", "m^3/h": "m3/h", "m/s²": "m/s2", "m/s^2": "m/s2",
    "w/m²": "W/m2", "w/m^2": "W/m2", "liter": "L", "liters": "L", "litre": "L", "litres": "L",
    "lpm": "L/min", "gallon": "[gal_us]", "gal": "[gal_us]", "gpm": "[gal_us]/min", "lb": "[lb_av]",
    "lbs": "[lb_av]", "oz": "[oz_av]", "gram": "g", "kilogram": "kg", "ton": "t", "tonne": "t",
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "minute": "min", "minutes": "min",
    "mins": "min", "hour": "h", "hours": "h", "hr": "h", "hrs": "h", "day": "d", "days": "d",
    "week": "wk", "year": "a", "years": "a", "usv/h": "uSv/h", "µsv/h": "uSv/h", "μsv/h": "uSv/h",
    "µs/cm": "uS/cm", "μs/cm": "uS/cm", "us/cm": "uS/cm", "byte": "By", "bytes": "By", "kb": "kBy",
    "mb": "MBy", "gb": "GBy", "kib": "KiBy", "mib": "MiBy", "gib": "GiBy", "bits": "bit",
    "bps": "bit/s", "kbps": "kbit/s", "mbps": "Mbit/s", "µm": "um", "μm": "um", "micron": "um",
    "cfm": "[cft_i]/min", "counts": "{count}", "count": "{count}", "pulses": "{pulse}", "none": "",
    "µv": "uV", "μv": "uV", "µa": "uA", "μa": "uA", "ma": "mA", "mv": "mV", "kv": "kV", "kw": "kW",
    "hpa": "hPa", "kpa": "kPa", "mpa": "MPa", "pa": "Pa", "v": "V", "a": "A", "w": "W", "hz": "Hz",
    "k": "K", "mm": "mm", "cm": "cm", "km": "km", "nephelometric": "NTU", "ntu": "NTU",
}  # fmt: skip
"""By what people write, in small letters."""

_DOUBTFUL = {
    "C": "the coulomb; for degrees Celsius write Cel",
    "F": "the farad; for degrees Fahrenheit write [degF]",
    "kt": "the kilotonne; for knots write [kn_i]",
    "ft": "the femtotonne; for feet write [ft_i]",
}
"""What is a code of something that sensors seldom measure."""

_ANNOTATION = re.compile(r"\{[!-z|~]*\}")
_FACTOR = re.compile(r"10[*^][+-]?[0-9]+|[0-9]+")
_EXPONENT = re.compile(r"(?<=[^0-9*^])[+-]?[0-9]+\Z")
LONGEST = 64
"""Characters; no unit is longer, and the check's effort is bounded."""


_ENERGY = re.compile(r"([GMkm]?)(W|A)h")


def unit_fault(unit: str) -> str | None:
    """Return what is wrong with a unit and which was meant, or None for a code of UCUM."""
    if doubt := _DOUBTFUL.get(unit):
        return f'"{unit}" is {doubt}'
    if _is_unit(unit):
        return None
    meant = meant_unit(unit)
    hint = "" if meant is None else f'; did you mean "{meant}"?'
    if not hint:
        hint = "; unknown ones may stand in braces, such as {count}"
    return f'"{unit}" is no UCUM code{hint}'


def meant_unit(unit: str) -> str | None:
    """Return the code that an invalid one probably means, or None."""
    plain = unit.strip().casefold()
    if (code := spelled_unit(unit)) is not None:
        return code
    near = difflib.get_close_matches(plain, [one for one in _MEANT if len(one) > 3], n=1)  # noqa: PLR2004  # short ones are near to anything
    return _MEANT[near[0]] if near else None


def spelled_unit(text: str) -> str | None:
    """Return the code that people mean by a spelling of theirs, or None if it is not known.

    Milli and mega differ by their case alone: a spelling that is one is never read as the other,
    unless nobody means what it says (``mhz``).
    """
    text = text.strip()
    if (energy := _ENERGY.fullmatch(text)) is not None:
        return f"{energy[1]}{energy[2]}.h"
    code = _MEANT.get(text.casefold())
    if code is None or {text[:1], code[:1]} != {"m", "M"}:
        return code
    if text.islower():
        return None if text == "mwh" else code
    return code if text.isupper() and not _is_unit(text) else None


def _is_unit(unit: str) -> bool:
    """Return whether a text is a code: terms joined by . and /, annotations in braces."""
    if len(unit) > LONGEST or not unit.isascii() or any(one.isspace() for one in unit):
        return False
    bare = _ANNOTATION.sub("", unit)
    if not bare:
        return True
    terms = re.split(r"[./]", bare.removeprefix("/"))
    annotated = unit.count("{") > 0
    return all(_is_term(term.strip("()")) or (annotated and not term) for term in terms)


def _is_term(term: str) -> bool:
    if _FACTOR.fullmatch(term):
        return True
    return _is_atom(term) or _is_atom(_EXPONENT.sub("", term))


def _is_atom(symbol: str) -> bool:
    if symbol in _PLAIN or symbol in _METRIC:
        return True
    return any(symbol[:n] in _PREFIXES and symbol[n:] in _METRIC for n in (1, 2))
