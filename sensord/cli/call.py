"""`sensord call`: call an action of a device, or a service."""

from __future__ import annotations

import argparse
import json

from sensord.cli.connection import asked
from sensord.cli.options import check_key, value_of
from sensord.cli.set import configure_act
from sensord.client import Client, Control
from sensord.model.readings import Value

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "called",
        metavar="name",
        help="<device>/<action>, or a service; `sensord controls` lists them",
    )
    parser.add_argument("args", nargs="*", type=_argument, metavar="ARG=VALUE")
    configure_act(parser)


def _argument(text: str) -> tuple[str, Value]:
    name, divider, value = text.partition("=")
    if not name or not divider:
        raise argparse.ArgumentTypeError(f"{text}: expected a name and a value, such as minutes=5")
    return name, value_of(value)


def run(options: argparse.Namespace) -> int:
    """Call it and print the answer: one line for each part, then the final value."""
    check_key(options)

    async def call(client: Client) -> str:
        calling = Control(client).calling(
            options.called, dict(options.args), key=options.key, timeout_s=options.timeout
        )
        async for part in calling:
            print(json.dumps(part.value, ensure_ascii=False), flush=True)
        done = calling.value
        return "" if done is None else json.dumps(done, ensure_ascii=False)

    return asked(options, "call", call)
