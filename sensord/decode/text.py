"""What a piece of a device's text means: a number, or itself.

Shared by the decoders whose messages are text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sensord.decode.base import Sample
from sensord.model.readings import Level, Quality, Reason

__all__ = [
    "BAD_ENCODING",
    "NOT_FINITE",
    "TOO_MANY_VALUES",
    "UNPRINTABLE",
    "TextOptions",
    "TextValues",
    "number",
]

BAD_ENCODING = "bad encoding"
UNPRINTABLE = "unprintable text"
TOO_MANY_VALUES = "too many values"

NOT_FINITE = Quality(Level.BAD, Reason.NOT_FINITE)

_INFINITY = float("inf")
_MAX_EXACT = 2.0**53
"""Below it every integer is a float of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """How a device writes text and numbers.

    ``encoding`` is ``latin-1`` for devices that send, say, the degree sign as one byte.
    ``decimal_comma`` reads ``21,5`` as 21.5.
    """

    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    decimal_comma: bool = False


class TextValues:
    """Turns text into samples, as the options say."""

    def __init__(self, options: TextOptions, text_fields: tuple[str, ...] = ()) -> None:
        self.number = _number_with_comma if options.decimal_comma else number
        self._encoding = options.encoding
        self._text_fields = frozenset(text_fields)

    def text(self, message: bytes) -> str | None:
        """Return the message as text, or None if it is not in the encoding."""
        try:
            return message.decode(self._encoding)
        except UnicodeDecodeError:
            return None

    def sample(self, field: str, text: str) -> Sample | None:
        """Return what a stripped text says, or None if it holds control characters.

        Line noise turns numbers into such texts; a real word holds none.
        """
        value = None if field in self._text_fields else self.number(text)
        if value is None:
            # Only ASCII is judged: Python also calls a no-break space unprintable.
            return None if text.isascii() and not text.isprintable() else Sample(field, text)
        if -_INFINITY < value < _INFINITY:
            return Sample(field, value)
        return Sample(field, None, NOT_FINITE)


def number(text: str) -> int | float | None:
    """Return the number that ``text`` is, or None; it may be infinite or not a number.

    Digits alone are an int. Python's own liberties (``1_000``, other scripts' digits) are not
    taken: a device that sends them did not mean a number.
    """
    try:
        value = float(text)
    except ValueError:
        return None
    if "_" in text or not text.isascii():
        return None
    # An is_integer() that is true for 21.0 as well is still the cheapest way to rule out 21.5.
    if value.is_integer() and (digits := text.strip().lstrip("+-")).isdigit():
        if abs(value) < _MAX_EXACT:
            return int(value)
        # Python refuses to read thousands of digits, and counts leading zeros.
        magnitude = int(digits.lstrip("0"))
        return magnitude if value > 0 else -magnitude
    return value


def _number_with_comma(text: str) -> int | float | None:
    # A text with both is grouped in thousands: `1.234,5` is no number here.
    return number(text if "." in text else text.replace(",", "."))
