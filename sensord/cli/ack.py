"""`sensord ack`: acknowledge the alarm of a topic, for everybody."""

from __future__ import annotations

import argparse
import sys

from sensord.cli.connection import asked
from sensord.cli.hints import note_absent
from sensord.cli.options import configure_client
from sensord.client import Client, SharedState
from sensord.errors import SensordError

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("topic", help="the topic with the alarm")
    parser.add_argument("text", nargs="?", default="", help="a note, such as what is being done")
    parser.add_argument("--force", action="store_true", help="accept a topic without readings")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Acknowledge the alarm and print the topic of the acknowledgement."""

    async def acknowledge(client: Client) -> str:
        state = SharedState(client)
        if not options.force and not await client.get(options.topic):
            await note_absent(client, [options.topic])
            raise SensordError(f"{options.topic} has no reading: nothing to acknowledge")
        before = await state.get(f"state/alarms/{options.topic}")
        if before is not None:
            who = before.by.get("name") or before.by.get("id")
            print(f"-- {who} had already acknowledged it", file=sys.stderr)
        await state.acknowledge(options.topic, options.text)
        return f"state/alarms/{options.topic}"

    return asked(options, "ack", acknowledge)
