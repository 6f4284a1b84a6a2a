"""`sensord unshelve`: end the silence of an alarm."""

from __future__ import annotations

import argparse

from sensord.cli.alarms import act_on
from sensord.cli.options import configure_client

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("alarm", help="the alarm's name, as in sensord alarms")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Take the alarm off the shelf and print its state."""
    return act_on(options, "unshelve", {"act": "unshelve"})
