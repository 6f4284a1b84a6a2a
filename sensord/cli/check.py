"""`sensord check`: say all that is wrong with a configuration, or what it would do."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from sensord.config.load import load
from sensord.config.tree import Config
from sensord.decode import registry as decoders
from sensord.log.journal import Options, forecast_bytes_per_day
from sensord.readers import registry as readers
from sensord.recording import folder_of

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


def _journal(options: Options) -> str:
    if not options.enabled:
        return "does not record"
    folder = folder_of(options, os.environ, is_root=os.geteuid() == 0)
    gib, days = options.max_bytes / 2**30, options.max_age / 86400
    per_day = " / ".join(
        f"{forecast_bytes_per_day(rate, options.commit_interval) / 1e6:,.0f}"
        for rate in (1, 10, 100, 1000)
    )
    return (
        f"records in {folder}, at most {gib:.3g} GiB and {days:.3g} days\n"
        f"    MB written to the card a day at 1 / 10 / 100 / 1000 readings/s: {per_day}"
    )


def run(options: argparse.Namespace) -> int:
    """Check; faults are raised and shown by the caller."""
    config = read(options.file)
    print(f"{options.file}: no faults")
    print(f"listens on {', '.join(config.server.listen)}")
    print(_journal(config.journal))
    for device in config.devices:
        decoder = f" as {device.decoder}" if device.decoder else ""
        mapped = [m.topic for m in getattr(device.reader_config, "topics", ()) if m.topic]
        topics = ", ".join(mapped or [device.topic])
        print(f"device {device.name}: {device.reader}{decoder}, topics {topics}")
    if not config.devices:
        print("no devices: nothing will be read; see config.toml in the documentation")
    return 0
