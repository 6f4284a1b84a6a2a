"""How a channel's type and metadata stand in MCAP: its schema, and its map of texts.

Pure. Source: docs/journal.md, Segments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from sensord.mcap import records as mcap
from sensord.model.readings import Kind, Metadata, ValueType

__all__ = ["SCHEMA_IDS", "Described", "definition", "described", "schema_record"]

E = TypeVar("E", ValueType, Kind)

SCHEMA_IDS = {kind: number for number, kind in enumerate(ValueType, 1)}
"""Never 0: PlotJuggler skips channels without a schema."""

# Lichtblick's parser knows one `type` a property, and no property without one.
_JSON_TYPES = {
    ValueType.FLOAT: "number",
    ValueType.INT: "integer",
    ValueType.BOOL: "boolean",
    ValueType.STRING: "string",
}


class Described(NamedTuple):
    """What a recording says of a channel."""

    topic: str
    metadata: Metadata


def schema_record(kind: ValueType) -> bytes:
    """Encode the schema of payloads whose value has this type."""
    declared = _JSON_TYPES.get(kind)
    properties = {"value": {"type": declared}} if declared else {}
    properties |= {name: {"type": "string"} for name in ("quality", "reason")}
    properties["restated"] = {"type": "boolean"}
    text = json.dumps({"type": "object", "properties": properties, "required": ["value"]})
    return mcap.schema(SCHEMA_IDS[kind], f"sensord.{kind}", "jsonschema", text.encode())


def definition(number: int, topic: str, metadata: Metadata) -> mcap.ChannelRecord:
    """Say in MCAP's terms what a channel is."""
    decimals = metadata.decimals
    found = {
        "type": metadata.type.value,
        "kind": metadata.kind.value,
        "unit": metadata.unit,
        "decimals": "" if decimals is None else str(decimals),
        "description": metadata.description,
        "device": metadata.device,
    }
    known = {key: value for key, value in found.items() if value}
    return mcap.ChannelRecord(number, SCHEMA_IDS[metadata.type], topic, "json", known)


def described(topic: str, found: Mapping[str, str]) -> Described:
    """Read back what `definition` says, passing over what cannot be understood."""
    decimals = found.get("decimals", "")
    metadata = Metadata(
        type=_one_of(ValueType, found.get("type", ""), ValueType.JSON),
        unit=found.get("unit", ""),
        decimals=int(decimals) if decimals.isdecimal() else None,
        kind=_one_of(Kind, found.get("kind", ""), Kind.STATE),
        description=found.get("description", ""),
        device=found.get("device", ""),
    )
    return Described(topic, metadata)


def _one_of(kinds: type[E], name: str, otherwise: E) -> E:
    try:
        return kinds(name)
    except ValueError:
        return otherwise
