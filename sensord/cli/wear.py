"""`sensord wear`: estimate how long the card or disk will last at its present rate of writing."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import NamedTuple

import uvloop

from sensord.cli.connection import name_of
from sensord.cli.info import duration_text
from sensord.cli.options import DEFAULT_URL, duration
from sensord.client import Client
from sensord.errors import SensordError
from sensord.log.journal import Reader, forecast_bytes_per_day, forecast_days_kept, years_left
from sensord.log.journal.wear import wear_of
from sensord.model.readings import Value

__all__ = ["bytes_text", "configure", "cycles", "run", "size"]

CYCLES = 1000
"""What makers of ordinary cards hint at; few publish it."""

AMPLIFICATIONS = (1, 3, 10)
"""How much more a card may write than it receives: it erases far more than a page at once."""

_DECIMAL = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_THOUSAND = 1000
_LONG_YEARS = 100

DAY_S = 86_400.0
SHORTEST_S = 30.0
"""A shorter time allows no estimate, not even a rough one."""

ENOUGH = 100_000
"""Readings that show how many bytes one takes: more than the commit ring and one segment hold."""


class Rate(NamedTuple):
    """What is written in a day, and to what."""

    source: str
    lines: list[str]
    """How the rate was found."""
    per_day: float
    size_bytes: int | None


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        "where",
        nargs="?",
        default=DEFAULT_URL,
        metavar="WHERE",
        help=f"a running daemon, or a journal's folder (default: {DEFAULT_URL})",
    )
    add("--card", type=size, metavar="SIZE", help="such as 32GB (default: the journal's disk)")
    add(
        "--endurance",
        type=cycles,
        default=CYCLES,
        metavar="N",
        help="how often each cell can be written, by its maker (default: %(default)s)",
    )
    add(
        "--commit-interval",
        type=_interval,
        default=1.0,
        metavar="TIME",
        help="the setting of the daemon that wrote the folder (default: 1s)",
    )


def size(text: str) -> int:
    """Read the size of a card, which makers count in powers of ten.

    Raises:
        argparse.ArgumentTypeError: It is not a size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kMGT]?)B?", text)
    if found is None or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text}: expected a size such as 32GB")
    return int(float(found[1]) * _DECIMAL[found[2]])


def cycles(text: str) -> int:
    """Read a number of cycles.

    Raises:
        argparse.ArgumentTypeError: It is not a number, or zero.
    """
    if not re.fullmatch(r"[0-9]+", text) or not int(text):
        raise argparse.ArgumentTypeError(f"{text}: expected a number such as 3000")
    return int(text)


def _interval(text: str) -> float:
    interval_s = duration(text)
    if not interval_s:
        raise argparse.ArgumentTypeError(f"{text}: expected a duration such as 2s or 500ms")
    return interval_s


def run(options: argparse.Namespace) -> int:
    """Print the rate of writing, and how long the card lasts."""
    if re.match(r"wss?://", options.where):
        rate = uvloop.run(_of_daemon(options.where))
    else:
        rate = _of_folder(Path(options.where), options.commit_interval)
    print(rate.source)
    for line in rate.lines:
        print(f"  {line}")
    card = options.card or rate.size_bytes
    if card is None:
        raise SensordError("the size of the card is unknown; give --card, such as 32GB")
    print(f"a card of {bytes_text(card)} with {options.endurance:,} writes of each cell lasts")
    for factor in AMPLIFICATIONS:
        years = years_left(card, options.endurance, rate.per_day * factor)
        life = f"more than {_LONG_YEARS} years" if years > _LONG_YEARS else f"{years:.3g} years"
        print(f"  {life:<20} if it writes {factor} times what it receives")
    print("cards do not report this factor, nor how much life they have left")
    return 0


