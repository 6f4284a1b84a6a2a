"""Which readers there are, by the name the configuration uses.

Modules are imported when a configuration first names them: a gateway without MQTT loads no MQTT.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sensord.device.reader import Reader
from sensord.host.plugins import Plugins

__all__ = ["ReaderType", "find", "names"]

_MODULES = {
    "file": "sensord.readers.file",
    "modbus": "sensord.readers.modbus",
    "mqtt": "sensord.readers.mqtt",
    "nats": "sensord.readers.nats",
    "replay": "sensord.readers.replay",
    "serial": "sensord.readers.serial",
    "simulated": "sensord.readers.simulated",
    "udp": "sensord.readers.udp",
}

ENTRY_POINTS = "sensord.readers"


@dataclass(frozen=True, slots=True)
class ReaderType:
    """A reader that a configuration may name: its options and how to build it."""

    name: str
    config: type[Any]
    build: type[Any]
    write: type[Any] | None = None
    """Its options for sending a command, if its devices accept any."""

    def create(self, config: object) -> Reader:
        """Build a reader; it opens nothing yet."""
        reader: Reader = self.build(config)
        return reader


_PLUGINS = Plugins(_MODULES, ENTRY_POINTS)

names = _PLUGINS.names


def find(name: str) -> ReaderType | None:
    """Return the reader of that name, or None."""
    module = _PLUGINS.module(name)
    return (
        None
        if module is None
        else ReaderType(name, module.Config, module.Reader, getattr(module, "Write", None))
    )
