"""Which kinds of uplinks there are, by the name the configuration uses.

Modules are imported when a configuration first names them: each may need a library of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sensord.host.plugins import Plugins
from sensord.uplinks.context import Context
from sensord.uplinks.destination import Destination

__all__ = ["UplinkType", "find", "names"]

_MODULES = {
    "influx": "sensord.uplinks.influx",
    "kafka": "sensord.uplinks.kafka",
    "mqtt": "sensord.uplinks.mqtt",
    "nats": "sensord.uplinks.nats",
    "postgres": "sensord.uplinks.postgres",
}

ENTRY_POINTS = "sensord.uplinks"


@dataclass(frozen=True, slots=True)
class UplinkType:
    """A kind of uplink: its options and how to build its destination."""

    name: str
    config: type[Any]
    build: type[Any]
    is_live_first: bool

    def create(self, context: Context, config: object) -> Destination:
        """Build a destination; it opens nothing yet."""
        made: Destination = self.build(context, config)
        return made


_PLUGINS = Plugins(_MODULES, ENTRY_POINTS)

names = _PLUGINS.names


def find(name: str) -> UplinkType | None:
    """Return the kind of that name, or None."""
    module = _PLUGINS.module(name)
    if module is None:
        return None
    return UplinkType(name, module.Config, module.Destination, module.IS_LIVE_FIRST)
