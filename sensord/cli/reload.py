"""`sensord reload`: have a running daemon read its configuration again."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from sensord.cli.connection import asked
from sensord.cli.options import configure_client
from sensord.client import Client, CommandError, Control
from sensord.errors import SensordError

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="one JSON object")
    configure_client(parser)


def run(options: argparse.Namespace) -> int:
    """Reload, and print what changed; return the exit status."""

    async def act(client: Client) -> str:
        try:
            changed = await Control(client).call("reload")
        except CommandError as exc:
            raise SensordError(f"not reloaded, nothing has changed:\n{exc.message}") from exc
        assert isinstance(changed, dict)
        return json.dumps(changed) if options.json else _described(changed)

    return asked(options, "reload", act)


def _described(changed: Mapping[str, Any]) -> str:
    lines = [
        f"{kind}: {_names(found)}"
        for kind, found in changed.items()
        if kind not in {"needs_restart", "logging.level"}
    ]
    if (level := changed.get("logging.level")) is not None:
        lines.append(f"logging.level: {level}")
    if not lines:
        lines.append("nothing has changed")
    if needs := changed.get("needs_restart"):
        lines.append(f"only a restart changes {', '.join(needs)}")
    return "\n".join(lines)


def _names(found: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{key} {', '.join(names)}" for key, names in found.items())
