"""`sensord topics`: list topics with their units and kinds."""

from __future__ import annotations

import argparse
from typing import Any

from sensord.cli import listing as rows
from sensord.cli.look import columns
from sensord.cli.options import check_filters
from sensord.terminal.cells import fit

__all__ = ["configure", "run"]


TOPIC, LEAST = 40, 16
"""Columns of a topic, and on a narrow terminal."""
UNIT = 8


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
        _columns("TOPIC", "UNIT", "TYPE", "KIND", "DESCRIPTION"),
        _line,
    )


def _line(row: dict[str, Any]) -> str:
    type_, unit, text = row.get("type", "float"), row.get("unit", ""), row.get("description", "")
    kind = row.get("kind", "state")
    return _columns(row["topic"], unit, type_, kind, text)


def _columns(topic: str, unit: str, type_: str, kind: str, text: str) -> str:
    """Write a line; on a narrow terminal the topic is cut before its unit is."""
    width = columns()
    if width is None or width >= TOPIC + UNIT + 1:
        shown = f"{topic:<{TOPIC}}"
    else:
        shown = fit(topic, max(LEAST, width - UNIT - 1), keeps_end=True)
    return f"{shown} {unit:<{UNIT}} {type_:<7} {kind:<6} {text}".rstrip()
