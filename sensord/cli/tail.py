"""`sensord tail`: follow readings as lines for people, or as JSON lines for programs."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from typing import Literal

from sensord.cli.connection import being, client_for
from sensord.cli.hints import note, note_absent
from sensord.cli.lines import as_json, as_line, gap_line
from sensord.cli.look import note_zone
from sensord.cli.options import check_filters, configure_client, count, duration, start_of
from sensord.client import Gap, PhaseChange, Update
from sensord.client.subscription import Stream
from sensord.errors import UsageError
from sensord.model.topics import matches

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("topics", nargs="*", default=["#"], help="filters, + and # as in MQTT (default: #)")
    configure_client(parser)
    add("--json", action="store_true", help="one JSON object a line")
    add("--limit", "--count", dest="count", type=count, metavar="N", help="stop after N readings")
    add(
        "--from",
        dest="start",
        default="snapshot",
        metavar="WHERE",
        help="snapshot (default), now, -10m, EPOCH:OFFSET, or a time (ISO 8601)",
    )
    add(
        "--speed",
        type=float,
        metavar="X",
        help="replay from --from (-10m, a position, a time), X times as fast as it happened,"
        " up to the present end of the log",
    )
    add("--for", dest="lasting", type=duration, metavar="TIME", help="stop after this, such as 10m")
    add("--latest", action="store_true", help="skip older values if this client is too slow")
    add("--period", type=duration, default=0.0, help="at most one value per period, such as 2s")


def run(options: argparse.Namespace) -> int:
    """Follow until interrupted, or until enough was shown."""
    check_filters(options.topics)
    if options.speed is not None:
        if options.start in {"snapshot", "now"}:
            raise UsageError("--speed replays the past: give a start, such as --from -10m")
        if options.latest or options.period:
            raise UsageError("--speed shows every reading: leave out --latest and --period")
    return being(lambda: _follow_for(options))


async def _follow_for(options: argparse.Namespace) -> None:
    """Follow for the time that was given, or until the end."""
    # Only this time-out ends it quietly.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(options.lasting):
            await _follow(options)


async def _follow(options: argparse.Namespace) -> None:
    show = as_json if options.json else as_line
    left = options.count
    start = start_of(options.start)
    async with client_for(options, "tail") as client:
        if not options.json:
            note_zone()
        mode: Literal["every", "latest"] = "latest" if options.latest else "every"
        topics = options.topics
        unseen = list(topics)
        if options.speed is not None:
            following: Stream = client.replay(*topics, start=start, speed=options.speed)
        else:
            following = client.subscribe(*topics, start=start, mode=mode, period_s=options.period)
        async for item in following:
            line = show(item)
            if line is not None:
                print(line, flush=True)
            if isinstance(item, Gap) and not options.json:
                print(gap_line(item), file=sys.stderr)
            if unseen and item == PhaseChange("live"):
                await note_absent(client, unseen)
                if len(unseen) == len(topics) and options.start != "now":
                    note("nothing under these topics yet; waiting")
                unseen = []
            if unseen and isinstance(item, Update):
                unseen = [one for one in unseen if not matches(one, item.topic)]
            if left is not None and isinstance(item, Update):
                left -= 1
                if not left:
                    return
