"""`sensord sniff`: show what a device's connection carries, raw and decoded, while it runs."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from sensord.cli.connection import being, client_for
from sensord.cli.lines import plain_value
from sensord.cli.look import local
from sensord.cli.options import configure_client, duration
from sensord.client import Sight, Sniffing, What

__all__ = ["configure", "run"]

LEAST_PRINTABLE = 0.8
"""Bytes are shown as text if at least so many of them are."""

_PRINTABLE = frozenset(range(0x20, 0x7F)) | {*b"\r\n\t"}

_MARKS = {What.RECEIVED: "<", What.SENT: ">", What.MESSAGE: "<"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("device", help="a device, or one behind a connection, of which all is shown")
    add("--hex", action="store_true", help="show bytes as hexadecimal digits, also those of texts")
    add("--json", action="store_true", help="one JSON object a line")
    add("--for", dest="lasting", type=duration, metavar="TIME", help="end after this time, as 10s")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Show until interrupted, or until the time is over."""
    return being(lambda: _show(options))


async def _show(options: argparse.Namespace) -> None:
    async with client_for(options, "sniff") as client, client.sniff(options.device) as sniffing:
        try:
            async with asyncio.timeout(options.lasting):
                await _follow(sniffing, options)
        except TimeoutError:
            return


async def _follow(sniffing: Sniffing, options: argparse.Namespace) -> None:
    async for sight in sniffing:
        text = as_json(sight) if options.json else as_line(sight, is_hex=options.hex)
        print(text, flush=True)


def as_line(sight: Sight, *, is_hex: bool) -> str:
    """Write a sight for people: raw bytes at the left, what became of them behind a margin."""
    when = local(sight.time_us, has_day=False, has_fraction=True)
    match sight.what:
        case What.RECEIVED | What.SENT | What.MESSAGE:
            source = f"{sight.source}  " if sight.source else ""
            kept = "  (retained)" if sight.is_retained else ""
            return f"{when}  {_MARKS[sight.what]} {source}{_bytes(sight, is_hex=is_hex)}{kept}"
        case What.VALUE:
            level = sight.quality.level
            note = f"  ({level.name.lower()}: {sight.quality.reason})" if level else ""
            value = plain_value(sight.value, None)
            return f"{when}      {sight.topic:<36} {value:>12} {sight.unit}".rstrip() + note
        case What.FAULT:
            return f"{when}  ! {sight.reason}: {sight.detail}"
        case What.DROPPED:
            return f"{when}  -- {sight.count} not shown: they came faster than this reads"
        case _:
            return f"{when}  -- {sight.what.value}: {sight.detail}"


def _bytes(sight: Sight, *, is_hex: bool) -> str:
    data = sight.data
    more = f"  ({sight.length} bytes)" if sight.length > len(data) else ""
    printable = sum(byte in _PRINTABLE for byte in data)
    if is_hex or printable < LEAST_PRINTABLE * len(data):
        return data.hex(" ") + more
    text = data.decode("latin-1").encode("unicode_escape").decode()
    return f'"{text}"{more}'


def as_json(sight: Sight) -> str:
    """Write a sight for programs."""
    row: dict[str, Any] = {"time_us": sight.time_us, "what": sight.what.value}
    match sight.what:
        case What.RECEIVED | What.SENT | What.MESSAGE:
            row |= {"hex": sight.data.hex(), "bytes": sight.length, "source": sight.source}
            row["retained"] = sight.is_retained
        case What.VALUE:
            row |= {"topic": sight.topic, "value": sight.value, "unit": sight.unit}
            row |= {"quality": sight.quality.level.name.lower(), "reason": sight.quality.reason}
        case What.FAULT:
            row |= {"reason": sight.reason, "detail": sight.detail}
        case What.DROPPED:
            row["count"] = sight.count
        case _:
            row["detail"] = sight.detail
    return json.dumps(row, ensure_ascii=False)
