"""Find out what a path leads to, and read several recordings as one."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sensord.log.journal import Batch, Hole
from sensord.mcap import records as mcap
from sensord.mcap.records import MAGIC, Opcode
from sensord.mcap.regular import open_binary
from sensord.mcap.segment import METADATA
from sensord.recordings.contents import Recording, RecordingError, Selection, Span
from sensord.recordings.foreign_file import ForeignFile
from sensord.recordings.journal_folder import JournalFolder
from sensord.recordings.segment_file import SegmentFile
from sensord.recordings.text_file import TextFile, encoding_of
from sensord.recordings.text_form import TextForm, UndecidedError

__all__ = ["AS_IT_IS", "in_order", "open_recording", "scan_all"]

AS_IT_IS = TextForm()

_HEAD_BYTES = 4096
"""The header and the metadata record of a segment fit many times."""


def open_recording(path: Path, form: TextForm = AS_IT_IS) -> Recording:
    """Open a journal's folder, an MCAP file, JSON lines that sensord exported, or CSV.

    ``form`` settles what a text file leaves open.

    Raises:
        RecordingError, JournalError: It is none of these, or cannot be read.
    """
    if path.is_dir():
        return JournalFolder(path)
    try:
        with open_binary(path) as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise RecordingError(path, f"cannot be opened: {error.strerror}") from error
    if not head:
        raise RecordingError(path, "is empty")
    if not head.startswith(MAGIC):
        return _text_file(path, head, form)
    library, facts = _read_head(head)
    if facts is not None and "capture" in facts:
        raise RecordingError(path, "holds no readings, but what a device sent")
    if facts is not None:
        try:
            return SegmentFile(path, facts)
        except ValueError as error:
            raise RecordingError(path, f"its first facts are damaged: {error}") from error
    return ForeignFile(path, library)


def _text_file(path: Path, head: bytes, form: TextForm) -> Recording:
    if b"\0" not in head or encoding_of(head, form)[0] == "utf-16":
        try:
            return TextFile(path, head, form)
        except RecordingError as error:
            if isinstance(error.__cause__, UndecidedError):
                raise
            why = error.reason
    else:
        why = "it is no text"
    raise RecordingError(
        path,
        "is neither an MCAP file nor a journal's folder,"
        f" nor JSON lines of sensord export, CSV or a log: {why}",
    )


def _read_head(head: bytes) -> tuple[str, dict[str, str] | None]:
    """Return the library that wrote a file and, if it is sensord, the file's facts."""
    library = ""
    try:
        for opcode, start, end in mcap.records(head, len(MAGIC)):
            if opcode == Opcode.HEADER:
                library = mcap.text_of(head, mcap.text_of(head, start)[1])[0]
            elif opcode == Opcode.METADATA:
                name, facts = mcap.metadata_of(head[start:end])
                return library, facts if name == METADATA else None
            else:
                break
    except ValueError:
        pass
    return library, None


def in_order(recordings: Sequence[Recording]) -> list[tuple[Recording, Span]]:
    """Put recordings in the order of time, those of one log in the order of their offsets."""
    spans = [(recording, recording.span()) for recording in recordings]
    begins: dict[str, int] = {}
    for _, span in spans:
        begins[span.epoch] = min(begins.get(span.epoch, span.start_us), span.start_us)

    def key(item: tuple[Recording, Span]) -> tuple[int, str, int, int]:
        span = item[1]
        if not span.epoch:
            return span.start_us, "", 0, 0
        return begins[span.epoch], span.epoch, span.first, span.end

    return sorted(spans, key=key)


def scan_all(
    recordings: Sequence[tuple[Recording, Span]], selection: Selection
) -> Generator[Batch | Hole]:
    """Read recordings one after the other, as `in_order` returns them.

    What two files of one log both have is read once, and what lies between them is a hole.
    """
    left = selection.limit
    before: Span | None = None
    for recording, span in recordings:
        start = selection.start
        if before is not None and span.epoch and span.epoch == before.epoch:
            yield from _between(before, span, selection)
            start = max(start or 0, before.end, span.first)
        for item in recording.scan(replace(selection, start=start, limit=left)):
            if isinstance(item, Batch) and left is not None:
                left -= len(item)
            yield item
        if left is not None and left <= 0:
            return
        if before is None or before.epoch != span.epoch or span.end > before.end:
            before = span


def _between(before: Span, after: Span, asked: Selection) -> Iterator[Hole]:
    first = max(before.end, asked.start or 0)
    end = after.first if asked.stop is None else min(after.first, asked.stop)
    is_late = asked.until_us is not None and before.end_us >= asked.until_us
    is_early = asked.since_us is not None and after.start_us < asked.since_us
    if first < end and not is_late and not is_early:
        yield Hole(first, end - first, "in none of the files given")
