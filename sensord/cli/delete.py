"""`sensord delete`: delete shared state."""

from __future__ import annotations

import argparse

from sensord.cli.connection import asked
from sensord.cli.options import configure_client
from sensord.client import Client, SharedState

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "Prints the version of the deletion."
    parser.add_argument("topic", help="a topic that begins with state/")
    parser.add_argument("--version", type=int, metavar="N", help="only if this is the version now")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Delete it and print the version of the deletion."""

    async def delete(client: Client) -> str:
        return str(await SharedState(client).delete(options.topic, options.version))

    return asked(options, "delete", delete)
