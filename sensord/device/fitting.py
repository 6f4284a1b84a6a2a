"""Fit a device's value of one field to what its channel declares.

Sits between the decoder, which finds what a text plainly is, and `conform`, which checks a value:
here the declaration decides how the input is read. A channel of texts gets the text as it was
written, one of numbers a number in the unit that it announces, or nothing good. Pure.

The first value decides the type of an undeclared channel; only what is written like that is read.
"""

from __future__ import annotations

from dataclasses import dataclass

from sensord.decode.base import UNREAD
from sensord.decode.text import is_code, number, number_with_comma, quantity
from sensord.device.conform import Rules, conform
from sensord.device.notation import DECIMAL, Notation
from sensord.model.conversions import SAME, Conversion, conversion
from sensord.model.readings import GOOD, Level, Quality, Reason, Value, ValueType

__all__ = ["MISSING", "Fit", "Units", "refusal"]

MISSING = Quality(Level.BAD, Reason.MISSING)
WRONG_UNIT = Quality(Level.BAD, Reason.WRONG_UNIT)

_INFINITY = float("inf")

_OUT_OF_RANGE = Quality(Level.BAD, Reason.OUT_OF_RANGE)
_NOT_A_NUMBER = ""
"""A text that `conform` refuses in a channel of numbers."""

_BITS = {2: 1, 8: 3, 16: 4}
"""In one digit of each base."""

_DIGITS = {2: "01", 8: "01234567", 16: "0123456789abcdefABCDEF"}
_MARKS = {2: ("0b", "0B"), 8: ("0o", "0O"), 16: ("0x", "0X")}

_REFUSALS: dict[str, str] = {
    Reason.WRONG_UNIT: "wrong unit",
    Reason.WRONG_TYPE: "wrong type",
    Reason.OUT_OF_RANGE: "too large a number",
}
NOT_A_NUMBER = "not a number"


@dataclass(frozen=True, slots=True)
class Units:
    """Which units a field's values come in, and which one its channel announces.

    ``decoded`` is the one that the decoder's values are in. A channel that ``is_scaled``
    converts by its own factor: then ``announced`` is what comes out, and what goes in is the unit
    decoded or received first. With ``are_listed`` the configuration lists the units that the
    device sends: one that is not convertible is another name for the channel's.
    """

    announced: str = ""
    decoded: str = ""
    is_scaled: bool = False
    are_listed: bool = False


