"""`sensord clients`: list connected clients and what they watch."""

from __future__ import annotations

import argparse
from typing import Any

from sensord.cli import listing as rows

__all__ = ["configure", "run"]


HEAD = f"{'ID':<14} {'IS':<5} {'NAME':<32} {'SINCE':<20} {'ADDRESS':<21} WATCHES"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    rows.configure(parser)


def run(options: argparse.Namespace) -> int:
    """Show the clients; return the exit status."""
    return rows.show(
        options, "clients", lambda client: client.clients(follow=options.follow), HEAD, _line
    )


def _line(row: dict[str, Any]) -> str:
    who = f"{row.get('id', '?'):<14} {row.get('state', '?'):<5} {row.get('name', ''):<32}"
    watches = " ".join(row.get("watches", ()))
    since = rows.clock_of(row.get("since_us"))
    return f"{who} {since:<20} {row.get('address', ''):<21} {watches}".rstrip()
