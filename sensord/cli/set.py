"""`sensord set`: set a writable topic of a device."""

from __future__ import annotations

import argparse
import json

from sensord.cli.connection import asked
from sensord.cli.options import check_key, configure_client, configure_key, duration, value_of
from sensord.client import Client, Control

__all__ = ["configure", "configure_act", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("topic", help="a writable topic of a device; `sensord controls` lists them")
    parser.add_argument("value", type=value_of, help="JSON or text")
    configure_act(parser)


def configure_act(parser: argparse.ArgumentParser) -> None:
    """Declare what `sensord set` and `sensord call` have in common."""
    configure_key(parser, "act")
    parser.add_argument("--timeout", type=duration, help="how long it may take, such as 2s")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Set the topic and print the confirmed value."""
    check_key(options)

    async def set_(client: Client) -> str:
        done = await Control(client).set(
            options.topic, options.value, key=options.key, timeout_s=options.timeout
        )
        return json.dumps(done, ensure_ascii=False)

    return asked(options, "set", set_)
