"""The targets of an export: one class a format, all with the same three methods.

An output is a context: leaving it before `complete` leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import enum
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from sensord.log.journal import Batch, Hole
from sensord.model.readings import Record
from sensord.recordings.mcap_output import McapOutput
from sensord.recordings.parquet_output import ParquetOutput
from sensord.recordings.part_file import PartFile
from sensord.recordings.text_rows import csv_header, csv_of, json_lines_of

__all__ = ["Format", "Output", "open_output"]


class Format(enum.StrEnum):
    """What readings may be exported as."""

    CSV = "csv"
    JSONL = "jsonl"
    MCAP = "mcap"
    PARQUET = "parquet"

    @property
    def is_text(self) -> bool:
        """Whether it may go to a pipe."""
        return self in {Format.CSV, Format.JSONL}


class Output(Protocol):
    """Accepts readings, and is complete or empty."""

    def add(self, batch: Batch) -> None:
        """Append readings."""
        ...

    def hole(self, hole: Hole) -> None:
        """Note that readings are missing, in a format that can express it."""
        ...

    def complete(self) -> None:
        """Finish the file and give it its name."""
        ...


class _TextOutput:
    """Lines of text into a file, or to the standard output."""

    def __init__(
        self, file: BinaryIO, header: str, lines_of: Callable[[Iterable[Record]], str]
    ) -> None:
        self._file = file
        self._lines_of = lines_of
        self._write(header)

    def add(self, batch: Batch) -> None:
        self._write(self._lines_of(batch.records()))

    def hole(self, hole: Hole) -> None:
        """Do nothing: lines have no place for it."""

    def complete(self) -> None:
        self._file.flush()

    def _write(self, text: str) -> None:
        self._file.write(text.encode(errors="backslashreplace"))


class _TextFile(_TextOutput):
    def __init__(
        self, part: PartFile, header: str, lines_of: Callable[[Iterable[Record]], str]
    ) -> None:
        super().__init__(part.file, header, lines_of)
        self._part = part

    def complete(self) -> None:
        self._part.complete()


@contextlib.contextmanager
def open_output(form: Format, path: Path | None, epoch: str) -> Iterator[Output]:
    """Open what readings are exported into: a file, or without a path the standard output.

    ``epoch`` names the log that all readings are of, if it is one.

    Raises:
        OSError: The file cannot be made.
        RecordingError: The format needs a package that is not installed.
    """
    match form:
        case Format.MCAP:
            assert path is not None
            with McapOutput(path, epoch) as mcap:
                yield mcap
        case Format.PARQUET:
            assert path is not None
            with PartFile(path) as part, ParquetOutput(part) as parquet:
                yield parquet
        case _:
            shape = (csv_header(), csv_of) if form is Format.CSV else ("", json_lines_of)
            if path is None:
                yield _TextOutput(sys.stdout.buffer, *shape)
            else:
                with PartFile(path) as part:
                    yield _TextFile(part, *shape)
