"""Which readers there are, by the name the configuration uses.

Modules are imported when a configuration first names them: a gateway without MQTT loads no MQTT.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from dataclasses import dataclass
from typing import Any

from sensord.device.reader import Reader

__all__ = ["ReaderType", "find", "names"]

_MODULES = {
    "mqtt": "sensord.readers.mqtt",
    "replay": "sensord.readers.replay",
    "serial": "sensord.readers.serial",
    "simulated": "sensord.readers.simulated",
}

ENTRY_POINTS = "sensord.readers"


@dataclass(frozen=True, slots=True)
class ReaderType:
    """A reader that a configuration may name: its options and how to build it."""

    name: str
    config: type[Any]
    build: type[Any]
    write: type[Any] | None = None
    """Its options of how a command is sent, if its devices take any."""

    def create(self, config: object) -> Reader:
        """Build a reader; it opens nothing yet."""
        reader: Reader = self.build(config)
        return reader


def names() -> list[str]:
    """Return every known name, third parties' included."""
    others = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return sorted({*_MODULES, *(entry.name for entry in others)})


def find(name: str) -> ReaderType | None:
    """Return the reader of that name, or None."""
    if name in _MODULES:
        module = importlib.import_module(_MODULES[name])
        return ReaderType(name, module.Config, module.Reader, getattr(module, "Write", None))
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS, name=name):
        module = entry.load()
        return ReaderType(name, module.Config, module.Reader, getattr(module, "Write", None))
    return None
