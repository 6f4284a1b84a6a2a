"""`sensord history`: show past readings or summaries, for people, programs or spreadsheets."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from sensord.cli.connection import being, client_for
from sensord.cli.hints import note, note_absent
from sensord.cli.history_files import paths_in, show_files
from sensord.cli.history_plot import plot
from sensord.cli.lines import as_json, as_line, gap_line, plain_value
from sensord.cli.look import columns, fitted, local, note_zone, zone
from sensord.cli.options import (
    StartError,
    check_filters,
    configure_client,
    count,
    duration,
    start_of,
)
from sensord.cli.statuses import NOT_FOUND
from sensord.cli.text_options import configure_text
from sensord.client import (
    Complete,
    Gap,
    History,
    Item,
    PhaseChange,
    Summaries,
    Summary,
    Update,
)
from sensord.errors import UsageError
from sensord.model.readings import Position
from sensord.model.times import iso
from sensord.recordings.text_rows import csv_field
from sensord.terminal.cells import fit

__all__ = ["configure", "run"]

READING_COLUMNS = ("time", "topic", "value", "unit", "quality", "reason", "restated")
SUMMARY_COLUMNS = ("time", "topic", "count", "first", "last", "min", "max", "mean", "unit")

Answered = Item | Summary | Complete


class PlaceError(UsageError):
    """The text given to --from or --to is invalid."""

    def __str__(self) -> str:
        option, text = self.args
        return f"{option} {text}: expected -10m, EPOCH:OFFSET or a time such as 2026-11-22T17:00Z"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("topics", nargs="*", help="filters, + and # as in MQTT (default: #), and paths of files")
    add(
        "--file",
        action="append",
        type=Path,
        default=[],
        metavar="PATH",
        help="the past of a file or a journal's folder, without a daemon; may be repeated",
    )
    configure_client(parser)
    add(
        "--from",
        dest="start",
        metavar="WHERE",
        help="-10m, EPOCH:OFFSET, or a time (ISO 8601); default: -1h, of files all",
    )
    add("--to", dest="stop", metavar="WHERE", help="the same forms (default: now)")
    add(
        "--interval", type=duration, metavar="LENGTH", help="one summary for each, such as 1m or 1h"
    )
    add("--limit", type=count, metavar="N", help="stop after N readings, or intervals")
    add("--follow", action="store_true", help="keep following what comes later")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a line")
    form.add_argument("--csv", action="store_true", help="a table for spreadsheets")
    form.add_argument("--plot", action="store_true", help="a chart of each topic, in blocks")
    configure_text(parser)


def run(options: argparse.Namespace) -> int:
    """Show the answer; return the exit status."""
    topics, paths = paths_in(options.topics)
    options.topics, options.file = topics or ["#"], options.file + paths
    check_filters(options.topics)
    if options.plot and (options.file or options.follow or options.limit):
        raise UsageError("--plot draws what a daemon has: leave out files, --follow and --limit")
    if options.file:
        return show_files(options, options.topics, _shower(options))
    if options.follow and not (options.stop is None and options.limit is None):
        raise UsageError("--follow has no end: leave it out, or leave out --to and --limit")
    start = _place("--from", options.start or "-1h")
    stop = None if options.stop in {None, "now"} else _place("--to", options.stop)
    if options.plot:
        return being(lambda: plot(options, start, stop))
    is_absent = False

    async def ask() -> None:
        nonlocal is_absent
        is_absent = await _ask(options, start, stop)

    return being(ask) or (NOT_FOUND if is_absent else 0)


def _place(option: str, text: str) -> str | Position | int:
    if text in {"snapshot", "now"}:
        raise PlaceError(option, text)
    try:
        return start_of(text)
    except StartError:
        raise PlaceError(option, text) from None


async def _ask(
    options: argparse.Namespace, start: str | Position | int, stop: str | Position | int | None
) -> bool:
    """Show the answer; return whether all topics that were named are missing."""
    show = _shower(options)
    limit, follow = options.limit, options.follow
    async with client_for(options, "history") as client:
        asked: History | Summaries
        if options.interval is None:
            asked = client.history(
                *options.topics, start=start, stop=stop, limit=limit, follow=follow
            )
        else:
            asked = client.summaries(
                *options.topics,
                interval_s=options.interval,
                start=start,
                stop=stop,
                limit=limit,
                follow=follow,
            )
        count = 0
        async for item in asked:
            count += isinstance(item, Update | Summary)
            if (line := show(item)) is not None:
                print(line, flush=follow)
            if isinstance(item, Gap) and not options.json:
                sys.stdout.flush()
                print(gap_line(item), file=sys.stderr)
        is_absent = not count and await note_absent(client, options.topics)
        if not count and not is_absent:
            note("no readings in that time")
    if asked.is_complete is False and asked.position is not None:
        epoch, offset = asked.position
        print(f"-- there may be more; continue with --from {epoch}:{offset}", file=sys.stderr)
    return is_absent and not any("+" in topic or "#" in topic for topic in options.topics)


def _shower(options: argparse.Namespace) -> Callable[[Answered], str | None]:
    """Return the function that formats an item; it returns None for items without a line."""
    if options.json:
        return _json
    if not options.csv:
        if options.interval is not None:
            print(_head())
        else:
            note_zone()
        return _line
    columns = READING_COLUMNS if options.interval is None else SUMMARY_COLUMNS
    print(",".join(columns))
    return _csv


def _line(item: Answered) -> str | None:
    if isinstance(item, Summary):
        metadata = item.channel.metadata
        numbers = [item.mean, item.minimum, item.maximum]
        if item.minimum is None:
            shown = f"{plain_value(item.first, None)} … {plain_value(item.last, None)}"
        else:
            shown = " ".join(
                f"{'-' if number is None else plain_value(number, metadata.decimals):>12}"
                for number in numbers
            )
        when = local(item.time_us)
        line = f"{when}  {_topic(item.topic)} {item.count:>7} {shown} {metadata.unit}"
        return fitted(line.rstrip())
    if isinstance(item, Complete | Gap | PhaseChange):
        return None
    return f"{local(item.reading.time_us)[:10]} {as_line(item)}"


SUMMARY_CELLS = 77
"""Of a line of a summary: what is beside the topic."""


def _topic(topic: str) -> str:
    """Fill or cut a topic to its column, which is narrower on a narrow terminal."""
    width = columns()
    if width is None:
        return f"{topic:<40}"
    return fit(topic, max(12, min(40, width - SUMMARY_CELLS)), keeps_end=True)


def _head() -> str:
    """Return the head of summaries; it names the zone."""
    numbers = " ".join(f"{name:>12}" for name in ("MEAN", "LEAST", "GREATEST"))
    return fitted(f"{'FROM (' + zone() + ')':<19}  {_topic('TOPIC')} {'COUNT':>7} {numbers} UNIT")


def _json(item: Answered) -> str | None:
    if isinstance(item, Complete):
        return None
    if not isinstance(item, Summary):
        return as_json(item)
    row = {
        "topic": item.topic,
        "time_us": item.time_us,
        "time": iso(item.time_us),
        "count": item.count,
        "first": item.first,
        "last": item.last,
        "unit": item.channel.metadata.unit,
    }
    if item.minimum is not None:
        row |= {"min": item.minimum, "max": item.maximum, "mean": item.mean}
    return json.dumps(row, ensure_ascii=False)


def _csv(item: Answered) -> str | None:
    if isinstance(item, Summary):
        bounds = (item.minimum, item.maximum, item.mean)
        values = (item.first, item.last, *bounds)
        fields = [csv_field(value) for value in values]
        unit = item.channel.metadata.unit
        return _joined([iso(item.time_us) or "", item.topic, item.count, *fields, unit])
    if not isinstance(item, Update):
        return None
    reading = item.reading
    return _joined(
        [
            iso(reading.time_us) or "",
            item.topic,
            csv_field(reading.value),
            item.channel.metadata.unit,
            reading.quality.level.name.lower(),
            reading.quality.reason,
            "true" if reading.restates else "false",
        ]
    )


class _Line:
    """Holds the one line that a CSV writer produces."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


def _joined(fields: Iterable[object]) -> str:
    line = _Line()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.text
