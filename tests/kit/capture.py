"""Captures to be made and looked at."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sensord.config.build import build
from sensord.config.schema import Faults
from sensord.config.tree import Device
from sensord.decode import registry as decoders
from sensord.log.journal import Batch
from sensord.readers import registry as readers
from sensord.recordings import EVERYTHING, Selection
from sensord.recordings.capture import Arrival, Capture, CaptureOutput
from tests.kit.journal import Row, rows

__all__ = ["device_of", "readings_of", "table_of", "write_capture"]


def table_of(toml: str) -> dict[str, Any]:
    """Read a device's table, without its heading."""
    return tomllib.loads(toml)


def device_of(table: dict[str, Any], name: str = "dev") -> Device:
    """Build the configuration of one device."""
    faults = Faults()
    config = build({"devices": {name: table}}, faults, readers, decoders)
    assert config is not None, faults.found
    return config.devices[0]


def write_capture(
    path: Path, table: dict[str, Any], arrivals: Iterable[Arrival], name: str = "dev"
) -> Path:
    """Write a whole capture."""
    with CaptureOutput(path, name, table) as output:
        for arrival in arrivals:
            output.add(arrival)
        output.complete()
    return path


def readings_of(capture: Capture, selection: Selection = EVERYTHING) -> list[Row]:
    """Decode a capture."""
    batches = capture.scan(selection)
    return [row for batch in batches if isinstance(batch, Batch) for row in rows(batch.records())]
