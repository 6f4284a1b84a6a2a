"""`sensord ports`: list the serial ports of this machine with their stable paths."""

from __future__ import annotations

import argparse
from pathlib import Path

from serial.tools import list_ports

__all__ = ["configure", "run"]

BY_ID = Path("/dev/serial/by-id")
"""Where udev keeps a stable link for each adapter."""


def configure(_parser: argparse.ArgumentParser) -> None:
    """Declare no options."""


def run(_options: argparse.Namespace) -> int:
    """List the ports."""
    stable = stable_paths(BY_ID)
    ports = sorted(list_ports.comports(), key=lambda port: port.device)
    if not ports:
        print("no serial ports found; is the adapter plugged in? (dmesg | tail shows new devices)")
        return 0
    for port in ports:
        print(stable.get(port.device, port.device))
        print(f"    {port.device}: {port.description}")
    return 0


def stable_paths(folder: Path) -> dict[str, str]:
    """Return the stable link of each device path that has one."""
    try:
        links = sorted(folder.iterdir())
    except OSError:
        return {}
    return {str(link.resolve()): str(link) for link in links}
