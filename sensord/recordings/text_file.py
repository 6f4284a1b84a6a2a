"""One file of readings as sensord exports them: CSV or JSON lines.

Such a file does not say what type its channels were declared with, so the values tell: a topic of
whole numbers only is one of integers, a topic of several types is one of JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sensord.log.journal import Batch, Hole
from sensord.mcap.channels import Described
from sensord.model.readings import Channel, Metadata, Record, Value, ValueType
from sensord.recordings.columns import batch_of
from sensord.recordings.contents import Contents, RecordingError, Selection, Span, topics_of
from sensord.recordings.text_rows import COLUMNS, Row, read_csv, read_json_lines

__all__ = ["TextFile", "reader_for"]

ReadRows = Callable[[Iterable[str]], Iterator[Row]]

_BATCH = 1024
"""Rows that are handed on together."""

Key = tuple[str, str]
"""Topic and unit: what such a file says of a channel."""


def reader_for(head: bytes) -> tuple[str, ReadRows] | None:
    """Tell by its first bytes what a file holds and how it is read; None if it is neither."""
    line = head.partition(b"\n")[0].rstrip(b"\r")
    if line == ",".join(COLUMNS).encode():
        return "CSV file of sensord", read_csv
    if line.startswith(b'{"offset":'):
        return "JSON lines of sensord", read_json_lines
    return None


class TextFile:
    """A file of lines; reading what is in it means reading all of it."""

    def __init__(self, path: Path, what: str, read: ReadRows) -> None:
        self.path = path
        self._what = what
        self._read = read
        self._seen: _Seen | None = None

    def span(self) -> Span:
        """Say where it begins and ends; it names no log."""
        seen = self._look()
        if not seen.readings:
            return Span("", 0, 0, 0, 0)
        return Span("", seen.first, seen.end, seen.start_us, seen.end_us)

    def contents(self) -> Contents:
        """Say what is in it."""
        seen = self._look()
        found = Contents(self._what, self.span(), self.path.stat().st_size)
        counts = Counter({Described(*seen.channel(key)): n for key, n in seen.counts.items()})
        found.topics = topics_of(counts)
        return found

    def notes(self) -> list[str]:
        """Nothing is odd about it: what is no row is an error."""
        return []

    def scan(self, selection: Selection) -> Iterator[Batch | Hole]:
        """Read it, in its own order."""
        channels = {
            key: Channel(number, *self._look().channel(key))
            for number, key in enumerate(self._look().counts)
        }
        left = (1 << 64) if selection.limit is None else selection.limit
        records: list[Record] = []
        for row in self._rows():
            if left <= 0:
                break
            if not _is_wanted(selection, row):
                continue
            # Offsets rise within a batch; those of another log may begin anew.
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
            for row in self._rows():
                seen.note(row)
            self._seen = seen
        return self._seen

    def _rows(self) -> Iterator[Row]:
        try:
            with self.path.open(encoding="utf-8", newline="") as lines:
                yield from self._read(lines)
        except OSError as error:
            raise RecordingError(self.path, f"cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise RecordingError(self.path, str(error)) from error


class _Seen:
    """What was learned on one way through the file."""

    def __init__(self) -> None:
        self.counts: Counter[Key] = Counter()
        self.readings = 0
        self.first = self.start_us = 1 << 64
        self.end = self.end_us = 0
        self._types: dict[Key, set[ValueType]] = {}

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
