"""`sensord shelve`: silence an alarm for some time."""

from __future__ import annotations

import argparse

from sensord.cli.alarms import act_on
from sensord.cli.options import configure_client, duration

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("alarm", help="the alarm's name, as in sensord alarms")
    parser.add_argument("text", nargs="?", default="", help="a note, such as the reason")
    parser.add_argument("--for", dest="for_s", type=duration, required=True, help="such as 2h")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Shelve the alarm and print its state."""
    args = {"act": "shelve", "text": options.text, "for_s": options.for_s}
    return act_on(options, "shelve", args)
