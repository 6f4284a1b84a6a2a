"""Values, qualities and flags as the journal's JSON texts, and back.

The *inner text* is the part of a payload between ``{"value":`` and the last ``}``: ``21.53``, or
``null,"quality":"bad","reason":"stale","restated":true``. Inner texts hold no line feed, because
JSON escapes it, so a line feed may separate them.

Whole columns are converted at once: one call of the JSON encoder costs 0.3 µs a float, one call
for each costs 2.

Source: docs/journal.md, Payload.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sensord.model.readings import GOOD, Level, Quality, Reading, Value

__all__ = ["NOT_RECORDABLE", "VALUE", "Parsed", "inner_texts", "parse_inner", "parse_payloads"]
__all__ += ["recordable"]

VALUE = b'{"value":'
"""The beginning of every payload that sensord writes."""

NOT_RECORDABLE = "not_recordable"
"""The reason under which a value that JSON cannot hold is recorded."""

_PLAIN = frozenset({float, int, bool, str, type(None)})
_lines = json.JSONEncoder(separators=("\n", ":"), allow_nan=False).encode
_compact = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_LEVELS = {level.name.lower(): level for level in Level}
_NAMES = {level: name for name, level in _LEVELS.items()}
_UNSOUND = (ValueError, TypeError, RecursionError)
"""What the JSON encoder raises for a value that it cannot hold."""


class Parsed(NamedTuple):
    """Columns of values; another column is None if all are good, or none restates."""

    values: list[Value]
    qualities: list[Quality] | None
    restates: list[bool] | None


def inner_texts(
    values: Sequence[Value], qualities: Sequence[Quality], restates: Sequence[bool]
) -> bytes:
    """Encode columns as inner texts, separated by line feeds.

    Raises:
        ValueError, TypeError, RecursionError: A value is not JSON; see `recordable`.
    """
    text = _lines(values)[1:-1]
    if ("[" in text or "{" in text) and not _PLAIN.issuperset(map(type, values)):
        # The separator also separated the items of a value that is itself a list.
        text = "\n".join(map(_compact, values))
    if qualities.count(GOOD) < len(qualities) or True in restates:
        ends = map(_ending, qualities, restates)
        text = "\n".join(map(str.__add__, text.split("\n"), ends))
    return text.encode()


def _ending(quality: Quality, restates: bool) -> str:  # noqa: FBT001  # a column's item
    text = ""
    if quality != GOOD:
        text = f',"quality":"{_NAMES[quality.level]}"'
        if quality.reason:
            text += f',"reason":{_compact(quality.reason)}'
    return text + ',"restated":true' if restates else text


def recordable(reading: Reading) -> Reading:
    """Return the reading, with null and bad quality in place of a value that is not JSON."""
    try:
        inner_texts([reading.value], [reading.quality], [reading.restates])
    except _UNSOUND:
        return reading._replace(value=None, quality=Quality(Level.BAD, NOT_RECORDABLE))
    return reading


def parse_inner(texts: Sequence[bytes]) -> Parsed:
    """Decode inner texts.

    Raises:
        ValueError: They are not inner texts.
    """
    joined = b",".join(texts)
    if b'"quality":' not in joined and b'"restated":' not in joined:
        values = json.loads(b"[" + joined + b"]")
        if len(values) != len(texts):
            raise ValueError("more values than texts")
        return Parsed(values, None, None)
    return _columns(json.loads(b"[" + VALUE + (b"}," + VALUE).join(texts) + b"}]"), len(texts))


def parse_payloads(payloads: Sequence[bytes]) -> Parsed:
    """Decode payloads of any writer; one that is not an object with a value is the value itself.

    Raises:
        ValueError: They are not JSON.
    """
    found = json.loads(b"[" + b",".join(payloads) + b"]")
    whole = [x if isinstance(x, dict) and "value" in x else {"value": x} for x in found]
    return _columns(whole, len(payloads))


def _columns(objects: list[dict[str, Any]], count: int) -> Parsed:
    if len(objects) != count:
        raise ValueError("more values than texts")
    values = [found["value"] for found in objects]
    qualities, restates = [GOOD] * count, [False] * count
    for i, found in enumerate(objects):
        if len(found) > 1:
            level = _LEVELS.get(found.get("quality", "good"), Level.UNCERTAIN)
            reason = found.get("reason")
            if level or reason:
                qualities[i] = Quality(level, str(reason or ""))
            restates[i] = found.get("restated") is True
    return Parsed(values, qualities, restates)
