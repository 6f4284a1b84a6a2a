"""`sensord devices`: list devices and their states."""

from __future__ import annotations

import argparse
from typing import Any

from sensord.cli import listing as rows

__all__ = ["configure", "run"]


HEAD = (
    f"{'DEVICE':<16} {'IS':<10} {'SINCE':<20} {'LAST READING':<20} {'READINGS':>10} {'FAULTS':>7}"
    "  DETAIL"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    rows.configure(parser)


def run(options: argparse.Namespace) -> int:
    """Show the devices; return the exit status."""
    return rows.show(
        options, "devices", lambda client: client.devices(follow=options.follow), HEAD, _line
    )


def _line(row: dict[str, Any]) -> str:
    since, last = rows.clock_of(row.get("since_us")), rows.clock_of(row.get("last_reading_us"))
    faults = sum(row.get("faults", {}).values())
    columns = f"{row['device']:<16} {row.get('state', '?'):<10} {since:<20} {last:<20}"
    return f"{columns} {row.get('readings', 0):>10} {faults:>7}  {row.get('detail', '')}".rstrip()
