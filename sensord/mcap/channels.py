"""A channel's type and metadata in MCAP: its schema, and its map of texts.

Pure. Source: docs/journal.md, Segments.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from sensord.mcap import records as mcap
from sensord.model.readings import MAX_DECIMALS, Kind, Metadata, ValueType

__all__ = ["SCHEMA_IDS", "Described", "checked", "definition", "described", "proof"]
__all__ += ["schema_record", "unchecked"]

E = TypeVar("E", ValueType, Kind)

SCHEMA_IDS = {kind: number for number, kind in enumerate(ValueType, 1)}
"""Never 0: PlotJuggler skips channels without a schema."""

_CHECK = "check"
"""The key of a channel's metadata that holds a CRC of all the rest."""

# Lichtblick's parser knows one `type` a property, and no property without one.
_JSON_TYPES = {
    ValueType.FLOAT: "number",
    ValueType.INT: "integer",
    ValueType.BOOL: "boolean",
    ValueType.STRING: "string",
}


_DECIMALS = re.compile(r"[0-9]{1,3}")


class Described(NamedTuple):
    """What a recording states about a channel."""

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
    """Return a channel's description in MCAP's terms."""
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


def checked(record: mcap.ChannelRecord) -> mcap.ChannelRecord:
    """Add the CRC of a channel's record to it: in an open segment nothing else has one."""
    bare = unchecked(record)
    crc = zlib.crc32(mcap.channel(bare))
    return bare._replace(metadata=bare.metadata | {_CHECK: f"{crc:08x}"})


def unchecked(record: mcap.ChannelRecord) -> mcap.ChannelRecord:
    """Remove the CRC again."""
    rest = {key: value for key, value in record.metadata.items() if key != _CHECK}
    return record._replace(metadata=rest)


def proof(record: mcap.ChannelRecord) -> bool | None:
    """Return whether a record's CRC is its own; None if it has none, as those of before 0.2."""
    if _CHECK not in record.metadata:
        return None
    return checked(record).metadata == record.metadata


def described(topic: str, found: Mapping[str, str]) -> Described:
    """Decode what `definition` encodes; ignore what cannot be understood."""
    metadata = Metadata(
        type=_one_of(ValueType, found.get("type", ""), ValueType.JSON),
        unit=found.get("unit", ""),
        decimals=_decimals(found.get("decimals", "")),
        kind=_one_of(Kind, found.get("kind", ""), Kind.STATE),
        description=found.get("description", ""),
        device=found.get("device", ""),
    )
    return Described(topic, metadata)


def _decimals(text: str) -> int | None:
    if not _DECIMALS.fullmatch(text) or int(text) > MAX_DECIMALS:
        return None
    return int(text)


def _one_of(kinds: type[E], name: str, otherwise: E) -> E:
    try:
        return kinds(name)
    except ValueError:
        return otherwise
