"""Readings of a CSV file: sensord's own as a spreadsheet saved it, or others' with a time column.

Pure: lines go in. Theory of operation. The file is read twice: the first pass finds its form of
times and numbers and refuses ambiguous ones, the second reads each line by itself. A line that
cannot be read gives a `Damage` and costs no other. So a quoted field ends with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from sensord.model.readings import GOOD, Level, Quality, Reading, Reason, Value
from sensord.recordings.table_header import Header, header_of, split
from sensord.recordings.text_form import Damage, TextForm, UndecidedError
from sensord.recordings.text_numbers import DecimalMark, is_numeric
from sensord.recordings.text_rows import COLUMNS, Row, quality_of, value_of
from sensord.recordings.text_times import TimeColumn

__all__ = ["Table"]

_MISSING = {"nan", "null", "none", "na", "n/a", "#n/a", "-", "--", "---"}
_BOOLS = {"TRUE": True, "FALSE": False, "true": True, "false": False}
_RESTATED = {**_BOOLS, "": False, "WAHR": True, "FALSCH": False}
_ID = re.compile(r"[+-]?0[0-9]+")
_DATED = re.compile(
    r"[0-9]{1,2}[.\- /] ?[^\W\d]{3,9}\.?(?:[.\- /]?[0-9]{2,4})?"
    r"|[^\W\d]{3,4}[.\- ][0-9]{2,4}|[0-9]{1,2}[./-][0-9]{1,2}[./-](?:[0-9]{2}){1,2}"
)
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_LARGEST = (1 << 63) - 1


class Table:
    """What one file's lines mean; made of all of them, used to read them."""

    def __init__(self, lines: Iterable[str], form: TextForm, *, is_marked: bool) -> None:
        """Find its form; ``is_marked`` means that a byte order mark precedes it.

        Raises:
            UndecidedError: It is ambiguous.
            ValueError: It has no header that is understood.
        """
        self._form = form
        numbered = _content(lines, form)
        self._header_line, line, header = _header(numbered)
        self.header = header
        self.is_ours = set(COLUMNS) <= set(header.named)
        is_changed = is_marked or header.separator != "," or line.endswith("\r\n")
        self._is_verbatim = self.is_ours and not is_changed
        """Whether it is as sensord wrote it."""
        time_format = "iso8601" if self._is_verbatim else header.time_format
        self._times = TimeColumn(time_format, header.zone)
        self._logged = TimeColumn("iso8601" if self._is_verbatim else "", header.zone)
        self._decimals = DecimalMark(form.decimal, is_comma_separated=header.separator == ",")
        if self._is_verbatim:
            return  # it is known how these are written
        for _, text, _ in numbered:
            self._see(text)
        self._times.settle()
        self._logged.settle()
        self._decimals.settle()

    def _see(self, line: str) -> None:
        try:
            fields = self._fields(line)
        except ValueError:
            return
        if self.header.times:
            self._times.see(self._time_text(fields))
        if "log_time" in self.header.named:
            self._logged.see(fields[self.header.named["log_time"]].strip())
        for place in self._value_places():
            text = fields[place].strip()
            if not self._is_verbatim and is_numeric(text):
                self._decimals.see(text)

    def _value_places(self) -> list[int]:
        if self.header.named:
            return [self.header.named["value"]]
        return [place for place, _, _ in self.header.channels]

    def _fields(self, line: str) -> list[str]:
        line = line.rstrip("\r\n")
        if not line.isascii() and any("\udc80" <= one <= "\udcff" for one in line):
            raise ValueError("it is not in the file's encoding; say --encoding, such as cp1252")
        fields = split(line, self.header.separator)
        count = self.header.count
        if len(fields) > count and not any(field.strip() for field in fields[count:]):
            fields = fields[:count]
        if len(fields) != count:
            raise ValueError(f"expected {count} fields, found {len(fields)}")
        return fields

    def _time_text(self, fields: Sequence[str]) -> str:
        return " ".join(fields[place].strip() for place in self.header.times)

    # -- reading ----------------------------------------------------------------------------------

    def rows(self, lines: Iterable[str]) -> Iterator[Row | Damage]:
        """Read the lines of the same file."""
        offset = 0
        data = 0
        for number, line, _ in _content(lines, self._form):
            if number <= self._header_line or line.startswith("#"):
                continue
            try:
                rows = self._rows(line, offset, data)
            except (ValueError, RecursionError) as error:
                yield Damage(number, str(error) or "it is not understood")
                rows = []
            data += 1
            offset += len(rows)
            yield from rows

    def _rows(self, line: str, offset: int, data: int) -> list[Row]:
        fields = self._fields(line)
        if not any(field.strip() for field in fields):
            return []
        time_us = self._time_us(fields, data)
        if self.header.named:
            return [self._named(fields, time_us, offset)]
        rows: list[Row] = []
        for place, topic, unit in self.header.channels:
            text = fields[place].strip()
            if not text:
                continue
            value, quality = self._value(text)
            quality = self._at(quality)
            reading = Reading(time_us, value, quality)
            rows.append(Row(offset + len(rows), time_us, topic, unit, reading))
        return rows

    def _time_us(self, fields: Sequence[str], data: int) -> int:
        if self.header.times:
            return self._times.read(self._time_text(fields))
        assert self._form.rate is not None, "checked with the header"
        return (self._form.begin_us or 0) + int(data * 1e6 / self._form.rate)

    def _at(self, quality: Quality) -> Quality:
        """Return a quality with regard to the time: a made-up one is not a clock's."""
        if self.header.times or self._form.begin_us is not None or quality.level is not Level.GOOD:
            return quality
        return Quality(Level.UNCERTAIN, Reason.CLOCK)

    def _named(self, fields: Sequence[str], time_us: int, offset: int) -> Row:
        named = self.header.named

        def field(name: str, otherwise: str = "") -> str:
            return fields[named[name]].strip() if name in named else otherwise

        topic = field("topic")
        if not topic:
            raise ValueError("expected a topic")
        if self._form.prefix:
            topic = f"{self._form.prefix}/{topic}"
        value, at_best = self._value(fields[named["value"]])
        quality = quality_of(field("quality", "good"), field("reason"))
        quality = self._at(max(quality, at_best, key=lambda one: one.level))
        restated = field("restated")
        if restated not in _RESTATED:
            raise ValueError(f'restated is "{restated[:32]}", neither true nor false')
        log_us = self._logged.read(field("log_time")) if "log_time" in named else time_us
        if self.is_ours:
            text = field("offset")
            if not text.isascii() or not text.isdecimal() or int(text[:32]) > _LARGEST:
                raise ValueError(f'the offset "{text[:32]}" is no whole number')
            offset = int(text)
        reading = Reading(time_us, value, quality, _RESTATED[restated])
        return Row(offset, log_us, topic, field("unit"), reading)

    def _value(self, field: str) -> tuple[Value, Quality]:
        if self._is_verbatim:
            return value_of(field), GOOD
        text = field.strip()
        if self.is_ours and _DATED.fullmatch(text):
            raise ValueError(f'a spreadsheet made the date "{text}" of the value')
        if is_numeric(text):
            if _ID.fullmatch(text):
                return text, GOOD  # a number would lose its zeros
            number = self._decimals.read(text)
            # sensord writes a small e: this one was rounded to what a cell shows.
            is_rounded = self.is_ours and "E" in text
            return number, Quality(Level.UNCERTAIN, Reason.INEXACT) if is_rounded else GOOD
        if text in _BOOLS:
            return _BOOLS[text], GOOD
        if not self.is_ours and text.casefold() in _MISSING:
            return None, Quality(Level.BAD, Reason.MISSING)
        return value_of(field if self.is_ours else text), GOOD


def _header(numbered: Iterable[tuple[int, str, TextForm]]) -> tuple[int, str, Header]:
    """Return the header, its line and its number; comments in front of it are passed over."""
    refused = ValueError("the file has no header")
    for number, line, form in numbered:
        try:
            return number, line, header_of(line.strip("\r\n").removeprefix("#"), form)
        except ValueError as error:
            if not line.startswith("#"):
                raise
            refused = error
    raise refused


def _content(lines: Iterable[str], form: TextForm) -> Iterator[tuple[int, str, TextForm]]:
    """Yield the non-empty lines, with their numbers and the form found in the first of them."""
    is_first = True
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if is_first and (said := _SEPARATOR_LINE.fullmatch(line.strip())):
            form = _separated(form, said[1])
        else:
            yield number, line, form
        is_first = False


def _separated(form: TextForm, separator: str) -> TextForm:
    if form.separator not in {"", separator}:
        raise UndecidedError(f'it names "{separator}" as its separator, and --separator another')
    return replace(form, separator=separator)
