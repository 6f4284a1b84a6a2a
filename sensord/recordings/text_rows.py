"""Readings as lines of CSV or JSON, and back without losing a bit.

Pure. Source: docs/recordings.md, CSV and JSON lines.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sensord.mcap.payload import recordable
from sensord.model.readings import Level, Quality, Reading, Record, Value
from sensord.model.times import iso, time_us_of

__all__ = [
    "COLUMNS",
    "Row",
    "csv_field",
    "csv_header",
    "csv_of",
    "json_lines_of",
    "quality_of",
    "read_csv",
    "read_json_line",
    "read_json_lines",
    "value_of",
]

COLUMNS = (
    "offset",
    "log_time",
    "time",
    "topic",
    "value",
    "unit",
    "quality",
    "reason",
    "restated",
)

_LEVELS = {level.name.lower(): level for level in Level}
_NAMES = {level: name for name, level in _LEVELS.items()}
_FORMULA = tuple("=+-@")
"""A spreadsheet reads a text that begins with one of these as a formula, and runs it."""


class Row(NamedTuple):
    """A line read back; of the channel it knows the topic and the unit."""

    offset: int
    log_us: int
    topic: str
    unit: str
    reading: Reading


def csv_header() -> str:
    """Return the first line."""
    return ",".join(COLUMNS) + "\n"


def csv_of(records: Iterable[Record]) -> str:
    """Write records as lines of CSV."""
    lines = io.StringIO()
    write = csv.writer(lines, lineterminator="\n").writerow
    for offset, log_us, channel, found in records:
        reading = _sound(found)
        quality = reading.quality
        write(
            (
                offset,
                _time(log_us),
                _time(reading.time_us),
                channel.topic,
                csv_field(reading.value),
                channel.metadata.unit,
                _NAMES[quality.level],
                quality.reason,
                "true" if reading.restates else "false",
            )
        )
    return lines.getvalue()


def json_lines_of(records: Iterable[Record]) -> str:
    """Write records as JSON objects, one a line.

    A lone surrogate stays as it is: encoded with `backslashreplace` it is its JSON escape.
    """
    lines = []
    for offset, log_us, channel, found in records:
        reading = _sound(found)
        quality = reading.quality
        row = {
            "offset": offset,
            "log_time": _time(log_us),
            "time": _time(reading.time_us),
            "topic": channel.topic,
            "value": reading.value,
            "unit": channel.metadata.unit,
            "quality": _NAMES[quality.level],
            "reason": quality.reason,
            "restated": reading.restates,
        }
        lines.append(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
    return "".join(lines)


def read_csv(lines: Iterable[str]) -> Iterator[Row]:
    """Read lines of CSV, given with their line ends as in the file.

    Raises:
        ValueError: The header is another, or a line is not whole.
    """
    rows = csv.reader(lines, strict=True)
    try:
        header = next(rows, None)
        if header is None or tuple(header) != COLUMNS:
            raise ValueError(f"the first line is not {','.join(COLUMNS)}")
        for fields in rows:
            if len(fields) != len(COLUMNS):
                raise ValueError(f"line {rows.line_num}: expected {len(COLUMNS)} fields")
            try:
                yield _row(fields, value_of(fields[4]), is_restated=_is_true(fields[8]))
            except (ValueError, KeyError) as error:
                raise ValueError(f"line {rows.line_num}: {error}") from error
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num}: {error}") from error


def read_json_lines(lines: Iterable[str]) -> Iterator[Row]:
    """Read JSON lines back.

    Raises:
        ValueError: A line is not whole.
    """
    for number, line in enumerate(lines, 1):
        try:
            yield read_json_line(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error


def read_json_line(line: str) -> Row:
    """Read one JSON line back.

    Raises:
        ValueError: It is not whole.
    """
    try:
        found: dict[str, Any] = json.loads(line)
        fields = [found[name] for name in COLUMNS]
        if not all(isinstance(fields[place], str) for place in (1, 2, 3, 5, 6, 7)):
            raise TypeError("a text is expected")
        return _row(fields, fields[4], is_restated=fields[8] is True)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(repr(error)[:200]) from error


def _row(fields: Sequence[str], value: Value, *, is_restated: bool) -> Row:
    quality = quality_of(fields[6], fields[7])
    reading = Reading(_time_us(fields[2]), value, quality, is_restated)
    return Row(int(fields[0]), _time_us(fields[1]), fields[3], fields[5], reading)


def quality_of(level: str, reason: str) -> Quality:
    """Read a quality back.

    Raises:
        ValueError: There is no such level.
    """
    if level not in _LEVELS:
        raise ValueError(f"{level[:32]!r} is no quality: expected good, uncertain or bad")
    return Quality(_LEVELS[level], reason)


def _sound(reading: Reading) -> Reading:
    """Return the reading as the journal would record it: others' files may hold NaN."""
    return recordable(reading) if _is_odd(reading.value) else reading


def _is_odd(value: Value) -> bool:
    # NaN and the infinities are the floats that minus themselves are not zero.
    if isinstance(value, float):
        return value - value != 0
    if isinstance(value, list):
        return any(map(_is_odd, value))
    return isinstance(value, dict) and any(map(_is_odd, value.values()))


def csv_field(value: Value) -> str:
    """Write a value as a field: as JSON, but a text plain where it cannot be misread."""
    if value is None:
        return ""
    if isinstance(value, str):
        is_plain = value.isprintable() and value and not value.startswith((*_FORMULA, '"'))
        return value if is_plain and not _is_json(value) else json.dumps(value)
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def value_of(field: str) -> Value:
    """Read a field back; what is not JSON is a text."""
    if not field:
        return None
    try:
        value: Value = json.loads(field, parse_constant=_refuse)
    except ValueError:
        return field
    except RecursionError:
        raise ValueError("a value nested too deep") from None
    return value


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    except RecursionError:
        pass  # nested too deep to decide
    return True


def _refuse(name: str) -> Value:
    raise ValueError(name)


def _is_true(field: str) -> bool:
    if field not in {"true", "false"}:
        raise ValueError(f"restated is {field!r}, neither true nor false")
    return field == "true"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return (iso(seconds * 1_000_000) or "")[:-8]


def _time(time_us: int) -> str:
    """Write a time; the calendar is asked once a second, not once a reading."""
    seconds, rest = divmod(time_us, 1_000_000)
    return f"{_second(seconds)}.{rest:06d}Z"


def _time_us(text: str) -> int:
    time_us = time_us_of(text, None)
    if time_us is None:
        raise ValueError(f"{text} is not a time in ISO 8601 with its zone")
    return time_us
