"""Texts with places for values, such as ``SET {value:.1f}``: what a command sends.

``{name}`` stands for a value, ``{name:.1f}`` formats it as Python does, ``{name:ON|OFF}`` gives
words for true and false, and ``{name:json}`` writes it as JSON does. Any other brace is itself, so
that JSON needs no escapes. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from sensord.model.readings import Value

__all__ = ["fill", "text_fault"]

_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::([^{}]*))?\}")

_JSON_BEGINS = ('{"', "[{", '["')

WIDEST = 200
"""Of one value: as long as the longest text that a client may give."""

WHOLE = frozenset("bcdoxX")
"""The formats that only integers have."""


def fill(text: str, values: Mapping[str, Value]) -> str:
    """Put values into their places.

    Raises:
        ValueError: A value cannot be written as its place wants it; the text says which.
    """
    return _PLACE.sub(lambda found: _written(found[1], found[2] or "", values), text)


def text_fault(text: str, samples: Mapping[str, Value]) -> str | None:
    """Return what is wrong with a text, given a value of each name, or None."""
    for name, form in _PLACE.findall(text):
        if name not in samples:
            known = ", ".join(f"{{{one}}}" for one in samples) or "none"
            return f"unknown placeholder {{{name}}}; known are {known}"
        is_free = isinstance(samples[name], str)
        if is_free and form != "json" and text.lstrip().startswith(_JSON_BEGINS):
            return f"write {{{name}:json}}: a text with a quotation mark would break the JSON"
    try:
        fill(text, samples)
    except ValueError as exc:
        return str(exc)
    return None


def _written(name: str, form: str, values: Mapping[str, Value]) -> str:
    value = values[name]
    if form == "json":
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        if not form:
            return "true" if value else "false"
        yes, divider, no = form.partition("|")
        if divider:
            return yes if value else no
        value = int(value)
    if not form:
        return _plain(value)
    if isinstance(value, str) and "|" in form:
        raise ValueError(f"write {{{name}}}: the channel's values give the word to send")
    if any(int(digits) > WIDEST for digits in re.findall(r"[0-9]+", form)):
        raise ValueError(f"{{{name}:{form}}}: at most {WIDEST} characters wide")
    if isinstance(value, float) and form[-1] in WHOLE:
        if not value.is_integer():
            raise ValueError(f"{name}: a whole number is wanted")
        value = int(value)
    try:
        return format(value, form)
    except (TypeError, ValueError, OverflowError) as exc:
        raise ValueError(f"{{{name}:{form}}}: {exc}") from exc


def _plain(value: Value) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)
