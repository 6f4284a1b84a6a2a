"""`sensord send`: send a message to other clients."""

from __future__ import annotations

import argparse

from sensord.cli.connection import asked
from sensord.cli.options import check_key, configure_client, configure_key, duration, value_of
from sensord.cli.statuses import NotFoundError, RefusedError
from sensord.client import Client, Receipt

__all__ = ["configure", "run"]

_TOLD = {
    "away": "kept: it is away, or does not receive",
    "unknown": "refused: no such client; `sensord clients` lists them",
    "full": "refused: too many messages wait for it",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("body", type=value_of, help="JSON or text")
    to = parser.add_mutually_exclusive_group(required=True)
    to.add_argument(
        "--to", metavar="ID", default="", help="one client; `sensord clients` lists them"
    )
    to.add_argument("--group", metavar="NAME", default="", help="all members of a group")
    to.add_argument(
        "--watching", metavar="TOPIC", default="", help="all clients that watch a topic"
    )
    configure_key(parser, "message")
    parser.add_argument(
        "--wait", type=duration, default=5.0, help="how long to wait for receipts (default: 5s)"
    )
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Send the message and print its receipts, a line for each receiver."""
    check_key(options)

    async def send(client: Client) -> str:
        receipts: dict[str, Receipt] = {}
        sending = client.send_to(
            options.body,
            client=options.to,
            group=options.group,
            watching=options.watching,
            key=options.key,
            wait_s=options.wait,
        )
        async for receipt in sending:
            receipts[receipt.client] = receipt
        if not sending.receivers:
            raise NotFoundError("no client to receive it")
        if not receipts:
            return f"-- sent to {sending.receivers}, not acknowledged yet"
        lines = "\n".join(f"{name} {_line(receipt)}" for name, receipt in receipts.items())
        if all(receipt.status == "refused" for receipt in receipts.values()):
            raise RefusedError(lines)
        return lines

    return asked(options, "send", send)


def _line(receipt: Receipt) -> str:
    return _TOLD.get(receipt.reason or receipt.status, receipt.status)
