"""What a piece of a device's text means: a number, or itself.

Shared by the decoders whose messages are text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from sensord.decode.base import Sample, excerpt, make_sample, trimmed
from sensord.model.readings import GOOD, Level, Metadata, Quality, Reason

__all__ = [
    "BAD_ENCODING",
    "NOT_FINITE",
    "TOO_MANY_VALUES",
    "UNPRINTABLE",
    "TextDecoder",
    "TextOptions",
    "TextValues",
    "is_code",
    "number",
    "number_with_comma",
    "quantity",
]

BAD_ENCODING = "bad encoding"
UNPRINTABLE = "unprintable text"
TOO_MANY_VALUES = "too many values"

NOT_FINITE = Quality(Level.BAD, Reason.NOT_FINITE)

_INFINITY = float("inf")
_MAX_EXACT = 2.0**53
"""Below it every integer is a float of its own."""

_MAX_INT = 2**63 - 1
"""A longer integer has no form on the wire: as a text, each of its digits arrives."""

_ENDS = "\0\ufeff"
_CODE = re.compile(r"[0-9]+[eE][0-9]+")
_PADDED_CODE = re.compile(r"0[0-9]+[eE][0-9]+")
_PADDED_HEX = re.compile(r"0[0-9]+[a-fA-F]+")
_GROUPED = re.compile(r"\s*[+-]?\s*[1-9][0-9]{0,2}(?:\.[0-9]{3})+\s*")
_APART = re.compile(r"\s*([+-])\s+(?=[0-9.])")
_QUANTITY = re.compile(
    r"([+-]?\s*(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?)\s*\*?\s*((?:[^\W\d_]|%(?![0-9])|[°/\[])[^,]*)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """How a device writes text and numbers.

    ``encoding`` is ``latin-1`` for devices that send, say, the degree sign as one byte.
    ``decimal_comma`` reads ``21,5`` as 21.5.
    """

    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    decimal_comma: bool = False


class TextDecoder:
    """What the decoders of text have in common: how their values were written."""

    def __init__(self, options: TextOptions, text_fields: tuple[str, ...] = ()) -> None:
        self._values = TextValues(options, text_fields)
        self.encoding: str = options.encoding
        self.decimal_comma = options.decimal_comma

    def keep_text(self) -> None:
        """Add to each sample how its value was written."""
        self._values.keeps_text = True

    def metadata(self, field: str) -> Metadata | None:  # noqa: ARG002  # part of the protocol
        """Return None: bare text carries no metadata."""
        return None

    def quoted(self, text: str) -> bytes:
        """Return the beginning of a text as the device sent it."""
        return excerpt(text.encode(self.encoding, "backslashreplace"))


class TextValues:
    """Turns text into samples, by the options."""

    def __init__(self, options: TextOptions, text_fields: tuple[str, ...] = ()) -> None:
        self.number = number_with_comma if options.decimal_comma else number
        self.keeps_text = False
        self.reads_padded = False
        """Whether whole numbers with zeros before them are numbers, as where a format pads all."""
        self._encoding = options.encoding
        self._text_fields = frozenset(text_fields)

    def text(self, message: bytes) -> str | None:
        """Return the message as text, or None if it is not in the encoding."""
        try:
            return trimmed(message).decode(self._encoding)
        except UnicodeDecodeError:
            return None

    def sample(self, field: str, text: str) -> Sample | None:
        """Return the value of a stripped text, or None if it holds control characters.

        Line noise turns numbers into such texts; a real word holds none.
        """
        value = None if field in self._text_fields else self.number(text)
        if value is None or (type(value) is float and text.isalnum() and is_code(text)):
            return self._word(field, text)
        if type(value) is int and (
            (_is_padded(text) and not self.reads_padded) or not -_MAX_INT <= value <= _MAX_INT
        ):
            return self._word(field, text)
        written = text if self.keeps_text else None
        if -_INFINITY < value < _INFINITY:
            return make_sample((field, value, GOOD, None, written, None))
        return Sample(field, None, NOT_FINITE, None, written)

    def _word(self, field: str, text: str) -> Sample | None:
        inner = text.strip(_ENDS)
        if inner != text:
            return self.sample(field, inner.strip()) if inner.strip() else None
        # Only ASCII is judged: Python also calls a no-break space unprintable.
        return None if text.isascii() and not text.isprintable() else Sample(field, text)


def number(text: str) -> int | float | None:
    """Return the number in ``text``, or None; it may be infinite or not a number.

    Digits alone are an int. Python's own liberties (``1_000``, other scripts' digits) are not
    accepted: a device that sends them did not mean a number.
    """
    try:
        value = float(text)
    except ValueError:
        # Scales part a sign from its digits: `+   62.916`.
        apart = _APART.match(text)
        return None if apart is None else number(apart[1] + text[apart.end() :])
    if "_" in text or not text.isascii():
        return None
    # An is_integer() that is true for 21.0 as well is still the cheapest way to rule out 21.5.
    if value.is_integer():
        if not (digits := text.strip().lstrip("+-")).isdigit():
            # Nothing that prints numbers pads one with an exponent: `00e5` is hexadecimal.
            return None if _PADDED_CODE.fullmatch(digits) else value
        if abs(value) < _MAX_EXACT:
            return int(value)
        # Python refuses to read thousands of digits, and counts leading zeros.
        magnitude = int(digits.lstrip("0"))
        return magnitude if value > 0 else -magnitude
    return value


def is_code(text: str) -> bool:
    """Return whether a text that could be read as a number is as well a code: ``1E5``, ``00e5``.

    Digits, an ``e`` and digits are what hexadecimal and identifiers look like. Hardly anything
    that prints numbers leaves out both the point and the sign of the exponent.
    """
    return _CODE.fullmatch(text) is not None


def _is_padded(text: str) -> bool:
    """Return whether a whole number has zeros before it, which a number would lose: ``0042``."""
    return text[0] == "0" and len(text) > 1


def quantity(text: str, *, decimal_comma: bool = False) -> tuple[int | float, str] | None:
    """Return a number and the unit that follows it, as in ``41%`` or ``4.426*kWh``, or None."""
    match = _QUANTITY.fullmatch(text.strip())
    # `001F` is hexadecimal, and no degree Fahrenheit.
    if match is None or _PADDED_HEX.fullmatch(text.strip()):
        return None
    value = (number_with_comma if decimal_comma else number)(match[1])
    return None if value is None else (value, match[2].strip())


def number_with_comma(text: str) -> int | float | None:
    """Return the number that ``text`` is where a comma parts the decimals, or None."""
    # A text with both is grouped in thousands: `1.234,5` is no number here, and `1.234` may be.
    if "." in text:
        return None if _GROUPED.fullmatch(text) else number(text)
    return number(text.replace(",", "."))
