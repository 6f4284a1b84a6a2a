"""One file of readings as lines: JSON lines of sensord, or CSV of sensord's or others' making.

Such a file does not contain its channels' types, so the values decide: a topic of whole numbers
only is one of integers, a topic of several types is one of JSON. A line that cannot be read is
counted and named, and costs no other.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from pathlib import Path

from sensord.log.journal import Batch, Hole
from sensord.mcap.channels import Described
from sensord.model.readings import Channel, Metadata, Record, Value, ValueType
from sensord.recordings.columns import batch_of
from sensord.recordings.contents import Contents, RecordingError, Selection, Span, topics_of
from sensord.recordings.table import Table
from sensord.recordings.text_form import Damage, TextForm
from sensord.recordings.text_rows import Row, read_json_line

__all__ = ["TextFile", "encoding_of", "is_json_lines", "lines_of"]

ReadRows = Callable[[Iterable[str]], Iterator[Row | Damage]]

_BATCH = 1024
"""Rows that are handed on together."""

_NAMED = 5
"""Damaged lines that are named; the others are counted."""

_LONGEST = 1 << 20
"""Characters of a line; what is longer is no line."""

Key = tuple[str, str]
"""Topic and unit: such a file's description of a channel."""

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def encoding_of(head: bytes, form: TextForm) -> tuple[str, bool]:
    """Return a text file's encoding, and whether a byte order mark gives it."""
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding, True
    return form.encoding or "utf-8", False


def is_json_lines(head: bytes) -> bool:
    """Return whether a file's first bytes are JSON lines of sensord."""
    return head.removeprefix(codecs.BOM_UTF8).startswith(b'{"offset":')


def lines_of(path: Path, encoding: str) -> Iterator[str]:
    """Read a file's lines, with their ends; undecodable bytes become surrogates.

    Raises:
        RecordingError: It cannot be read.
    """
    try:
        with path.open(encoding=encoding, newline="", errors="surrogateescape") as lines:
            yield from takewhile(bool, iter(lambda: lines.readline(_LONGEST), ""))
    except OSError as error:
        raise RecordingError(path, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RecordingError(path, f"is not {encoding}: {error}") from error


class TextFile:
    """A file of lines; reading what is in it means reading all of it."""

    def __init__(self, path: Path, head: bytes, form: TextForm) -> None:
        """Find the form of its lines.

        Raises:
            RecordingError: They hold no readings, or are ambiguous.
        """
        self.path = path
        self._encoding, is_marked = encoding_of(head, form)
        self._seen: _Seen | None = None
        self._read: ReadRows
        if is_json_lines(head):
            self._what, self._read = "JSON lines of sensord", _json_rows
            return
        try:
            table = Table(lines_of(path, self._encoding), form, is_marked=is_marked)
        except ValueError as error:
            raise RecordingError(path, str(error)) from error
        self._what = "CSV file of sensord" if table.is_ours else "CSV file"
        self._read = table.rows

    def span(self) -> Span:
        """Return where it begins and ends; it names no log."""
        seen = self._look()
        if not seen.readings:
            return Span("", 0, 0, 0, 0)
        return Span("", seen.first, seen.end, seen.start_us, seen.end_us)

    def contents(self) -> Contents:
        """Describe its content."""
        seen = self._look()
        found = Contents(self._what, self.span(), self.path.stat().st_size)
        counts = Counter({Described(*seen.channel(key)): n for key, n in seen.counts.items()})
        found.topics = topics_of(counts)
        found.notes = self.notes()
        return found

    def notes(self) -> list[str]:
        """Name the lines that could not be read."""
        seen = self._look()
        notes = [str(damage) for damage in seen.damages]
        if seen.damaged > len(notes):
            notes.append(f"{seen.damaged - len(notes)} more lines were not read")
        return notes

    def damaged(self) -> int:
        """Count the lines that could not be read."""
        return self._look().damaged

    def scan(self, selection: Selection) -> Iterator[Batch | Hole]:
        """Read it, in its own order."""
        channels = {
            key: Channel(number, *self._look().channel(key))
            for number, key in enumerate(self._look().counts)
        }
        left = (1 << 64) if selection.limit is None else selection.limit
        records: list[Record] = []
        for row in self._read(lines_of(self.path, self._encoding)):
            if left <= 0:
                break
            if isinstance(row, Damage) or not _is_wanted(selection, row):
                continue
            # Offsets rise within a batch; those of another log may start again.
            if len(records) >= _BATCH or (records and row.offset <= records[-1].offset):
                yield batch_of(records)
                records = []
            channel = channels[row.topic, row.unit]
            records.append(Record(row.offset, row.log_us, channel, row.reading))
            left -= 1
        if records:
            yield batch_of(records)

    def _look(self) -> _Seen:
        if self._seen is None:
            seen = _Seen()
            for row in self._read(lines_of(self.path, self._encoding)):
                if isinstance(row, Damage):
                    seen.damage(row)
                else:
                    seen.note(row)
            if seen.damaged and not seen.readings:
                raise RecordingError(
                    self.path, f"none of its lines is a reading; {seen.damages[0]}"
                )
            self._seen = seen
        return self._seen


def _json_rows(lines: Iterable[str]) -> Iterator[Row | Damage]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield read_json_line(line)
        except ValueError as error:
            yield Damage(number, f"expected a JSON line of sensord: {error}")


class _Seen:
    """What was learned on one way through the file."""

    def __init__(self) -> None:
        self.counts: Counter[Key] = Counter()
        self.readings = 0
        self.first = self.start_us = 1 << 64
        self.end = self.end_us = 0
        self.damaged = 0
        self.damages: list[Damage] = []
        """The first ones."""
        self._types: dict[Key, set[ValueType]] = {}

    def damage(self, damage: Damage) -> None:
        self.damaged += 1
        if len(self.damages) < _NAMED:
            self.damages.append(damage)

    def note(self, row: Row) -> None:
        key = (row.topic, row.unit)
        self.counts[key] += 1
        self.readings += 1
        self.first, self.end = min(self.first, row.offset), max(self.end, row.offset + 1)
        self.start_us, self.end_us = min(self.start_us, row.log_us), max(self.end_us, row.log_us)
        if row.reading.value is not None:
            self._types.setdefault(key, set()).add(_type_of(row.reading.value))

    def channel(self, key: Key) -> tuple[str, Metadata]:
        topic, unit = key
        types = self._types.get(key, {ValueType.FLOAT})
        if types == {ValueType.INT, ValueType.FLOAT}:
            types = {ValueType.FLOAT}
        return topic, Metadata(next(iter(types)) if len(types) == 1 else ValueType.JSON, unit)


def _type_of(value: Value) -> ValueType:
    match value:
        case bool():
            return ValueType.BOOL
        case int():
            return ValueType.INT
        case float():
            return ValueType.FLOAT
        case str():
            return ValueType.STRING
        case _:
            return ValueType.JSON


def _is_wanted(asked: Selection, row: Row) -> bool:
    return (
        (asked.start is None or row.offset >= asked.start)
        and (asked.stop is None or row.offset < asked.stop)
        and (asked.since_us is None or row.log_us >= asked.since_us)
        and (asked.until_us is None or row.log_us < asked.until_us)
        and asked.wants(row.topic)
    )
