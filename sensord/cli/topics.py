"""`sensord topics`: list topics with their units and kinds."""

from __future__ import annotations

import argparse
from typing import Any

from sensord.cli import listing as rows
from sensord.cli.options import check_filters

__all__ = ["configure", "run"]


HEAD = f"{'TOPIC':<40} {'TYPE':<7} {'KIND':<6} {'UNIT':<8} DESCRIPTION"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "topics", nargs="*", default=["#"], help="filters, + and # as in MQTT (default: #)"
    )
    rows.configure(parser)


def run(options: argparse.Namespace) -> int:
    """Show the topics; return the exit status."""
    check_filters(options.topics)
    return rows.show(
        options,
        "topics",
        lambda client: client.topics(*options.topics, follow=options.follow),
        HEAD,
        _line,
    )


def _line(row: dict[str, Any]) -> str:
    type_, unit, text = row.get("type", "float"), row.get("unit", ""), row.get("description", "")
    kind = row.get("kind", "state")
    return f"{row['topic']:<40} {type_:<7} {kind:<6} {unit:<8} {text}".rstrip()
