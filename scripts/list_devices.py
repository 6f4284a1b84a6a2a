"""Write the tables of `hardware/devices.md`, a row for each profile; with --check, compare them.

Run it after a profile has been added or changed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sensord import profiles
from sensord.profiles import Profile

FILE = Path("hardware/devices.md")

THIRD = {
    "serial": 'port = "/dev/serial/by-id/…"',
    "modbus": 'port = "/dev/serial/by-id/…"',
    "mqtt": 'host = "192.168.1.2"',
    "file": "",
}
"""The line that a device of each reader needs beside its name and profile."""

GROUPS = {
    "On a serial line": ("serial", "sds011"),
    "On a bus (Modbus)": ("modbus", "sdm630"),
    "Behind a broker (MQTT)": ("mqtt", "zigbee2mqtt"),
    "On the board itself": ("file", "hwmon"),
}
"""By title: the reader, and the profile in the example."""


def configuration(profile: Profile) -> list[str]:
    """Return the whole configuration of a device: three lines, or two."""
    third = THIRD[str(profile.device["reader"])]
    lines = [f"[devices.{profile.name}]", f'profile = "{profile.name}"', third]
    return [line for line in lines if line]


def row(profile: Profile) -> str:
    """Return a profile's row."""
    count = len(profile.samples)
    sources = dict.fromkeys(one.source for one in profile.samples if one.source)
    samples = f"{count} sample{'s' if count > 1 else ''}"
    tested = f"{samples}: {'; '.join(sources)}" if sources else samples
    models = f" {', '.join(profile.models)}" if profile.models else ""
    return f"| {profile.title} |{models} | `{profile.name}` | {tested} |"


def page() -> str:
    """Return the page: its introduction as it is, and the tables."""
    shipped = [profiles.find(name) for name in profiles.names()]
    parts = []
    for title, (reader, example) in GROUPS.items():
        lines = "\n".join(configuration(profiles.find(example)))
        rows = "\n".join(row(one) for one in shipped if one.device["reader"] == reader)
        head = "| device | models | profile | tested on |\n| --- | --- | --- | --- |"
        parts.append(f"## {title}\n\n```toml\n{lines}\n```\n\n{head}\n{rows}\n")
    return FILE.read_text().partition("## ")[0] + "\n".join(parts)


def main() -> int:
    """Write the page, or compare it; return the exit status."""
    wanted = page()
    if "--check" not in sys.argv:
        FILE.write_text(wanted)
        return 0
    if FILE.read_text() == wanted:
        return 0
    sys.stderr.write(f"{FILE}: differs from the profiles; run scripts/list_devices.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
