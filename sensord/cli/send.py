"""`sensord send`: send a message to other clients."""

from __future__ import annotations

import argparse

from sensord.cli.asking import asked
from sensord.cli.options import configure_client, duration, value_of
from sensord.client import Client
from sensord.errors import SensordError

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("body", type=value_of, help="JSON, or a text")
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument(
        "--to", metavar="ID", default="", help="one client; `sensord clients` lists them"
    )
    to.add_argument("--group", metavar="NAME", default="", help="all in a group")
    to.add_argument("--watching", metavar="TOPIC", default="", help="all who watch a topic")
    parser.add_argument("--key", default="", help="with the same key it is the same message")
    parser.add_argument(
        "--wait", type=duration, default=5.0, help="for how long to tell what becomes of it"
    )
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Send it and print what becomes of it, a line for each receiver."""

    async def send(client: Client) -> str:
        told: dict[str, str] = {}
        sending = client.send_to(
            options.body,
            client=options.to,
            group=options.group,
            watching=options.watching,
            key=options.key,
            wait_s=options.wait,
        )
        async for receipt in sending:
            told[receipt.client] = f"{receipt.status} {receipt.reason}".rstrip()
        if not told:
            raise SensordError("nobody is there to get it")
        return "\n".join(f"{name} {status}" for name, status in told.items())

    return asked(options.url, "send", send, options.identity)
