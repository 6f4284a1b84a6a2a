"""`sensord publish`: publish a reading of a topic that is open for clients."""

from __future__ import annotations

import argparse

from sensord.cli.asking import asked
from sensord.cli.options import configure_client, value_of
from sensord.client import Client

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("topic", help="one that [clients.topics] opens")
    parser.add_argument("value", type=value_of, help="JSON, or a text")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Publish it and print its offset."""

    async def publish(client: Client) -> str:
        return str(await client.publish(options.topic, options.value))

    return asked(options.url, "publish", publish, options.identity)