async def _of_daemon(url: str) -> Rate:
    token = os.environ.get("SENSORD_TOKEN") or None
    async with Client(url, name=name_of("wear"), is_ephemeral=True, token=token) as client:
        last = await client.get("$sys/journal")
    status: Value = last[0].reading.value if last else None
    if not isinstance(status, dict) or status.get("state") == "off":
        raise SensordError(f"{url} does not record")
    measured_s = _number(status, "measured_s") or 0.0
    recorded = _number(status, "recorded") or 0.0
    size_bytes = _number(status, "disk_bytes")
    disk = None if size_bytes is None else int(size_bytes)
    own, whole = _number(status, "written_per_day"), _number(status, "disk_written_per_day")
    if own is not None:
        lines = [f"the journal      {bytes_text(own)} a day, without what the file system adds"]
        if whole is not None:
            lines.append(f"the whole disk   {bytes_text(whole)} a day, by all programs together")
        lines += _kept(status, recorded / measured_s)
        source = f"measured by {url} for {duration_text(measured_s)}"
        return Rate(source, lines, own if whole is None else whole, disk)
    if measured_s < SHORTEST_S or not recorded:
        raise SensordError(
            f"{url} has recorded {recorded:,.0f} readings in {duration_text(measured_s)}: too few"
            f" for an estimate. Try again in a minute; after ten, the writing itself is measured"
        )
    rate = recorded / measured_s
    per_day = forecast_bytes_per_day(rate)
    lines = [
        f"readings         {recorded:,.0f} since then: {rate:.4g} a second",
        f"the journal      {bytes_text(per_day)} a day, if they keep that rate",
        *_kept(status, rate),
    ]
    source = (
        f"estimated from the first {duration_text(measured_s)} of {url}, other programs' writing"
        " left out; after ten minutes it is measured"
    )
    return Rate(source, lines, per_day, disk)


def _kept(status: dict[str, Value], rate: float) -> list[str]:
    """Describe how long readings are kept at a rate, if the daemon reports its limits."""
    max_bytes, max_age_s = _number(status, "max_bytes"), _number(status, "max_age_s")
    if max_bytes is None or max_age_s is None or rate <= 0:
        return []
    held, used = forecast_days_kept(rate, int(max_bytes)), _number(status, "used_bytes")
    end, first = _number(status, "committed_offset"), _number(status, "oldest_offset")
    if used and end is not None and first is not None and end - first >= ENOUGH:
        held = max_bytes / (rate * used / (end - first)) / DAY_S
    ends = "max_bytes" if held * DAY_S < max_age_s else "max_age"
    days = min(held, max_age_s / DAY_S)
    return [f"readings kept    {days:.3g} days at this rate, limited by {ends}"]


def _number(status: dict[str, Value], key: str) -> float | None:
    found = status.get(key)
    return float(found) if isinstance(found, (int, float)) else None


def bytes_text(count: float) -> str:
    """Write a number of bytes as makers of cards count them."""
    for unit in ("bytes", "kB", "MB"):
        if count < _THOUSAND:
            return f"{count:.3g} {unit}"
        count /= _THOUSAND
    return f"{count:.4g} GB"


def _of_folder(folder: Path, commit_interval_s: float) -> Rate:
    """Estimate from how fast the readings in a journal came."""
    view = Reader(folder).view()
    count = sum(part.count for part in view.sealed)
    took_s = sum(part.end_us - part.start_us for part in view.sealed) / 1e6
    for part in view.unsealed:
        count += sum(chunk.count for chunk in part.chunks)
        took_s += sum(chunk.entry.end_ns - chunk.entry.start_ns for chunk in part.chunks) / 1e9
    if view.pending:
        count += sum(block.count for block in view.pending)
        took_s += (view.pending[-1].log_us[-1] - view.pending[0].log_us[0]) / 1e6
    if count < 2 or took_s <= 0:  # noqa: PLR2004  # two make a rate
        raise SensordError(f"{folder}: too few readings for an estimate")
    rate = count / took_s
    per_day = forecast_bytes_per_day(rate, commit_interval_s)
    interval = f"{commit_interval_s:g} s"
    lines = [
        f"readings         {count:,} in {duration_text(took_s)} of recording: {rate:.4g} a second",
        f"the journal      {bytes_text(per_day)} a day, if committed every {interval}",
    ]
    wear = wear_of(folder.stat().st_dev)
    source = f"estimated from {folder}; other programs' writing is not in it"
    return Rate(source, lines, per_day, None if wear is None else wear.size_bytes)
