"""`sensord export`: write readings of journals and MCAP files as CSV, JSON lines, MCAP, Parquet."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from sensord.cli.info import describe_hole, duration_text
from sensord.cli.look import local
from sensord.cli.options import check_filters
from sensord.cli.progress import Progress
from sensord.cli.text_options import KINDS, configure_text, device_for, form_of
from sensord.errors import SensordError, UsageError
from sensord.log.journal import Hole
from sensord.model.durations import ago_us
from sensord.model.times import LOCAL, time_us_of
from sensord.recordings import (
    Recording,
    Selection,
    Span,
    damaged_of,
    in_order,
    lacking_of,
    scan_all,
)
from sensord.recordings.capture import open_any
from sensord.recordings.outputs import Format, open_output

__all__ = ["bound_of", "configure", "run", "selection_of", "transfer"]

QUIET_S = 1.0
"""Shorter work shows no progress."""


class BoundError(UsageError):
    """The text given to --from or --to is invalid."""

    def __str__(self) -> str:
        return (
            f"{self.args[0]}: expected an offset, -10m (before the newest reading),"
            " or a time such as 2026-11-22T17:00:00Z"
        )


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        "sources",
        nargs="+",
        type=Path,
        metavar="SOURCE",
        help=KINDS,
    )
    add("-o", "--output", type=Path, metavar="FILE", help="default: standard output")
    add(
        "--format",
        choices=[form.value for form in Format],
        help="default: by the output's extension, else csv",
    )
    add(
        "--topic",
        action="append",
        metavar="FILTER",
        help="+ and # as in MQTT; may be repeated (default: #, which excludes $sys)",
    )
    add("--from", dest="start", metavar="WHERE", help="an offset, a time (ISO 8601), or -10m")
    add("--to", dest="stop", metavar="WHERE", help="end before this, in the same forms: --to=-5m")
    add("--limit", type=_count, metavar="N", help="stop after N readings")
    add("--force", action="store_true", help="replace a file that exists")
    add("--strict", action="store_true", help="exit with 1 if there are holes")
    configure_text(parser)


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{text}: expected a number from 0 on")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Export; the file gets its name only when it is complete."""
    form = _format_of(options.format, options.output)
    if options.output is not None:
        _check_output(options.output, options.sources)
        if options.output.exists() and not options.force:
            raise SensordError(
                f"{options.output}: already exists; choose another name, or give --force"
            )
    said, device = form_of(options), device_for(options)
    recordings = in_order([open_any(path, device, said) for path in options.sources])
    for recording, _ in recordings:
        for note in recording.notes():
            print(f"{recording.path}: {note}", file=sys.stderr)
    newest_us = max(span.end_us for _, span in recordings)
    asked = (options.start, options.stop, newest_us, options.limit)
    selection = selection_of(options.topic or ["#"], *asked)
    report = transfer(recordings, selection, form, options.output)
    if options.output is not None:
        print(f"{options.output}: {report.readings} readings", file=sys.stderr)
    is_partial = any(lacking_of(one) or damaged_of(one) for one, _ in recordings)
    return 1 if is_partial or (options.strict and report.holes) else 0


