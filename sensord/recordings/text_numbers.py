"""Numbers as spreadsheets write them: the file shows which decimal mark it uses. Pure.

``1,234`` is 1234 here and 1.234 there. So the whole file is read: a mark before one, two or more
than three digits, or after a leading zero, is the decimal one.
"""

from __future__ import annotations

import math
import re

from sensord.recordings.text_form import UndecidedError

__all__ = ["DecimalMark", "is_numeric"]

_NUMERIC = re.compile(r"[+-]?[0-9.,][0-9.,'\u00a0\u202f ]*(?:[eE][+-]?[0-9]{1,4})?")
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}([.,])[0-9]{3}")
_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)")
_PLAIN = re.compile(r"[+-]?[0-9]*[.,]?[0-9]*(?:[eE][+-]?[0-9]{1,4})?")
_FULL = re.compile(r"[+-]?[0-9]{1,3}(?:([.,])[0-9]{3})+(?!\1)[.,][0-9]+")
_MOST_DIGITS = 400


def is_numeric(text: str) -> bool:
    """Return whether a text consists of a number's characters, and holds a digit."""
    return _NUMERIC.fullmatch(text) is not None and any(one.isdecimal() for one in text)


class DecimalMark:
    """The decimal mark of one file."""

    def __init__(self, mark: str, *, is_comma_separated: bool) -> None:
        self._mark = mark
        self._is_comma_separated = is_comma_separated
        self._found: dict[str, str] = {}
        self._doubtful = ""

    def see(self, text: str) -> None:
        """Look at one of the file's numbers."""
        bare = re.split("[eE]", text)[0]
        marks = [one for one in bare if one in ".,"]
        if not marks:
            return
        if len(marks) > 1:
            if _FULL.fullmatch(bare):
                self._found.setdefault(marks[-1], text)
            return
        if _GROUPED.fullmatch(bare) and bare == text:
            if not (self._is_comma_separated and marks[0] == "."):
                self._doubtful = self._doubtful or text
        elif _PLAIN.fullmatch(text):
            self._found.setdefault(marks[0], text)

    def settle(self) -> None:
        """Decide.

        Raises:
            UndecidedError: It could be either.
        """
        if self._mark:
            return
        if len(self._found) > 1:
            one, other = self._found.values()
            raise UndecidedError(f"its numbers have two decimal marks ({one}, {other}); {_SAY}")
        if not self._found and self._doubtful:
            raise UndecidedError(f"the number {self._doubtful} may have decimals or not; {_SAY}")
        self._mark = next(iter(self._found), ".")

    def read(self, text: str) -> int | float:
        """Return a number.

        Raises:
            ValueError: It is no number with this decimal mark.
        """
        if len(text) <= _MOST_DIGITS and _INTEGER.fullmatch(text):
            return int(text)
        bare = text
        thousands = "," if self._mark == "." else "."
        if _FULL.fullmatch(text) and text.count(self._mark) == 1:
            bare = text.replace(thousands, "")
        if len(text) > _MOST_DIGITS or thousands in bare or not _PLAIN.fullmatch(bare):
            raise ValueError(f'"{text[:32]}" is no number with the decimal mark "{self._mark}"')
        number = float(bare.replace(self._mark, "."))
        if not math.isfinite(number):
            raise ValueError(f'"{text[:32]}" is beyond what a float64 holds')
        return number


_SAY = "say --decimal . or --decimal ,"
