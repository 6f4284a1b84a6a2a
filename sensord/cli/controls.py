"""`sensord controls`: list what can be set and called."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from sensord.cli.connection import asked
from sensord.cli.options import configure_client
from sensord.client import Client

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Show what clients can set and call; return the exit status."""

    async def controls(client: Client) -> str:
        found: list[dict[str, Any]] = []
        for update in await client.get("$sys/control/+"):
            assert isinstance(update.reading.value, dict)
            found += _of_device(update.reading.value)
        for update in await client.get("$sys/services"):
            assert isinstance(update.reading.value, dict)
            found += _services(update.reading.value)
        if options.json:
            return "\n".join(json.dumps(one, ensure_ascii=False) for one in found)
        if not found:
            return "nothing can be set or called"
        return "\n".join(_line(one) for one in found)

    return asked(options, "controls", controls)


def _of_device(offered: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for topic, one in offered["set"].items():
        yield {"act": "set", "name": topic, **one}
    for name, one in offered["call"].items():
        yield {"act": "call", "name": name, **one}


def _services(services: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, one in services.items():
        yield {"act": "call", "name": name, "service_of": one["name"] or one["id"]} | {
            "description": one["description"]
        }


def _line(one: Mapping[str, Any]) -> str:
    if one["act"] == "set":
        takes = _argument(one)
    elif "service_of" in one:
        takes = f"a service of {one['service_of']}"
    else:
        takes = ", ".join(f"{name}: {_argument(arg)}" for name, arg in one["args"].items())
    text = one.get("description", "")
    return f"{one['act']:<5}{one['name']:<40} {takes:<36} {text}".rstrip()


def _argument(one: Mapping[str, Any]) -> str:
    takes = str(one["type"])
    if "range" in one:
        low, high = one["range"]
        takes += f" {low:g} to {high:g}"
    if "choices" in one:
        takes += f" {', '.join(one['choices'])}"
    if one.get("unit"):
        takes += f" {one['unit']}"
    if "default" in one:
        takes += f", else {json.dumps(one['default'], ensure_ascii=False)}"
    return takes
