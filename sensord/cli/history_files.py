"""The past as files have it, without a daemon: readings, or a summary per interval."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sensord.cli.export import selection_of
from sensord.cli.hints import absent, note
from sensord.cli.info import describe_hole
from sensord.cli.text_options import device_for, form_of
from sensord.client import Summary, Update
from sensord.errors import UsageError
from sensord.log.journal import Hole
from sensord.mcap.channels import Described
from sensord.model.readings import Channel, Record
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
from sensord.server.past.summarizer import Interval, Summarizer

__all__ = ["paths_in", "show_files"]

Show = Callable[[Update | Summary], str | None]


def paths_in(topics: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Part filters from paths: what is on the disk and looks like a path, is one."""
    paths = [one for one in topics if _is_path(one)]
    return [one for one in topics if one not in paths], [Path(one) for one in paths]


def _is_path(text: str) -> bool:
    if "#" in text or "+" in text:
        return False
    path = Path(text)
    return (text.startswith(("/", "./", "../")) or bool(path.suffix)) and path.exists()


def show_files(options: argparse.Namespace, topics: Sequence[str], show: Show) -> int:
    """Print what files hold; return the exit status: 1 if something could not be read.

    Raises:
        SensordError: A file cannot be read, or an option means nothing.
    """
    if options.follow:
        raise UsageError("a file has an end: leave out --follow")
    form, device = form_of(options), device_for(options)
    recordings = in_order([open_any(path, device, form) for path in options.file])
    for recording, _ in recordings:
        for text in recording.notes():
            print(f"{recording.path}: {text}", file=sys.stderr)
    newest_us = max(span.end_us for _, span in recordings)
    is_summary = options.interval is not None
    limit = None if is_summary else options.limit
    selection = selection_of(topics, options.start, options.stop, newest_us, limit)
    shown = _show_summaries if is_summary else _show_readings
    if not shown(options, _records(recordings, selection), show):
        known = {one.topic for recording, _ in recordings for one in recording.contents().topics}
        for text in absent(topics, known) or ["no readings in that time"]:
            note(text)
    return 1 if any(lacking_of(one) or damaged_of(one) for one, _ in recordings) else 0


def _records(
    recordings: Sequence[tuple[Recording, Span]], selection: Selection
) -> Iterator[list[Record]]:
    """Yield readings with one number for each topic, whatever each file has; note the holes."""
    channels: dict[Described, Channel] = {}
    for item in scan_all(recordings, selection):
        if isinstance(item, Hole):
            sys.stdout.flush()
            note(f"hole: {describe_hole(item)}")
            continue
        known: dict[Channel, Channel] = {}
        records = item.records()
        for channel in {record.channel for record in records}:
            key = Described(channel.topic, channel.metadata)
            fresh = Channel(len(channels), channel.topic, channel.metadata)
            known[channel] = channels.setdefault(key, fresh)
        if records:
            yield [record._replace(channel=known[record.channel]) for record in records]


def _show_readings(options: argparse.Namespace, batches: Iterator[list[Record]], show: Show) -> int:
    count, stop = 0, 0
    for records in batches:
        for _, log_us, channel, reading in records:
            _print(show(Update(channel, reading, log_us, is_last_value=False)))
        count, stop = count + len(records), records[-1].offset + 1
    if count == options.limit:
        note(f"there may be more; continue with --from {stop}")
    return count


def _show_summaries(
    options: argparse.Namespace, batches: Iterator[list[Record]], show: Show
) -> int:
    count, stop = 0, 0
    for interval in _intervals(Summarizer(round(options.interval * 1e6)), batches):
        count, stop = count + 1, interval.stop
        for row in interval.rows:
            least, greatest, mean = row.statistics or (None, None, None)
            values = (row.count, row.first, row.last, least, greatest, mean)
            _print(show(Summary(row.channel, interval.start_us, *values)))
        if count == options.limit:
            note(f"there may be more; continue with --from {stop}")
            break
    return count


def _intervals(summarizer: Summarizer, batches: Iterator[list[Record]]) -> Iterator[Interval]:
    stop = 0
    for records in batches:
        yield from summarizer.take(records)
        stop = records[-1].offset + 1
    yield from summarizer.complete(stop)


def _print(line: str | None) -> None:
    if line is not None:
        print(line)
