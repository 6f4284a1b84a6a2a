"""Convert a sample's value to what its channel declares: scaled, typed, checked.

The last gate before the bus: whatever a decoder passes on, each value that leaves here is a `Value`
that every encoder can write. Pure.

A value that does not fit is not dropped: it becomes ``None`` under a bad quality, so that its
channel shows the trouble. A value that the device itself marked as bad keeps the device's reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sensord.decode.text import number
from sensord.model.readings import GOOD, Level, Quality, Reason, Value, ValueType

__all__ = ["Rules", "conform", "infer_type", "value_fault"]

MAX_JSON_DEPTH = 16
"""Every reader of a stream, in any language, can follow this without care."""

_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1
"""What a 64-bit integer holds; msgpack and most clients know no more."""

_INFINITY = float("inf")

_MAX_TEXT_BITS = 4096
"""Python refuses to write integers that are much longer."""

_EXACT = 2.0**53
"""Below this every whole number is a float."""
_MIN_INVERTED = 1e-15
"""The inverse of a smaller scale is beyond the integers that a float represents exactly."""

_OUT_OF_RANGE = Quality(Level.BAD, Reason.OUT_OF_RANGE)
_WRONG_TYPE = Quality(Level.BAD, Reason.WRONG_TYPE)
_INEXACT = Quality(Level.UNCERTAIN, Reason.INEXACT)
_NOT_FINITE = Quality(Level.BAD, Reason.NOT_FINITE)

_WORDS = {"true": True, "on": True, "yes": True, "1": True}
_WORDS |= {"false": False, "off": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Rules:
    """What a channel declares of its values; without a rule everything passes as it is.

    A value is multiplied by ``scale``, ``offset`` is added, it is rounded to ``decimals`` and
    must lie from ``low`` to ``high``, both included. A channel with any of these rules is one of
    numbers, ``type`` or not.
    """

    type: ValueType | None = None
    scale: float = 1.0
    offset: float = 0.0
    low: float | None = None
    high: float | None = None
    decimals: int | None = None
    divisor: float | None = field(init=False, default=None, repr=False, compare=False)
    """1 / ``scale`` where that is an integer, as for 0.01.

    Dividing by it rounds once and gives the decimal that is meant: 2347 / 100 is 23.47, while
    1001 * 0.1 is 100.10000000000001.
    """
    is_numeric: bool = field(init=False, default=False, repr=False, compare=False)
    makes_fractions: bool = field(init=False, default=False, repr=False, compare=False)
    passes_floats: bool = field(init=False, default=False, repr=False, compare=False)
    only_rounds_floats: bool = field(init=False, default=False, repr=False, compare=False)
    power: float = field(init=False, default=1.0, repr=False, compare=False)
    """10 to the power of ``decimals``."""

    def __post_init__(self) -> None:
        # Worked out once a channel, not once a value. A frozen class is set through `object`.
        moved = self.scale != 1.0 or self.offset != 0.0
        limited = self.low is not None or self.high is not None
        altered = moved or self.decimals is not None
        ruled = altered or limited
        numeric = self.type in {ValueType.FLOAT, ValueType.INT} or (self.type is None and ruled)
        may_be_float = self.type is None or self.type is ValueType.FLOAT
        object.__setattr__(self, "is_numeric", numeric)
        object.__setattr__(self, "makes_fractions", altered)
        object.__setattr__(self, "passes_floats", may_be_float and not ruled)
        only_rounds = may_be_float and altered and not moved and not limited
        object.__setattr__(self, "only_rounds_floats", only_rounds)
        object.__setattr__(self, "power", 10.0 ** (self.decimals or 0))
        if _MIN_INVERTED <= abs(self.scale) < 1:
            divisor = round(1 / self.scale)
            if 1 / divisor == self.scale:
                object.__setattr__(self, "divisor", float(divisor))


def infer_type(value: Value) -> ValueType:
    """Return the type that a channel has when only a value of it is known.

    Every number makes a float: the next one may have decimals. Only an integer that no float is
    makes an int. None makes a float too, for what was bad when it was first seen was mostly a
    number.
    """
    match value:
        case bool():
            return ValueType.BOOL
        case str():
            return ValueType.STRING
        case list() | dict():
            return ValueType.JSON
        case int() if not _is_float(value):
            return ValueType.INT
        case _:
            return ValueType.FLOAT


def conform(rules: Rules, value: Value, quality: Quality) -> tuple[Value, Quality]:
    """Return the value as the rules want it, and its quality."""
    # Most readings are floats of channels with no rules or with decimals alone: 0.1 and 0.3 µs.
    if type(value) is float and -_INFINITY < value < _INFINITY:
        if rules.passes_floats:
            return value, quality
        if rules.only_rounds_floats:
            # Mostly the device has rounded already: seen at half of the cost of rounding.
            if (
                -_EXACT < value * rules.power < _EXACT
                and round(value * rules.power) / rules.power == value
            ):
                return value + 0.0, quality
            return round(value, rules.decimals) + 0.0, quality
    if value is None:
        return _refused(_WRONG_TYPE, quality)
    if rules.is_numeric:
        return _number(rules, value, quality)
    match rules.type:
        case ValueType.BOOL:
            return _bool(value, quality)
        case ValueType.STRING:
            return _string(value, quality)
        case _:
            # JSON, or nothing declared: anything goes that can be encoded.
            fault = _json_fault(value, 0)
            return (value, quality) if fault is None else _refused(fault, quality)


def value_fault(value: object) -> str | None:
    """Return why a value cannot be sent, or None if it can."""
    fault = _json_fault(value, 0)
    if fault is None:
        return None
    return {
        Reason.NOT_FINITE: "numbers are finite",
        Reason.OUT_OF_RANGE: "integers have at most 64 bits",
    }.get(Reason(fault.reason), f"a value is plain, and nested at most {MAX_JSON_DEPTH} deep")


def _refused(fault: Quality, quality: Quality) -> tuple[None, Quality]:
    return None, quality if quality.level is Level.BAD else fault


def _number(rules: Rules, value: object, quality: Quality) -> tuple[Value, Quality]:
    if isinstance(value, str):
        value = number(value)
    if not isinstance(value, int | float):
        return _refused(_WRONG_TYPE, quality)
    try:
        result = _scaled(rules, value)
        if rules.type is ValueType.FLOAT:
            if type(result) is int and not _is_float(result):
                quality = _INEXACT if quality == GOOD else quality
            result = float(result)
    # An int with hundreds of digits has no float.
    except OverflowError:
        return _refused(_OUT_OF_RANGE, quality)
    if not -_INFINITY < result < _INFINITY:
        return _refused(_NOT_FINITE, quality)
    if rules.type is ValueType.INT:
        whole = round(result)
        if type(result) is float and abs(result) >= _EXACT and quality == GOOD:
            quality = _INEXACT  # the digits that a float has no room for are lost
        # What the rules made is rounded; a fraction that the device sent was not expected.
        if result != whole and not rules.makes_fractions:
            return _refused(_WRONG_TYPE, quality)
        result = whole
    if type(result) is int and not _MIN_INT <= result <= _MAX_INT:
        return _refused(_OUT_OF_RANGE, quality)
    low, high = rules.low, rules.high
    if (low is not None and result < low) or (high is not None and result > high):
        return result, quality if quality.level is Level.BAD else _OUT_OF_RANGE
    return result, quality


def _scaled(rules: Rules, value: float) -> int | float:
    # Exactly an int or a float: a bool is an int to Python, and there are other subclasses.
    result: int | float = int(value) if isinstance(value, int) else float(value)
    if rules.divisor is not None:
        result = result / rules.divisor
    elif rules.scale != 1.0:
        result = result * rules.scale
    if rules.offset != 0.0:
        result = result + rules.offset
    if rules.decimals is not None and -_INFINITY < result < _INFINITY:
        # Adding 0 turns -0.0 into 0.0: -0.00 would only confuse.
        result = round(result, rules.decimals) + 0
    return result


def _bool(value: object, quality: Quality) -> tuple[Value, Quality]:
    if isinstance(value, str):
        value = _WORDS.get(value.strip().casefold())
    if isinstance(value, bool | int | float) and value in {0, 1}:
        return bool(value), quality
    return _refused(_WRONG_TYPE, quality)


def _string(value: object, quality: Quality) -> tuple[Value, Quality]:
    if isinstance(value, bool):
        return ("true" if value else "false"), quality
    if type(value) is int and value.bit_length() <= _MAX_TEXT_BITS:
        return str(value), quality
    fault = _json_fault(value, 0)
    if fault is not None:
        return _refused(fault, quality)
    if isinstance(value, int | float | str):
        return str(value), quality
    return _refused(_WRONG_TYPE, quality)


def _is_float(value: int) -> bool:
    """Return whether an integer has an exact float."""
    if -_EXACT <= value <= _EXACT:
        return True
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def _json_fault(value: object, depth: int) -> Quality | None:
    """Return why a value cannot be encoded, or None if it can.

    Types are compared exactly: encoders refuse most subclasses.
    """
    if value is None or type(value) is bool:
        return None
    if type(value) is float:
        return None if -_INFINITY < value < _INFINITY else _NOT_FINITE
    if type(value) is int:
        return None if _MIN_INT <= value <= _MAX_INT else _OUT_OF_RANGE
    if type(value) is str:
        return None if _is_encodable(value) else _WRONG_TYPE
    if depth < MAX_JSON_DEPTH:
        if type(value) is list:
            return _first_fault(value, depth + 1)
        if type(value) is dict and all(type(key) is str and _is_encodable(key) for key in value):
            return _first_fault(value.values(), depth + 1)
    return _WRONG_TYPE


def _first_fault(values: Iterable[object], depth: int) -> Quality | None:
    faults = (_json_fault(value, depth) for value in values)
    return next((fault for fault in faults if fault is not None), None)


def _is_encodable(text: str) -> bool:
    """Return whether a text has a UTF-8 form; one with a lone surrogate has not."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
