"""`sensord ack`: acknowledge an alarm."""

from __future__ import annotations

import argparse

from sensord.cli.alarms import act_on
from sensord.cli.options import configure_client

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("alarm", help="the alarm's name, as in sensord alarms")
    parser.add_argument("text", nargs="?", default="", help="a note, such as what is being done")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Acknowledge the alarm and print its state."""
    return act_on(options, "ack", {"act": "acknowledge", "text": options.text})
