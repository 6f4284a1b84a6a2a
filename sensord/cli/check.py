"""`sensord check`: say all that is wrong with a configuration, or what it would do."""

from __future__ import annotations

import argparse
from pathlib import Path

from sensord.config.load import load
from sensord.config.tree import Config
from sensord.decode import registry as decoders
from sensord.readers import registry as readers

__all__ = ["configure", "read", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, help="the configuration, such as config.toml")


def read(file: Path) -> Config:
    """Load a configuration with all the readers and decoders there are.

    Raises:
        ConfigError: It has faults; all of them are told.
    """
    return load(file, readers, decoders)


def run(options: argparse.Namespace) -> int:
    """Check; faults are raised and shown by the caller."""
    config = read(options.file)
    print(f"{options.file}: no faults")
    print(f"listens on {', '.join(config.server.listen)}")
    for device in config.devices:
        decoder = f" as {device.decoder}" if device.decoder else ""
        print(f"device {device.name}: {device.reader}{decoder}, topics {device.topic}")
    return 0
