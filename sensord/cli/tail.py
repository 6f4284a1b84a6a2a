"""`sensord tail`: follow readings as lines for people, or as JSON lines for programs."""

from __future__ import annotations

import argparse
import json
import sys

import uvloop

from sensord.cli.options import configure_url, count, duration, start_of
from sensord.client import Client, Gap, Item, PhaseChange, Subscription, Update
from sensord.errors import SensordError
from sensord.model import Value
from sensord.topics import filter_fault
from sensord.wallclock import iso

__all__ = ["as_json", "as_line", "configure", "gap_line", "plain_value", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("topics", nargs="*", default=["#"], help="filters, + and # as in MQTT (default: #)")
    configure_url(parser)
    add("--json", action="store_true", help="one JSON object a line")
    add("--count", type=count, metavar="N", help="stop after N readings")
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
        help="replay from --from (-10m, a position, a time) on, X times as fast as it happened;"
        " ends where the log ends now",
    )
    add("--latest", action="store_true", help="skip older values when this end is too slow")
    add("--period", type=duration, default=0.0, help="at most one value in each, such as 2s")


def run(options: argparse.Namespace) -> int:
    """Follow until interrupted, or until enough was shown."""
    for topic in options.topics:
        if fault := filter_fault(topic):
            raise SensordError(f"{topic}: {fault}")
    if options.speed is not None:
        if options.start in {"snapshot", "now"}:
            raise SensordError("--speed replays the past: say from when, such as --from -10m")
        if options.latest or options.period:
            raise SensordError("--speed shows every reading: leave --latest and --period out")
    uvloop.run(_follow(options))
    return 0


async def _follow(options: argparse.Namespace) -> None:
    show = as_json if options.json else as_line
    left = options.count
    start = start_of(options.start)
    async with Client(options.url, name="sensord tail") as client:
        mode = "latest" if options.latest else "every"
        topics = options.topics
        shown = False
        if options.speed is not None:
            following: Subscription = client.replay(*topics, start=start, speed=options.speed)
        else:
            following = client.subscribe(*topics, start=start, mode=mode, period_s=options.period)
        async for item in following:
            line = show(item)
            if line is not None:
                print(line, flush=True)
            if isinstance(item, Gap) and not options.json:
                print(gap_line(item), file=sys.stderr)
            if item == PhaseChange("live") and not shown and options.start != "now":
                print("-- nothing under these topics yet; waiting", file=sys.stderr)
            shown = shown or isinstance(item, Update)
            if left is not None and isinstance(item, Update):
                left -= 1
                if not left:
                    return


def as_line(item: Item) -> str | None:
    """Write a reading as a line of a table; other items make none."""
    if not isinstance(item, Update):
        return None
    reading, metadata = item.reading, item.channel.metadata
    when = (iso(reading.time_us) or "?")[11:23]
    value = plain_value(reading.value, metadata.decimals)
    notes = []
    if reading.quality.level:
        notes.append(f"{reading.quality.level.name.lower()}: {reading.quality.reason}")
    if reading.restates and not reading.quality.level:
        notes.append("confirmed")
    note = f"  ({', '.join(notes)})" if notes else ""
    return f"{when}  {item.topic:<40} {value:>12} {metadata.unit}{note}".rstrip()


def plain_value(value: Value, decimals: int | None) -> str:
    """Write a value as people do, with the decimals of its channel."""
    if isinstance(value, float):
        return f"{value:.{decimals}f}" if decimals is not None else f"{value:.10g}"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def as_json(item: Item) -> str | None:
    """Write a reading or a gap as a JSON object."""
    if isinstance(item, PhaseChange):
        return None
    if isinstance(item, Gap):
        told: dict[str, object] = {"gap": item.reason, "count": item.count, "lost": item.lost}
        return json.dumps(told, ensure_ascii=False)
    channel, reading = item.channel, item.reading
    told = {
        "topic": channel.topic,
        "time_us": reading.time_us,
        "time": iso(reading.time_us),
        "value": reading.value,
        "unit": channel.metadata.unit,
        "quality": reading.quality.level.name.lower(),
    }
    if reading.quality.reason:
        told["reason"] = reading.quality.reason
    if reading.restates:
        told["restated_us"] = item.told_us
    if item.is_last_value:
        told["snapshot"] = True
    return json.dumps(told, ensure_ascii=False)


_REASONS = {
    "expired": "older than what is still held",
    "missing": "not in the journal",
    "conflated": "newer values took their place",
    "epoch_changed": "the position belongs to another log; beginning with the last values",
    "ahead": "the position is beyond the end; beginning with the last values",
}


def gap_line(gap: Gap) -> str:
    """Write a gap for people."""
    why = _REASONS.get(gap.reason, gap.reason)
    if gap.detail:
        why += f" ({gap.detail})"
    if gap.start is None and gap.stop is None:
        return f"-- {why}"
    count = "readings" if gap.count is None else f"{gap.count} readings"
    return f"-- {count} missing: {why}"
