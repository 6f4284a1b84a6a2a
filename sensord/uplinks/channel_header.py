"""The header in which a message describes the channel of its reading. Pure.

It has what the message itself does not: of most channels the type, the decimals and the device.
"""

from __future__ import annotations

import json
from typing import Any

from sensord.model.readings import MAX_DECIMALS, Kind, Metadata, ValueType

__all__ = ["CHANNEL", "description_of", "metadata_of"]

CHANNEL = "Sensord-Channel"
"""The name of the header."""

_encode = json.JSONEncoder(separators=(",", ":")).encode


def description_of(metadata: Metadata) -> str:
    """Write a channel's metadata but for its unit; empty if all of it is the default."""
    default = Metadata()
    found = {
        "type": metadata.type.value,
        "decimals": metadata.decimals,
        "kind": metadata.kind.value,
        "description": metadata.description,
        "device": metadata.device,
    }
    own = {key: value for key, value in found.items() if value != getattr(default, key)}
    return _encode(own) if own else ""


def metadata_of(text: str, unit: str) -> Metadata:
    """Read what `description_of` wrote.

    Raises:
        ValueError: It is something else.
    """
    found: Any = json.loads(text) if text else {}
    if not isinstance(found, dict):
        raise ValueError("not a map")  # noqa: TRY004  # one error for all that it may be
    decimals = found.get("decimals")
    if decimals is not None and (type(decimals) is not int or not 0 <= decimals <= MAX_DECIMALS):
        raise ValueError("decimals")
    description, device = found.get("description", ""), found.get("device", "")
    if not isinstance(description, str) or not isinstance(device, str):
        raise ValueError("texts")  # noqa: TRY004  # the same
    return Metadata(
        type=ValueType(found.get("type", "float")),
        unit=unit,
        decimals=decimals,
        kind=Kind(found.get("kind", "state")),
        description=description,
        device=device,
    )
