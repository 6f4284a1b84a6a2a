"""What `sensord topics`, `devices` and `clients` have in common: rows, once or followed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

import uvloop

from sensord.cli.options import configure_url
from sensord.client import Again, Client, Complete, Listing, Row
from sensord.errors import ProtocolError, SensordError
from sensord.wallclock import iso

__all__ = ["clock_of", "configure", "show"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    configure_url(parser)
    add("--follow", action="store_true", help="go on with every change")
    add("--json", action="store_true", help="one JSON object a line")


def show(
    options: argparse.Namespace,
    name: str,
    ask: Callable[[Client], Listing],
    line: Callable[[dict[str, Any]], str],
) -> int:
    """Ask, and show each row as a line; return the exit status."""
    uvloop.run(_show(options, name, ask, line))
    return 0


async def _show(
    options: argparse.Namespace,
    name: str,
    ask: Callable[[Client], Listing],
    line: Callable[[dict[str, Any]], str],
) -> None:
    async with Client(options.url, name=f"sensord {name}") as client:
        try:
            async for item in ask(client):
                match item:
                    case Row(fields):
                        text = json.dumps(fields, ensure_ascii=False)
                        print(text if options.json else line(fields), flush=options.follow)
                    case Complete():
                        print("-- these are all; changes follow", file=sys.stderr)
                    case Again():
                        print("-- connected again: all of them anew", file=sys.stderr)
        except ProtocolError as exc:
            raise SensordError(exc.message) from exc


def clock_of(time_us: object) -> str:
    """Write a time for people, to the second."""
    found = iso(time_us) if isinstance(time_us, int) else None
    return (found or "-")[:19].replace("T", " ")
