"""`sensord run`: the daemon itself."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from sensord import app
from sensord.cli import check
from sensord.host import journald as logs
from sensord.host.systemd import Notifier

__all__ = ["configure", "run"]

log = logging.getLogger("sensord.config")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, help="the configuration, such as config.toml")


def run(options: argparse.Namespace) -> int:
    """Run until a signal stops it."""
    config = check.read(options.file)
    logs.setup(config.logging.level)
    for warning in config.warnings:
        log.warning(
            "doubtful configuration", extra={"at": warning.place, "reason": warning.message}
        )
    app.run(config, Notifier(os.environ), read=lambda: check.read(options.file))
    return 0
