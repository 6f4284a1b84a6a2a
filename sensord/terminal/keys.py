"""The keys that a terminal's bytes mean: any cut of the bytes gives the same keys."""

from __future__ import annotations

import codecs

__all__ = ["Keys"]

_FINAL = {
    "A": "up",
    "B": "down",
    "C": "right",
    "D": "left",
    "H": "home",
    "F": "end",
    "Z": "backtab",
}
_NUMBERED = {
    "1": "home",
    "4": "end",
    "5": "pageup",
    "6": "pagedown",
    "7": "home",
    "8": "end",
    "3": "delete",
}
_CONTROL = {
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x03": "interrupt",
    "\x04": "interrupt",
    "\x0c": "redraw",
    "\x15": "erase",
}

LONGEST = 16
"""Characters of a sequence; a longer one is no key."""


class Keys:
    """Reads keys: a printable character stands for itself, others have names."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""

    @property
    def is_pending(self) -> bool:
        """Whether an escape waits for what may follow it."""
        return bool(self._pending)

    def feed(self, data: bytes) -> list[str]:
        """Return the keys that are complete."""
        keys: list[str] = []
        for character in self._decoder.decode(data):
            keys += self._next(character)
        return keys

    def flush(self) -> list[str]:
        """Return the escape key, if nothing followed it in time."""
        keys = ["escape"] if self._pending == "\x1b" else []
        self._pending = ""
        return keys

    def _next(self, character: str) -> list[str]:
        if self._pending:
            return self._continue(character)
        if character == "\x1b":
            self._pending = character
            return []
        return _single(character)

    def _continue(self, character: str) -> list[str]:
        if self._pending == "\x1b" and character not in "[O":
            self._pending = ""
            return ["escape", *self._next(character)]
        self._pending += character
        if len(self._pending) == 2:  # noqa: PLR2004  # the introducer alone
            return []
        if character.isdigit() or character in ";?[<":
            if len(self._pending) > LONGEST:
                self._pending = ""
            return []
        sequence, self._pending = self._pending[2:], ""
        if character == "~":
            key = _NUMBERED.get(sequence[:-1].partition(";")[0])
        else:
            key = _FINAL.get(character)
        return [key] if key else []


def _single(character: str) -> list[str]:
    if key := _CONTROL.get(character):
        return [key]
    return [character] if character.isprintable() else []
