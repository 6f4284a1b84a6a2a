"""`sensord put`: write shared state."""

from __future__ import annotations

import argparse

from sensord.cli.connection import asked
from sensord.cli.options import configure_client, value_of
from sensord.client import Client, SharedState

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "Prints the new version."
    parser.add_argument("topic", help="a topic that begins with state/")
    parser.add_argument("value", type=value_of, help="JSON or text")
    parser.add_argument(
        "--version", type=int, metavar="N", help="only if this is the version now; 0: only if new"
    )
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Write the value and print its version."""

    async def put(client: Client) -> str:
        state = SharedState(client)
        return str(await state.put(options.topic, options.value, options.version))

    return asked(options, "put", put)
