"""`sensord ack`: acknowledge the alarm that a topic shows, for everybody."""

from __future__ import annotations

import argparse
import sys

from sensord.cli.connection import asked
from sensord.cli.options import configure_client
from sensord.client import Client, SharedState

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("topic", help="what shows the alarm")
    parser.add_argument("text", nargs="?", default="", help="what is being done about it")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Acknowledge it and say where that stands."""

    async def acknowledge(client: Client) -> str:
        state = SharedState(client)
        if not await client.get(options.topic):
            print(f"-- {options.topic} has no reading yet", file=sys.stderr)
        before = await state.get(f"state/alarms/{options.topic}")
        if before is not None:
            who = before.by.get("name") or before.by.get("id")
            print(f"-- {who} had acknowledged it before", file=sys.stderr)
        await state.acknowledge(options.topic, options.text)
        return f"state/alarms/{options.topic}"

    return asked(options, "ack", acknowledge)
