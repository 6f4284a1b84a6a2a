"""`sensord check`: report all faults of a configuration, or describe what it does."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from sensord.config.load import load
from sensord.config.tree import Config, Device
from sensord.decode import registry as decoders
from sensord.errors import SensordError
from sensord.hub import options as hubs
from sensord.log.journal import Options, forecast_bytes_per_day, forecast_days_kept
from sensord.readers import registry as readers
from sensord.sharing.allowance import Bounds
from sensord.status.journal import folder_of
from sensord.uplinks import registry as uplinks

__all__ = ["configure", "device_of", "journal_line", "read", "run", "share_line"]

SERVICE_FOLDER = Path("/var/lib/sensord/journal")
"""What `StateDirectory=` of the unit makes of an empty `journal.folder`."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, help="the configuration, such as config.toml")


def read(file: Path) -> Config:
    """Load a configuration with all known readers, decoders and uplinks.

    Raises:
        ConfigError: It has faults; the error lists all of them.
    """
    return load(file, readers, decoders, uplinks)


def journal_line(options: Options, environment: Mapping[str, str], *, is_root: bool) -> str:
    """Describe where a daemon of this user records, and how much it writes in a day."""
    if not options.enabled:
        return "does not record"
    folder = folder_of(options, environment, is_root=is_root)
    gib, days = options.max_bytes / 2**30, options.max_age / 86400
    per_day = " / ".join(
        f"{forecast_bytes_per_day(rate, options.commit_interval) / 1e6:,.0f}"
        for rate in (1, 10, 100, 1000)
    )
    kept = " / ".join(
        _days(forecast_days_kept(rate, options.max_bytes), options.max_age / 86400)
        for rate in (1, 10, 100, 1000)
    )
    where = f"records in {folder}"
    # The user who checks is rarely the service, which will record.
    if not options.folder and "STATE_DIRECTORY" not in environment and folder != SERVICE_FOLDER:
        where += f" (as a systemd service in {SERVICE_FOLDER})"
    return (
        f"{where}, at most {gib:.3g} GiB and {days:.3g} days\n"
        f"    days kept at 1 / 10 / 100 / 1000 readings/s of numbers: {kept}\n"
        f"    MB written to the card a day at 1 / 10 / 100 / 1000 readings/s: {per_day}"
    )


def share_line(options: Options, percent: int) -> str:
    """Describe how much clients may write into the journal."""
    bounds = Bounds.of_share(percent, options.max_bytes, options.max_age)
    acts = " / ".join(f"{bounds.acts_per_s(rate):.2g}" for rate in (1, 10, 100, 1000))
    return (
        f"clients may write {bounds.burst_bytes / 2**20:.3g} MiB at once, then"
        f" {bounds.rate:,.0f} bytes/s and {bounds.per_reading:.3g} for each reading of a device\n"
        f"    keyed sets/s of one client beside 1 / 10 / 100 / 1000 readings/s: {acts}"
    )


def _days(held: float, allowed: float) -> str:
    """Write for how many days readings are kept, by max_bytes or max_age."""
    return f"{min(held, allowed):.3g}"


def run(options: argparse.Namespace) -> int:
    """Check the file and describe it; the caller shows the faults."""
    if hubs.is_hub(options.file):
        return _check_hub(options.file)
    config = read(options.file)
    found = len(config.warnings)
    doubtful = f", {found} warning{'s' if found > 1 else ''}" if found else ""
    print(f"{options.file}: no faults{doubtful}", flush=True)
    for warning in config.warnings:
        print(f"warning: {warning}", file=sys.stderr, flush=True)
    print(f"listens on {', '.join(config.server.listen)}")
    print(journal_line(config.journal, os.environ, is_root=os.geteuid() == 0))
    if config.journal.enabled:
        print(share_line(config.journal, config.clients.journal_share))
    for device in config.devices:
        decoder = f" as {device.decoder}" if device.decoder else ""
        mapped = [m.topic for m in getattr(device.reader_config, "topics", ()) if m.topic]
        topics = ", ".join(mapped or [device.topic])
        print(f"device {device.name}: {device.reader}{decoder}, topics {topics}")
        for command in device.commands:
            print(f"    clients may {'set' if command.is_set else 'call'} {command.name}")
    for pattern in config.clients.topics:
        print(f"clients may publish {pattern}")
    if not config.devices:
        print("no devices: nothing will be read; config.toml in the documentation has examples")
    return 0


def _check_hub(file: Path) -> int:
    config = hubs.load(file)
    print(f"{file}: a hub, no faults", flush=True)
    for warning in config.warnings:
        print(f"warning: {warning}", file=sys.stderr, flush=True)
    print(f"listens on {', '.join(config.server.listen)}")
    print(f"serves the streams {config.hub.streams} of {', '.join(config.hub.servers)}")
    return 0


def device_of(file: Path, name: str) -> Device:
    """Return a device of a configuration.

    Raises:
        SensordError: The configuration has faults, or no such device.
    """
    devices = {device.name: device for device in read(file).devices}
    if name not in devices:
        known = ", ".join(devices) or "none"
        raise SensordError(f"{file}: no device {name}; known are {known}")
    return devices[name]
