"""Values in registers: types, orders of bytes and words, scale. Pure.

Shape: a register is a word of 16 bits, on the wire with the high byte first. A number of several
words has the high word first (``big``) or the low one (``little``); some devices also swap the
bytes of each word.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Literal

from sensord.model.readings import GOOD, Level, Quality, Reason, Value, ValueType

__all__ = ["Form", "Order", "Type", "decode", "encode"]

Type = Literal[
    "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "u8", "i8", "bcd", "ascii", "bool"
]
Order = Literal["big", "little"]

WORDS = {
    "u8": 1,
    "i8": 1,
    "u16": 1,
    "i16": 1,
    "bool": 1,
    "u32": 2,
    "i32": 2,
    "f32": 2,
    "u64": 4,
    "i64": 4,
    "f64": 4,
}
"""How many words a type has; of the others the length is declared."""

_CODES = {"u8": ">xB", "i8": ">xb", "u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i"}
_CODES |= {"u64": ">Q", "i64": ">q", "f32": ">f", "f64": ">d"}

MISSING = Quality(Level.BAD, Reason.MISSING)
NOT_FINITE = Quality(Level.BAD, Reason.NOT_FINITE)
WRONG_TYPE = Quality(Level.BAD, Reason.WRONG_TYPE)

DIGITS = 15
"""Of a scaled value: those of a counter in four words, and fewer than a scale of 0.1 falsifies."""


EXACT_FROM = 2.0**24
"""From here on each number in four bytes is whole."""


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a value in its registers.

    ``first_bit`` and ``last_bit``, counted from the lowest, pick a part of a whole number; of type
    ``bool`` one bit. ``missing`` lists the numbers, as they are there, that mean no value.
    """

    type: Type = "u16"
    words: int = 1
    word_order: Order = "big"
    byte_order: Order = "big"
    first_bit: int | None = None
    last_bit: int | None = None
    scale: float = 1.0
    offset: float = 0.0
    missing: tuple[int, ...] = ()

    @property
    def is_scaled(self) -> bool:
        """Whether a value differs from the number in the registers."""
        return self.scale != 1.0 or self.offset != 0.0

    @property
    def value_type(self) -> ValueType:
        """The type of the values."""
        if self.type == "bool":
            return ValueType.BOOL
        if self.type == "ascii":
            return ValueType.STRING
        is_whole = self.type not in {"f32", "f64"} and not self.is_scaled
        return ValueType.INT if is_whole else ValueType.FLOAT


def decode(form: Form, data: bytes) -> tuple[Value, Quality]:
    """Return the value in the bytes of its words, and how good it is."""
    if len(data) != 2 * form.words:
        return None, WRONG_TYPE
    ordered = _ordered(form, data)
    if form.type == "ascii":
        return _text(ordered)
    number = _bcd(ordered) if form.type == "bcd" else _number(form, ordered)
    if number is None:
        return None, WRONG_TYPE
    if number in form.missing or _bits(form, number) in form.missing:
        return None, MISSING
    if isinstance(number, float) and not math.isfinite(number):
        return None, NOT_FINITE
    if form.type == "bool":
        return bool(number), GOOD
    if not form.is_scaled:
        return number, GOOD
    value = number * form.scale + form.offset
    return (float(f"{value:.{DIGITS}g}"), GOOD) if math.isfinite(value) else (None, NOT_FINITE)


def _bits(form: Form, number: float) -> float:
    """Return a negative whole number as its bits, which manuals write: 8000 hexadecimal."""
    if number >= 0 or form.type not in {"i8", "i16", "i32", "i64"}:
        return number
    return number + (1 << int(form.type[1:]))


def encode(form: Form, value: Value) -> bytes:
    """Return the bytes of the words that hold a value.

    Raises:
        ValueError: The type cannot hold it; the text says why.
    """
    if form.type == "ascii":
        return _ordered(form, _text_bytes(form, value))
    if isinstance(value, str) or not isinstance(value, bool | int | float):
        raise ValueError("a number is wanted")  # noqa: TRY004  # the caller's word for it
    number: float = float(value) if isinstance(value, float) else int(value)
    if form.is_scaled:
        number = float(f"{(number - form.offset) / form.scale:.{DIGITS}g}")
    if form.type in {"f32", "f64"}:
        try:
            return _ordered(form, struct.pack(_CODES[form.type], number))
        except OverflowError as error:
            raise ValueError(f"{value} does not fit into {form.type}") from error
    whole = round(number)
    if not math.isclose(whole, number, rel_tol=0, abs_tol=1e-6):
        step = abs(form.scale)
        raise ValueError(f"the device holds steps of {step:g}; {value} lies between two")
    if whole in form.missing:
        raise ValueError(f"{value} stands for no value in this device")
    if form.type == "bcd":
        return _ordered(form, _bcd_bytes(form, whole))
    try:
        return _ordered(
            form, struct.pack(_CODES["u16" if form.type == "bool" else form.type], whole)
        )
    except struct.error as error:
        raise ValueError(f"{value} does not fit into {form.type}") from error


def _ordered(form: Form, data: bytes) -> bytes:
    """Return the bytes with the highest first, or as they go over the wire: both ways alike."""
    if form.byte_order == "little":
        swapped = bytearray(data)
        swapped[::2], swapped[1::2] = data[1::2], data[::2]
        data = bytes(swapped)
    if form.word_order == "little" and form.type != "ascii":
        data = b"".join(data[at : at + 2] for at in range(len(data) - 2, -2, -2))
    return data


def _number(form: Form, data: bytes) -> int | float | None:
    if form.first_bit is not None:
        last = form.first_bit if form.last_bit is None else form.last_bit
        whole = int.from_bytes(data, "big") >> form.first_bit
        return whole & ((1 << (last - form.first_bit + 1)) - 1)
    if form.type == "f32":
        return _shortest(data)
    code = _CODES["u16" if form.type == "bool" else form.type]
    number: int | float = struct.unpack(code, data)[0]
    return number


def _shortest(data: bytes) -> float:
    """Return the shortest decimal number with these four bytes: 230.1, not 230.10000610."""
    exact: float = struct.unpack(">f", data)[0]
    if not abs(exact) < EXACT_FROM:  # not finite, or whole
        return exact
    for digits in (6, 7, 8):
        short = float(f"{exact:.{digits}g}")
        if struct.pack(">f", short) == data:
            return short
    return exact


def _bcd(data: bytes) -> int | None:
    digits = data.hex()
    return int(digits) if digits.isdecimal() else None


def _bcd_bytes(form: Form, whole: int) -> bytes:
    digits = str(whole).zfill(4 * form.words)
    if whole < 0 or len(digits) > 4 * form.words:
        raise ValueError(f"{whole} does not fit into {4 * form.words} digits")
    return bytes.fromhex(digits)


def _text(data: bytes) -> tuple[Value, Quality]:
    text = data.rstrip(b"\0 ").split(b"\0")[0]
    if not text.isascii() or not text.decode("ascii").isprintable():
        return None, WRONG_TYPE
    return (text.decode("ascii"), GOOD) if text else (None, MISSING)


def _text_bytes(form: Form, value: Value) -> bytes:
    if not isinstance(value, str) or not value.isascii():
        raise ValueError("an ASCII text is wanted")
    if len(value) > 2 * form.words:
        raise ValueError(f"a text of at most {2 * form.words} characters is wanted")
    return value.encode().ljust(2 * form.words, b"\0")
