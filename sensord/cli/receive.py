"""`sensord receive`: have the messages of other clients, a line each."""

from __future__ import annotations

import argparse
import json
import sys

from sensord.cli.connection import asked
from sensord.cli.lines import plain_value
from sensord.cli.options import configure_client, count
from sensord.client import Client, Mail
from sensord.model.times import iso

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--group", action="append", metavar="NAME", help="be in this group; may be repeated")
    add("--count", type=count, metavar="N", help="stop after N messages")
    add("--json", action="store_true", help="one JSON object a line")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Show each message; it is acknowledged when it has been shown."""

    async def receive(client: Client) -> str:
        left = options.count
        print(f"-- messages for {client.id}", file=sys.stderr)
        async with client.messages() as inbox:
            async for mail in inbox:
                if left == 0:
                    break
                print(_json(mail) if options.json else _line(mail), flush=True)
                if left is not None:
                    left -= 1
                    if not left:
                        await inbox.acknowledge(mail)
                        break
        return ""

    return asked(options, "receive", receive, stays=True, groups=options.group)


def _line(mail: Mail) -> str:
    when = (iso(mail.time_us) or "?")[11:19]
    who = f"{mail.sender_name} ({mail.sender_id})" if mail.sender_name else mail.sender_id
    return f"{when}  {who}: {plain_value(mail.body, None)}"


def _json(mail: Mail) -> str:
    told = {
        "message": mail.number,
        "from": {"id": mail.sender_id, "name": mail.sender_name},
        "to": mail.to,
        "time_us": mail.time_us,
        "time": iso(mail.time_us),
        "body": mail.body,
    }
    return json.dumps(told, ensure_ascii=False)
