"""`sensord uplinks`: list the uplinks and how far they are; pause, resume or rewind one."""

from __future__ import annotations

import argparse
import json
from typing import Any

from sensord.cli.connection import asked
from sensord.cli.listing import clock_of
from sensord.cli.options import configure_client
from sensord.cli.statuses import NotFoundError
from sensord.client import Client, CommandError, Control
from sensord.errors import UsageError

__all__ = ["configure", "run"]

PREFIX = "$sys/uplinks/"

HEAD = (
    f"{'UPLINK':<16} {'IS':<10} {'SINCE':<20} {'DELIVERED UP TO':<20} {'PENDING':>10} {'SENT':>12}"
    f" {'REFUSED':>8}  DETAIL"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("act", nargs="?", choices=["pause", "resume", "rewind"])
    parser.add_argument("uplink", nargs="?", help="which uplink")
    parser.add_argument("--offset", type=int, help="for rewind: deliver again from this offset on")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Show the uplinks or act on one; return the exit status."""
    if options.act is None:
        return asked(options, "uplinks", lambda client: _listed(client, is_json=options.json))
    if options.uplink is None:
        raise UsageError(f"sensord uplinks {options.act} UPLINK: name the uplink")
    if (options.act == "rewind") != (options.offset is not None):
        raise UsageError("--offset OFFSET belongs to rewind, which needs it")

    async def act(client: Client) -> str:
        args: dict[str, Any] = {"uplink": options.uplink, "act": options.act}
        if options.offset is not None:
            args["offset"] = options.offset
        try:
            await Control(client).call("uplinks", args)
        except CommandError as exc:
            if await client.get(f"{PREFIX}{options.uplink}"):
                raise
            raise NotFoundError(exc.message) from None
        return ""

    return asked(options, "uplinks", act)


async def _listed(client: Client, *, is_json: bool) -> str:
    found = await client.get(f"{PREFIX}+")
    rows = {
        one.topic.removeprefix(PREFIX): one.reading.value
        for one in found
        if isinstance(one.reading.value, dict)
    }
    if not rows:
        raise NotFoundError("no uplinks are configured: see [uplinks] in docs/configuration.md")
    if is_json:
        return "\n".join(json.dumps({"uplink": name, **row}) for name, row in rows.items())
    return "\n".join([HEAD, *(_line(name, row) for name, row in rows.items())])


def _line(name: str, row: dict[str, Any]) -> str:
    since, delivered = clock_of(row.get("since_us")), clock_of(row.get("delivered_us"))
    return (
        f"{name:<16} {row.get('state', '?'):<10} {since:<20} {delivered:<20}"
        f" {row.get('pending', 0):>10} {row.get('sent', 0):>12} {row.get('rejected', 0):>8}"
        f"  {row.get('detail', '')}"
    ).rstrip()