def transfer(
    recordings: Sequence[tuple[Recording, Span]],
    selection: Selection,
    form: Format,
    path: Path | None,
) -> Report:
    """Write the readings of some recordings into one complete file, or none.

    Raises:
        SensordError: They cannot be read or written.
    """
    epochs = {span.epoch for _, span in recordings}
    epoch = epochs.pop() if len(epochs) == 1 else ""
    began = min((span.start_us for _, span in recordings), default=0)
    report = Report(began, max((span.end_us for _, span in recordings), default=0))
    try:
        with (
            _Interrupts(is_file=path is not None) as interrupts,
            open_output(form, path, epoch) as output,
        ):
            for item in scan_all(recordings, selection):
                interrupts.check()
                if isinstance(item, Hole):
                    report.hole(item)
                    output.hole(item)
                elif len(item):
                    output.add(item)
                    report.written(len(item), item.log_ns[-1] // 1000)
            interrupts.check()
            output.complete()
    except BrokenPipeError:
        raise
    except OSError as error:
        where = path or "the output"
        raise SensordError(f"cannot write {where}: {error.strerror or error}") from error
    finally:
        report.end()
    return report


def selection_of(
    topics: Sequence[str],
    start: str | None,
    stop: str | None,
    newest_us: int,
    limit: int | None = None,
) -> Selection:
    """Read the options that select readings.

    Raises:
        SensordError: One of them is invalid.
    """
    # Others' topics may begin with a slash.
    check_filters([topic.removeprefix("/") for topic in topics])
    first, since_us = bound_of(start, newest_us)
    end, until_us = bound_of(stop, newest_us)
    is_since_ago, is_until_ago = (ago_us(text or "") is not None for text in (start, stop))
    bounds = (first, end, since_us, until_us, limit)
    return Selection(topics, *bounds, is_since_ago=is_since_ago, is_until_ago=is_until_ago)


def _format_of(name: str | None, output: Path | None) -> Format:
    ending = "" if output is None else output.suffix.removeprefix(".").lower()
    is_known = ending in {form.value for form in Format}
    form = Format(name or (ending if is_known else Format.CSV))
    if output is None and not form.is_text:
        raise UsageError(f"{form} needs a file: -o FILE.{form}")
    return form


def _check_output(output: Path, sources: list[Path]) -> None:
    """Refuse to overwrite a source."""
    if output.is_dir():
        raise SensordError(f"{output}: this is a folder")
    if output.exists() and not output.is_file():
        # A new file would replace the device, for all programs.
        raise SensordError(f"{output}: not a file; without -o, standard output is used")
    there = output.resolve()
    for source in sources:
        read = source.resolve()
        if there == read:
            raise SensordError(f"{output}: this is one of the sources")
        if source.is_dir() and there.parent == read:
            raise SensordError(f"{output}: inside the journal's folder; write it elsewhere")


def bound_of(text: str | None, newest_us: int) -> tuple[int | None, int | None]:
    """Read the option --from or --to: an offset, or a time in microseconds.

    Raises:
        BoundError: It is invalid.
    """
    if text is None:
        return None, None
    if text.isdecimal():
        return int(text), None
    us = ago_us(text)
    if us is not None:
        return None, newest_us - us
    time_us = time_us_of(text, LOCAL)
    if time_us is None:
        raise BoundError(text)
    return None, time_us


class _Interrupts:
    """Delays Ctrl-C and SIGTERM until the next step, so that no partial file remains.

    Not where output goes to a pipe: a write may wait there forever, and no file is at risk.
    """

    def __init__(self, *, is_file: bool) -> None:
        self._numbers = (signal.SIGINT, signal.SIGTERM) if is_file else ()
        self._came: int | None = None

    def __enter__(self) -> Self:
        self._before = [signal.signal(number, self._note) for number in self._numbers]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in zip(self._numbers, self._before, strict=True):
            signal.signal(number, before)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._came = number

    def check(self) -> None:
        """Raise the signal that arrived, if any.

        Raises:
            KeyboardInterrupt, SystemExit: One has arrived.
        """
        if self._came == signal.SIGINT:
            raise KeyboardInterrupt
        if self._came is not None:
            raise SystemExit(128 + self._came)


class Report:
    """Reports holes and progress on stderr."""

    def __init__(self, start_us: int = 0, end_us: int = 0) -> None:
        self._span_us = (start_us, end_us)
        self._began = time.monotonic()
        self.readings = 0
        self.holes = 0
        self._hole: Hole | None = None
        self._progress = Progress(QUIET_S)

    def hole(self, hole: Hole) -> None:
        """Note a hole; adjacent ones with the same reason are reported as one."""
        self.holes += 1
        last = self._hole
        if last is not None and (last.end, last.reason) == (hole.first, hole.reason):
            self._hole = Hole(last.first, last.count + hole.count, last.reason)
            return
        self._print_hole()
        self._hole = hole

    def written(self, count: int, log_us: int) -> None:
        """Note readings that were written."""
        self._print_hole()
        self.readings += count
        if self._progress.is_due:
            self._progress.show(
                progress_text(self.readings, log_us, self._span_us, time.monotonic() - self._began)
            )

    def end(self) -> None:
        """Report the last hole."""
        self._print_hole()
        self._progress.wipe()

    def _print_hole(self) -> None:
        if self._hole is not None:
            self._progress.print(f"hole: {describe_hole(self._hole)}")
            self._hole = None


MINUTE_S = 60


def progress_text(readings: int, log_us: int, span_us: tuple[int, int], took_s: float) -> str:
    """Describe how far some work is: how much is done, how fast, and how long it will take."""
    rate = readings / took_s if took_s > 0 else 0.0
    text = f"{readings:,} readings, {rate:,.0f}/s, at {local(log_us)}"
    start_us, end_us = span_us
    share = (log_us - start_us) / (end_us - start_us) if end_us > start_us else 0.0
    if not 0 < share <= 1:
        return text
    left_s = took_s * (1 - share) / share
    left = f"{left_s:.0f} s" if left_s < MINUTE_S else duration_text(left_s)
    return f"{text}, {share:.0%}, {left} left"
