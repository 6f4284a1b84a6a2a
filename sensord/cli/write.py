"""What the commands that write have in common."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable

from sensord.cli.tail import DEFAULT_URL
from sensord.client import Client
from sensord.errors import ProtocolError, SensordError
from sensord.model import Value

__all__ = ["asked", "configure_url", "value_of"]


def configure_url(parser: argparse.ArgumentParser) -> None:
    """Declare where the daemon is."""
    parser.add_argument("--url", default=DEFAULT_URL, help="the daemon (default: %(default)s)")


def value_of(text: str) -> Value:
    """Read a value: JSON, and what is none is a text."""
    try:
        found: Value = json.loads(text)
    except ValueError:
        return text
    return found


def asked(url: str, name: str, ask: Callable[[Client], Awaitable[str]]) -> int:
    """Ask a daemon for something, print the answer, and return the exit status."""

    async def run() -> None:
        async with Client(url, name=f"sensord {name}") as client:
            try:
                print(await ask(client))
            except ProtocolError as exc:
                told = "" if exc.present is None else f"\n{json.dumps(exc.present)}"
                raise SensordError(f"{exc}{told}") from exc

    asyncio.run(run())
    return 0