class Fit:
    """What one channel makes of the samples of one field."""

    __slots__ = (
        "_conversion",
        "_counts_bools",
        "_has_text",
        "_is_declared",
        "_missing_numbers",
        "_missing_words",
        "_notation",
        "_unit",
        "_units",
        "_values",
        "is_plain",
        "needs_text",
        "rules",
    )

    def __init__(
        self, rules: Rules, notation: Notation, units: Units = Units(), *, is_declared: bool = True
    ) -> None:
        self.rules = rules
        self._notation = notation
        self._is_declared = is_declared
        self._units = units
        # What values are in before they are scaled; empty, the first unit that comes.
        self._unit = units.decoded if units.is_scaled else units.announced or units.decoded
        # Where only a number is declared, true and false are 1 and 0; `false` is no 0 V.
        self._counts_bools = is_declared and not (self._unit or units.is_scaled)
        self._conversion: Conversion | None = SAME
        if units.decoded and self._unit != units.decoded:
            self._conversion = conversion(units.decoded, self._unit)
        self._has_text = rules.type is ValueType.STRING
        words = [one for one in notation.missing if isinstance(one, str)]
        self._missing_words = frozenset(word.strip().casefold() for word in words)
        self._missing_numbers = tuple(one for one in notation.missing if type(one) is not str)
        is_decimal = notation.base == DECIMAL and notation.sign == "none"
        self._values = {key.strip().casefold(): one for key, one in notation.values.items()}
        is_worded = bool(notation.missing or notation.values)
        self.needs_text = bool(self._has_text or is_worded or not is_decimal)
        """Whether the decoder has to hand on how values were written."""
        self.is_plain = not self.needs_text and self._conversion is SAME
        """Whether a number in no unit of its own goes straight to `conform`."""

    def knows_nothing_as(self, text: str | None) -> bool:
        """Return whether a value left empty, as ``text`` has it, is declared as missing."""
        return text is not None and text.casefold() in self._missing_words

    def of(
        self, value: Value, quality: Quality, text: str | None, unit: str | None
    ) -> tuple[Value, Quality]:
        """Return a sample's value and quality as the channel's."""
        if self._is_missing(value, text):
            return None, MISSING
        if self._values:
            return self._meant(value, quality, text)
        if self._has_text:
            if text is not None:
                value, quality = text, GOOD if quality.level is Level.BAD else quality
            return conform(self.rules, value, quality)
        if value is None and text is not None and quality == UNREAD:
            value, quality = text, GOOD
        if not self.rules.is_numeric:
            return conform(self.rules, value, quality)
        if self._notation.base != DECIMAL or self._notation.sign != "none":
            value = self._whole(value, text)
        elif type(value) is str:
            value, unit = self._read(value, unit)
        if self._is_missing(value, None):
            return None, MISSING
        if type(value) is bool and not self._counts_bools:
            value = _NOT_A_NUMBER
        if type(value) is int or type(value) is float:
            return self._converted(value, quality, unit)
        return conform(self.rules, value, quality)

    def _meant(self, value: Value, quality: Quality, text: str | None) -> tuple[Value, Quality]:
        """Return the declared meaning of a value; any other is of the wrong type."""
        said = [text, _as_word(value)]
        words = [one.strip().casefold() for one in said if one is not None]
        meant = next((self._values[one] for one in words if one in self._values), None)
        if meant is None:
            bad = Quality(Level.BAD, Reason.WRONG_TYPE)
            return None, quality if quality.level is Level.BAD and value is None else bad
        return conform(self.rules, meant, GOOD if value is None else quality)

    def _is_missing(self, value: Value, text: str | None) -> bool:
        if type(value) is int or type(value) is float or type(value) is bool:
            is_bool = type(value) is bool
            if any(
                value == one and (type(one) is bool) is is_bool for one in self._missing_numbers
            ):
                return True
        written = text if text is not None else value
        return isinstance(written, str) and written.strip().casefold() in self._missing_words

    def _read(self, text: str, unit: str | None) -> tuple[Value, str | None]:
        """Return the number that a text is, with the unit that follows it."""
        if not self._is_declared and is_code(text.strip()):
            return _NOT_A_NUMBER, unit
        comma = self._notation.decimal_comma
        amount = number_with_comma(text) if comma else number(text)
        if amount is not None:
            return amount, unit
        found = quantity(text, decimal_comma=comma)
        # Where no unit is announced, one carries no meaning: the input is not plainly a number.
        wanted = self._unit or self._units.announced
        if found is None or not wanted or conversion(found[1], wanted) is None:
            return _NOT_A_NUMBER, unit
        return found

    def _converted(self, value: float, quality: Quality, unit: str | None) -> tuple[Value, Quality]:
        if not -_INFINITY < value < _INFINITY:
            return conform(self.rules, value, quality)
        how = self._conversion
        if unit:
            self._unit = self._unit or unit
            how = conversion(unit, self._unit)
            if how is None and self._units.are_listed:
                how = SAME
        if how is None:
            return None, quality if quality.level is Level.BAD else WRONG_UNIT
        try:
            return conform(self.rules, how.of(value), quality)
        except OverflowError:
            return None, quality if quality.level is Level.BAD else _OUT_OF_RANGE

    def _whole(self, value: Value, text: str | None) -> Value:
        """Return the whole number that the digits of another base are, or what came."""
        whole: Value
        base, sign, width = self._notation.base, self._notation.sign, self._notation.bits
        written = text if text is not None else str(value) if type(value) is int else value
        if base != DECIMAL:
            whole, digits = _in_base(written.strip() if isinstance(written, str) else "", base)
            width = width or digits
        else:
            whole = value if type(value) is not str else number(value)
        if type(whole) is not int:
            return _NOT_A_NUMBER
        if sign == "none" or width is None:
            return whole
        if not 0 <= whole < 1 << width:
            return _NOT_A_NUMBER
        high = 1 << (width - 1)
        if whole < high:
            return whole
        return high - whole if sign == "high_bit" else whole - (high << 1)


def _as_word(value: Value) -> str | None:
    """Return a plain value as configurations write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if float(value).is_integer() else str(value)
    return value if isinstance(value, str) else None


def _in_base(digits: str, base: int) -> tuple[int | None, int]:
    """Return the number and how many bits its digits have."""
    sign = digits[:1] if digits[:1] in {"+", "-"} else ""
    digits = digits.removeprefix(sign)
    for mark in _MARKS[base]:
        digits = digits.removeprefix(mark)
    if not digits or digits.strip(_DIGITS[base]):
        return None, 0
    value = int(digits, base)
    return -value if sign == "-" else value, len(digits) * _BITS[base]


def refusal(rules: Rules, quality: Quality) -> str | None:
    """Return the reason to report for a value that did not fit, or None if it is no fault."""
    if quality.reason == Reason.WRONG_TYPE and rules.is_numeric:
        return NOT_A_NUMBER
    return _REFUSALS.get(quality.reason)
