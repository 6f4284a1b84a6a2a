"""Text in the cells of a terminal: its width, cut or filled to a width, without control characters.

Text that comes from a device never controls the terminal: what is not printable is replaced.
"""

from __future__ import annotations

import unicodedata

__all__ = ["clean", "cut", "fit", "width_of"]

ELLIPSIS = "…"

REPLACEMENT = "\ufffd"


def clean(text: str) -> str:
    """Replace each character that is not printable."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one.isprintable() else REPLACEMENT for one in text)


def width_of(text: str) -> int:
    """Return how many cells a printable text fills."""
    if text.isascii():
        return len(text)
    return sum(_width(one) for one in text)


def _width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def cut(text: str, width: int, *, keeps_end: bool = False) -> str:
    """Shorten a text to a width; an ellipsis marks the end, or the beginning, that is missing."""
    if width_of(text) <= width:
        return text
    if width <= 0:
        return ""
    if keeps_end:
        return ELLIPSIS + _head(text[::-1], width - 1)[::-1]
    return _head(text, width - 1) + ELLIPSIS


def _head(text: str, width: int) -> str:
    used = 0
    for place, character in enumerate(text):
        used += _width(character)
        if used > width:
            return text[:place]
    return text


def fit(text: str, width: int, *, is_right: bool = False, keeps_end: bool = False) -> str:
    """Cut or fill a text so that it has exactly a width."""
    shown = cut(text, width, keeps_end=keeps_end)
    blank = " " * max(0, width - width_of(shown))
    return blank + shown if is_right else shown + blank
