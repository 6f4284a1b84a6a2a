"""Read the almost-JSON that some devices send.

They print it piece by piece, so what is wrong with it is mostly one value: ``nan`` and ``inf`` of
printf, ``00.0`` of a fixed width, ``---`` of a sensor that is away, nothing at all. Each costs at
most itself. What holds the pieces together is not mended: a message that was cut off is none.

Owns the text of single values; what JSON is beyond them is left to Python's reader.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from sensord.decode.text import number

__all__ = ["Unreadable", "WrittenFloat", "WrittenInt", "read", "reader_with_text"]

_ENDS = "\0\ufeff \t\r\n"

_PIECE = re.compile(
    r'"(?:[^"\\]|\\.)*"'  # a text, which is left alone
    r"|[:\[,](?=\s*([,}\]]))"  # no value where one is due
    r"|[^\s\"{}\[\]:,]+(?:[ \t]+[^\s\"{}\[\]:,]+)*",  # a bare value
    re.DOTALL,
)
_WORDS = {"true": True, "false": False, "null": None}


class WrittenFloat(float):
    """A number that knows how it was written."""

    __slots__ = ("text",)
    text: str


class WrittenInt(int):
    """A whole number that knows how it was written."""

    text: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value that is not JSON; ``text`` is its text."""

    text: str


def _float(text: str) -> WrittenFloat:
    value = WrittenFloat(text)
    value.text = text
    return value


def _int(text: str) -> WrittenInt:
    value = WrittenInt(text)
    value.text = text
    return value


def reader_with_text() -> json.JSONDecoder:
    """Return a reader of JSON whose numbers know how they were written."""
    return json.JSONDecoder(parse_float=_float, parse_int=_int)


def read(text: str) -> Any:  # noqa: ANN401  # whatever JSON holds
    """Read a message that Python's reader refuses.

    Bare values are numbered and read here; the reader sees their numbers in their place.

    Raises:
        ValueError: More than single values is wrong.
        RecursionError: It is nested too deep.
    """
    values: list[object] = []

    def place(match: re.Match[str]) -> str:
        piece = match[0]
        if piece[0] == '"':
            return piece
        after = match[1]
        if after and after != "," and piece != ":":
            return "" if piece == "," else piece  # a comma after the last value, an empty array
        values.append(None if after else _value(piece))
        return f"{piece if after else ''}{len(values) - 1}"

    plain = _PIECE.sub(place, text.strip(_ENDS))
    root = json.JSONDecoder(parse_int=lambda at: values[int(at)]).decode(plain)
    if isinstance(root, Unreadable):
        raise ValueError(root.text)  # noqa: TRY004  # not a fault of the program
    return root


def _value(text: str) -> object:
    word = text.casefold()
    if word in _WORDS:
        return _WORDS[word]
    found: float | None = number(text)
    if found is None:
        return Unreadable(text)
    written = WrittenInt(found) if isinstance(found, int) else WrittenFloat(found)
    written.text = text
    return written
