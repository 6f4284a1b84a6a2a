"""`sensord receive`: show messages from other clients, one a line."""

from __future__ import annotations

import argparse
import json
import sys

from sensord.cli.connection import asked
from sensord.cli.lines import plain_value
from sensord.cli.look import local
from sensord.cli.options import configure_client, count
from sensord.client import Client, Message
from sensord.model.times import iso

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--group", action="append", metavar="NAME", help="join this group; may be repeated")
    add("--limit", "--count", dest="count", type=count, metavar="N", help="stop after N messages")
    add("--json", action="store_true", help="one JSON object a line")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Show each message, then acknowledge it."""

    async def receive(client: Client) -> str:
        left = options.count
        print(f"-- messages for {client.id}", file=sys.stderr)
        async with client.messages() as inbox:
            async for message in inbox:
                if left == 0:
                    break
                print(_json(message) if options.json else _line(message), flush=True)
                if left is not None:
                    left -= 1
                    if not left:
                        await inbox.acknowledge(message)
                        break
        return ""

    return asked(options, "receive", receive, stays=True, groups=options.group)


def _line(message: Message) -> str:
    when = local(message.time_us, has_day=False)
    who = (
        f"{message.sender_name} ({message.sender_id})" if message.sender_name else message.sender_id
    )
    return f"{when}  {who}: {plain_value(message.body, None)}"


def _json(message: Message) -> str:
    row = {
        "message": message.number,
        "from": {"id": message.sender_id, "name": message.sender_name},
        "to": message.to,
        "time_us": message.time_us,
        "time": iso(message.time_us),
        "body": message.body,
    }
    return json.dumps(row, ensure_ascii=False)
