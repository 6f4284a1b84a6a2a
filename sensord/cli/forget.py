"""`sensord forget`: remove topics that will not come back from listings and snapshots."""

from __future__ import annotations

import argparse
import json

from sensord.cli.connection import asked
from sensord.cli.options import check_filters, configure_client
from sensord.client import Client

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "Their history stays, and one that is published again is back."
    add = parser.add_argument
    add("topics", nargs="+", metavar="TOPIC", help="a topic, or a filter with + and #")
    add("--json", action="store_true", help="one JSON object a line")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Forget them, and print each."""
    check_filters(options.topics)

    async def forget(client: Client) -> str:
        topics = await client.forget(*options.topics)
        rows = (json.dumps({"topic": one}, ensure_ascii=False) for one in topics)
        return "\n".join(rows if options.json else topics)

    return asked(options, "forget", forget)
