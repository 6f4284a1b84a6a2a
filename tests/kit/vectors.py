"""The test vectors of the protocol, for whoever keeps to them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from sensord.model.readings import GOOD, Channel, Level, Quality, Reading, Record, Value
from sensord.wire.frames import CODECS, JSON, Codec
from sensord.wire.ops.subscriptions import read_channel

__all__ = [
    "CHANNELS",
    "FRAMES",
    "MESSAGES",
    "REQUESTS",
    "each",
    "payload",
    "record_of",
    "same",
    "told_channel",
]

FOLDER = Path(__file__).parents[1] / "vectors"

REQUESTS = json.loads((FOLDER / "requests.json").read_text())
MESSAGES = json.loads((FOLDER / "messages.json").read_text())
FRAMES = json.loads((FOLDER / "frames.json").read_text())

CHANNELS = {told["channel"]: read_channel(told) for told in FRAMES["channels"]}


def each(vectors: list[dict[str, Any]]) -> pytest.MarkDecorator:
    """Run a test for each vector in each encoding that it has."""
    cases = [
        pytest.param(vector, codec, id=f"{vector['name']}-{codec.subprotocol}")
        for vector in vectors
        for codec in CODECS.values()
        if _payload(vector, codec) is not None
    ]
    return pytest.mark.parametrize(("vector", "codec"), cases)


def _payload(vector: dict[str, Any], codec: Codec) -> bytes | None:
    """Return the bytes of a vector in an encoding, or None if it has none."""
    if codec is JSON:
        return None if vector["json"] is None else str(vector["json"]).encode()
    return None if vector["msgpack"] is None else bytes.fromhex(vector["msgpack"])


def payload(vector: dict[str, Any], codec: Codec) -> bytes:
    found = _payload(vector, codec)
    assert found is not None
    return found


def _value(told: dict[str, Any]) -> Value:
    """Make a value of what a vector says of it."""
    match told:
        case {"float": number, "bits": bits}:
            (value,) = struct.unpack(">d", bytes.fromhex(bits))
            assert struct.pack(">d", number) == struct.pack(">d", value)
            return float(value)
        case {"int": digits}:
            return int(digits)
        case {"bool": bool(flag)}:
            return flag
        case {"string": str(text)}:
            return text
        case {"json": dict() | list() as value}:
            return value
        case {"null": True}:
            return None
    raise AssertionError(told)


def same(one: Value, other: Value) -> bool:
    """Tell whether two values are the same to the bit."""
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack(">d", one) == struct.pack(">d", other)
    return type(one) is type(other) and one == other


def record_of(told: dict[str, Any]) -> Record:
    """Make a record that is written as a vector's reading."""
    level = Level(told["level"])
    quality = Quality(level, told["reason"]) if level else GOOD
    reading = Reading(told["time_us"], _value(told["value"]), quality, told["restates"])
    return Record(0, told["reported_us"], CHANNELS[told["channel"]], reading)


def told_channel(channel: Channel) -> dict[str, Any]:
    """Write a channel as the vectors do."""
    metadata = channel.metadata
    return {
        "channel": channel.number,
        "topic": channel.topic,
        "type": metadata.type,
        "unit": metadata.unit,
        "decimals": metadata.decimals,
        "kind": metadata.kind,
        "description": metadata.description,
        "device": metadata.device,
    }
