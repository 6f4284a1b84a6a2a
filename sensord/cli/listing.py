"""What `sensord topics`, `devices` and `clients` have in common: rows, once or followed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from sensord.cli.connection import being, client_for
from sensord.cli.look import fitted, local, note_zone
from sensord.cli.options import configure_client
from sensord.client import Again, Client, Complete, Listing, Row

__all__ = ["clock_of", "configure", "show"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    configure_client(parser)
    add("--follow", action="store_true", help="keep showing changes")
    add("--json", action="store_true", help="one JSON object a line")


def show(
    options: argparse.Namespace,
    name: str,
    ask: Callable[[Client], Listing],
    head: str,
    line: Callable[[dict[str, Any]], str],
) -> int:
    """Show each row as a line under the head; return the exit status."""

    async def run() -> None:
        async with client_for(options, name) as client:
            if not options.json:
                note_zone()
                print(fitted(head), flush=options.follow)
            async for item in ask(client):
                match item:
                    case Row(fields):
                        text = json.dumps(fields, ensure_ascii=False)
                        print(text if options.json else fitted(line(fields)), flush=options.follow)
                    case Complete():
                        print("-- list complete; changes follow", file=sys.stderr)
                    case Again():
                        print("-- reconnected; the list starts again", file=sys.stderr)

    return being(run)


def clock_of(time_us: object) -> str:
    """Write a time for people, to the second, in the local zone."""
    return local(time_us)
