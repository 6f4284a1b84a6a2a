"""Which decoders there are, by the name the configuration uses.

Modules are imported when a configuration first names them.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from dataclasses import dataclass
from typing import Any

from sensord.decode.base import Decoder

__all__ = ["DecoderType", "find", "names"]

_MODULES = {
    "csv": "sensord.decode.csv_line",
    "json": "sensord.decode.json_paths",
    "key_value": "sensord.decode.key_value",
    "nmea0183": "sensord.decode.nmea0183",
    "number": "sensord.decode.number",
    "regex": "sensord.decode.regex",
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


def names() -> list[str]:
    """Return every known name, third parties' included."""
    others = importlib.metadata.entry_points(group=ENTRY_POINTS)
    return sorted({*_MODULES, *(entry.name for entry in others)})


def find(name: str) -> DecoderType | None:
    """Return the decoder of that name, or None."""
    if name in _MODULES:
        module = importlib.import_module(_MODULES[name])
        return DecoderType(name, module.Config, module.Decoder)
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS, name=name):
        module = entry.load()
        return DecoderType(name, module.Config, module.Decoder)
    return None
