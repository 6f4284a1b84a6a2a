"""`sensord get`: show the last values of topics, once."""

from __future__ import annotations

import argparse

from sensord.cli.connection import asked
from sensord.cli.hints import note_absent
from sensord.cli.lines import as_json, as_line
from sensord.cli.look import note_zone
from sensord.cli.options import check_filters, configure_client
from sensord.cli.statuses import NotFoundError
from sensord.client import Client

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "To follow later values, use sensord tail."
    parser.add_argument(
        "topics", nargs="*", default=["#"], help="filters, + and # as in MQTT (default: #)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Show the last values; return the exit status."""
    check_filters(options.topics)
    show = as_json if options.json else as_line

    async def get(client: Client) -> str:
        found = await client.get(*options.topics)
        if not found:
            await note_absent(client, options.topics)
            raise NotFoundError(f"no value under {' '.join(options.topics)}")
        if not options.json:
            note_zone()
        return "\n".join(line for one in found if (line := show(one)) is not None)

    return asked(options, "get", get)
