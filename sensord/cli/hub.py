"""`sensord hub`: serve many gateways from JetStream."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from sensord.errors import StartError
from sensord.host import journald as logs

__all__ = ["configure", "run"]

log = logging.getLogger("sensord.config")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, help="the configuration of the hub, such as hub.toml")


def run(options: argparse.Namespace) -> int:
    """Run until a signal stops it."""
    try:
        from sensord.hub import app  # noqa: PLC0415  # its library is an extra
        from sensord.hub.options import load  # noqa: PLC0415  # the same
    except ModuleNotFoundError as exc:
        text = f"a hub needs the library {exc.name}: pip install 'sensord[nats]'"
        raise StartError(text) from exc
    config = load(options.file)
    logs.setup(config.logging.level)
    for warning in config.warnings:
        log.warning(
            "doubtful configuration", extra={"at": warning.place, "reason": warning.message}
        )
    app.run(config)
    return 0
