"""Readings into a Parquet file, by pyarrow, which is imported when it is used.

Source: docs/recordings.md, Parquet.
"""

from __future__ import annotations

import importlib
import json
from types import TracebackType
from typing import Any, Self

from sensord.log.journal import Batch, Hole
from sensord.model.readings import GOOD, Value
from sensord.recordings.contents import RecordingError
from sensord.recordings.part_file import PartFile

__all__ = ["ParquetOutput"]

_GROUP = 1 << 16
"""Rows that are written together; pyarrow advises against small groups."""


class ParquetOutput:
    """Gathers readings to groups of rows."""

    def __init__(self, part: PartFile) -> None:
        self._part = part
        try:
            self._arrow: Any = importlib.import_module("pyarrow")
            parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError as error:
            text = "Parquet needs pyarrow: pip install 'sensord[parquet]'"
            raise RecordingError(part.path, text) from error
        arrow = self._arrow
        time = arrow.timestamp("us", tz="UTC")
        word = arrow.dictionary(arrow.int32(), arrow.string())
        self._schema = arrow.schema(
            [
                ("offset", arrow.uint64()),
                ("log_time", time),
                ("time", time),
                ("topic", word),
                ("value", arrow.float64()),
                ("text", arrow.string()),
                ("unit", word),
                ("quality", word),
                ("reason", word),
                ("restated", arrow.bool_()),
            ]
        )
        self._writer = parquet.ParquetWriter(part.file, self._schema, compression="zstd")
        self._columns: list[list[Any]] = [[] for _ in self._schema]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    def add(self, batch: Batch) -> None:
        """Append readings."""
        channels = [batch.channel(number) for number in batch.numbers]
        qualities = batch.qualities or [GOOD] * len(batch)
        restates = batch.restates or [False] * len(batch)
        pairs = [_pair(value) for value in batch.values]
        added: list[list[Any]] = [
            list(batch.offsets),
            [time_ns // 1000 for time_ns in batch.log_ns],
            [time_ns // 1000 for time_ns in batch.publish_ns],
            [channel.topic for channel in channels],
            [number for number, _ in pairs],
            [text for _, text in pairs],
            [channel.metadata.unit for channel in channels],
            [quality.level.name.lower() for quality in qualities],
            [quality.reason for quality in qualities],
            list(restates),
        ]
        for column, more in zip(self._columns, added, strict=True):
            column.extend(more)
        if len(self._columns[0]) >= _GROUP:
            self._flush()

    def hole(self, hole: Hole) -> None:
        """Do nothing: a table has no place for it."""

    def complete(self) -> None:
        """Finish the file and give it its name."""
        self._flush()
        self._writer.close()
        self._part.complete()

    def _flush(self) -> None:
        arrays = [
            self._arrow.array(column, type=field.type)
            for column, field in zip(self._columns, self._schema, strict=True)
        ]
        self._writer.write_table(self._arrow.table(arrays, schema=self._schema))
        self._columns = [[] for _ in self._schema]


def _pair(value: Value) -> tuple[float | None, str | None]:
    """Part a value into a number, and a text for what no float64 holds."""
    match value:
        case None:
            return None, None
        case str():
            return None, value.encode(errors="backslashreplace").decode()
        case bool() | float():
            return float(value), None
        case int():
            try:
                number = float(value)
            except OverflowError:
                return None, str(value)
            return number, None if int(number) == value else str(value)
        case _:
            return None, json.dumps(value)
