"""Which decoders there are, by the name the configuration uses.

Modules are imported when a configuration first names them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sensord.decode.base import Decoder
from sensord.host.plugins import Plugins

__all__ = ["DecoderType", "find", "names"]

_MODULES = {
    "ais": "sensord.decode.ais",
    "any": "sensord.decode.any_value",
    "binary": "sensord.decode.binary",
    "choice": "sensord.decode.choice",
    "csv": "sensord.decode.csv_line",
    "json": "sensord.decode.json_paths",
    "key_value": "sensord.decode.key_value",
    "nested": "sensord.decode.nested",
    "nmea0183": "sensord.decode.nmea0183",
    "number": "sensord.decode.number",
    "obis": "sensord.decode.obis",
    "regex": "sensord.decode.regex",
    "sparkplug": "sensord.decode.sparkplug",
    "sml": "sensord.decode.sml",
}

ENTRY_POINTS = "sensord.decoders"


@dataclass(frozen=True, slots=True)
class DecoderType:
    """A decoder that a configuration may name: its options and how to build it."""

    name: str
    config: type[Any]
    build: type[Any]

    def create(self, config: object) -> Decoder:
        """Build a decoder; each stream needs its own, for a decoder may keep state."""
        decoder: Decoder = self.build(config)
        return decoder


_PLUGINS = Plugins(_MODULES, ENTRY_POINTS)

names = _PLUGINS.names


def find(name: str) -> DecoderType | None:
    """Return the decoder of that name, or None."""
    module = _PLUGINS.module(name)
    return None if module is None else DecoderType(name, module.Config, module.Decoder)
