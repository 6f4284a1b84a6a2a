"""`sensord history --plot`: a chart of each topic's past in the blocks of a terminal."""

from __future__ import annotations

import argparse
import math
import time

from sensord.cli.connection import client_for
from sensord.cli.hints import note, note_absent
from sensord.cli.lines import gap_line
from sensord.cli.look import columns, fitted, local, zone
from sensord.client import Gap, Summary
from sensord.errors import UsageError
from sensord.model.durations import ago_us
from sensord.model.readings import Position
from sensord.terminal.plots import cells_of, chart
from sensord.terminal.values import plain_value, unit_text

__all__ = ["drawn", "interval_of", "plot"]

HEIGHT = 8

USUAL_WIDTH = 80

MARGIN = 12
"""Columns for the labels at the left."""

Place = str | Position | int

INTERVALS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def interval_of(span_s: float, width: int) -> float:
    """Return a usual interval, so that a span has at most as many of them as columns."""
    least = span_s / max(1, width)
    return next((one for one in INTERVALS_S if one >= least), math.ceil(least / 86400) * 86400)


async def plot(options: argparse.Namespace, start: Place, stop: Place | None) -> None:
    """Draw a chart for each topic of numbers."""
    width = max(10, (columns() or USUAL_WIDTH) - MARGIN)
    now_us = time.time_ns() // 1000
    start_us, stop_us = _time_of(start, now_us), _time_of(stop or now_us, now_us)
    if stop_us <= start_us:
        raise UsageError("--to is not after --from")
    interval_s = options.interval or interval_of((stop_us - start_us) / 1e6, width)
    found: dict[str, list[Summary]] = {}
    async with client_for(options, "history") as client:
        async for item in client.summaries(
            *options.topics, interval_s=interval_s, start=start, stop=stop
        ):
            if isinstance(item, Gap):
                note(gap_line(item).removeprefix("-- "))
            elif isinstance(item, Summary) and item.mean is not None:
                found.setdefault(item.topic, []).append(item)
        if not found and not await note_absent(client, options.topics):
            note("no numbers in that time")
    for rows in found.values():
        print("\n".join(fitted(line) for line in drawn(rows, interval_s, start_us, stop_us, width)))


def _time_of(place: Place, now_us: int) -> int:
    if isinstance(place, Position):
        raise UsageError("--plot needs times: --from -10m, or a time such as 2026-11-22T17:00Z")
    if isinstance(place, int):
        return place
    return now_us - (ago_us(place) or 0)


def drawn(
    rows: list[Summary], interval_s: float, start_us: int, stop_us: int, width: int
) -> list[str]:
    """Draw one topic: a title with its summary, a chart of means, and the times below."""
    metadata = rows[0].channel.metadata
    sums: list[list[float]] = [[] for _ in range(width)]
    for row in rows:
        if row.mean is None:
            continue
        for column in cells_of(row.time_us, interval_s, start_us, stop_us, width):
            sums[column].append(row.mean)
    means = [sum(found) / len(found) if found else None for found in sums]
    known = [one for one in means if one is not None]
    least = min(row.minimum for row in rows if row.minimum is not None)
    greatest = max(row.maximum for row in rows if row.maximum is not None)
    unit = unit_text(metadata.unit)

    def text(number: float) -> str:
        return plain_value(float(number), 2 if metadata.decimals is None else metadata.decimals)

    count = sum(row.count for row in rows)
    lines = [
        f"{rows[0].topic}  {text(least)} to {text(greatest)} {unit}".rstrip()
        + f", {count} readings"
    ]
    for place, line in enumerate(chart(means, HEIGHT)):
        label = text(max(known)) if place == 0 else text(min(known)) if place == HEIGHT - 1 else ""
        lines.append(f"{label:>{MARGIN - 2}}  {line}".rstrip())
    begin, end = local(start_us)[:16], f"{local(stop_us)[:16]} {zone()}"
    lines += [f"{'':{MARGIN}}{begin}{end:>{max(1, width - len(begin))}}", ""]
    return lines
