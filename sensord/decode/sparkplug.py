"""Decode Sparkplug B: metrics by name or alias, as edge nodes publish them.

Theory of operation. A birth names all metrics of a node or a device, with type and perhaps an
alias; the data that follow name only what changed, often by alias alone. Aliases hold for a node
and its devices until the node's next birth. Each message of a node has a number, from 0 at its
birth, that grows by one up to 255: where one is missing, a message was lost, and what it brought is
unknown until the next birth. Deaths are availability: see the profile.

Source: Eclipse Sparkplug 3.0.0, chapters 4 to 6, and its sparkplug_b.proto.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sensord.decode.base import Decoded, Fault, Sample, excerpt
from sensord.decode.naming import field_level
from sensord.decode.protobuf import BrokenError, fields, signed
from sensord.decode.text import NOT_FINITE
from sensord.model.conversions import meaning
from sensord.model.readings import Level, Metadata, Quality, Reason, Value
from sensord.model.units import spelled_unit

__all__ = ["BROKEN", "GAP", "UNKNOWN_ALIAS", "Config", "Decoder"]

BROKEN = "no Sparkplug message"
UNKNOWN_ALIAS = "unknown alias"
GAP = "gap in the sequence"

NULL = Quality(Level.BAD, Reason.MISSING)
"""Of a metric that has no value, as its node states: not one that was merely left empty."""

_MOST_NODES = 500
_MOST_ALIASES = 20_000
_MOST_METRICS = 5000
_LEVELS = 4
_SEQUENCE = 256

_SIGNED = {1: 8, 2: 16, 3: 32, 4: 64}
_DATE_TIME = 13
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")
_UNIT_PROPERTIES = {"engunit", "unit", "units"}

_HINT = "publish the command Node Control/Rebirth to the node, or start it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Whether metrics that were kept while a node was away are read, too."""

    historical: bool = True


class _Metric(NamedTuple):
    name: str | None
    alias: int | None
    time_us: int | None
    kind: int
    is_historical: bool
    unit: str
    value: Value
    is_null: bool


class _Node:
    """What is known of an edge node."""

    def __init__(self) -> None:
        self.aliases: dict[int, tuple[str, int]] = {}
        self.next: int | None = None


class Decoder:
    """Turns a message into a sample for each of its metrics."""

    def __init__(self, config: Config) -> None:
        self._reads_historical = config.historical
        self._nodes: dict[str, _Node] = {}
        self._units: dict[str, str] = {}

    def decode(self, message: bytes) -> Decoded:
        """Decode a message whose topic is not known: its metrics need names."""
        return self.decode_from("", message)

    def decode_from(self, source: str, message: bytes) -> Decoded:
        """Decode the message of a topic ``spBv1.0/group/type/node[/device]``."""
        kind, name = _place(source)
        node = self._node(name)
        metrics: list[_Metric] = []
        sequence, time_us = None, None
        try:
            for number, value in fields(message):
                if number == 1 and isinstance(value, int):
                    time_us = value * 1000
                elif number == 3 and isinstance(value, int):  # noqa: PLR2004  # as the schema numbers them
                    sequence = value % _SEQUENCE
                elif number == 2 and isinstance(value, bytes) and len(metrics) < _MOST_METRICS:  # noqa: PLR2004
                    metrics.append(_metric(value))
        except (BrokenError, UnicodeDecodeError, struct.error):
            return Decoded([], [Fault(BROKEN, excerpt(message))])
        faults: list[Fault] = []
        if kind == "NBIRTH":
            node.aliases.clear()
        elif sequence is not None and node.next not in {None, sequence}:
            text = f"{sequence} in place of {node.next}"
            faults.append(Fault(GAP, text.encode(), _HINT))
        if sequence is not None:
            node.next = (sequence + 1) % _SEQUENCE
        samples = list(self._samples(node, metrics, time_us, faults))
        return Decoded(samples, faults)

    def metadata(self, field: str) -> Metadata | None:
        """Return the unit that a birth gave a field, if any."""
        unit = self._units.get(field)
        return None if unit is None else Metadata(unit=unit)

    def _node(self, name: str) -> _Node:
        node = self._nodes.get(name)
        if node is None:
            while len(self._nodes) >= _MOST_NODES:
                del self._nodes[next(iter(self._nodes))]
            node = self._nodes[name] = _Node()
        return node

    def _samples(
        self, node: _Node, metrics: list[_Metric], time_us: int | None, faults: list[Fault]
    ) -> Iterator[Sample]:
        for one in metrics:
            name, kind = one.name, one.kind
            if name is not None:
                if one.alias is not None and len(node.aliases) < _MOST_ALIASES:
                    node.aliases[one.alias] = name, kind
            elif (known := node.aliases.get(one.alias or 0)) is not None:
                name, kind = known[0], kind or known[1]
            else:
                if not any(fault.reason == UNKNOWN_ALIAS for fault in faults):
                    faults.append(Fault(UNKNOWN_ALIAS, f"alias {one.alias}".encode(), _HINT))
                continue
            if name == "bdSeq" or (one.is_historical and not self._reads_historical):
                continue
            field = "/".join(field_level(level) for level in name.split("/") if level)
            if not field:
                continue
            if one.unit:
                self._units.setdefault(field, one.unit)
            yield _sample(field, one, kind, time_us)


def _sample(field: str, one: _Metric, kind: int, time_us: int | None) -> Sample:
    value, when = one.value, one.time_us or time_us
    if one.is_null or value is None:
        return Sample(field, None, NULL, when)
    if kind in _SIGNED and isinstance(value, int):
        value = signed(value, _SIGNED[kind])
    if isinstance(value, float) and not math.isfinite(value):
        return Sample(field, None, NOT_FINITE, when)
    return Sample(field, value, time_us=when, unit=one.unit or None)


def _place(source: str) -> tuple[str, str]:
    """Return the type of message and the node that a topic names."""
    levels = source.split("/")
    if len(levels) < _LEVELS:
        return "", ""
    return levels[2], f"{levels[1]}/{levels[3]}"


def _metric(data: bytes) -> _Metric:
    found = dict(fields(data))
    name, alias, time = found.get(1), found.get(2), found.get(3)
    kind = found.get(4, 0)
    return _Metric(
        name=name.decode() if isinstance(name, bytes) else None,
        alias=alias if isinstance(alias, int) else None,
        time_us=time * 1000 if isinstance(time, int) else None,
        kind=kind if isinstance(kind, int) else 0,
        is_historical=bool(found.get(5)),
        unit=_unit(found.get(9)),
        value=_value(found),
        is_null=bool(found.get(7)),
    )


def _value(found: dict[int, int | bytes]) -> Value:
    whole = found.get(10, found.get(11))
    if isinstance(whole, int):
        return whole
    text, truth, single, double = found.get(15), found.get(14), found.get(12), found.get(13)
    if isinstance(double, bytes):
        number: float = _DOUBLE.unpack(double)[0]
        return number
    if isinstance(single, bytes):
        return _shortest(single)
    if isinstance(truth, int):
        return bool(truth)
    return text.decode() if isinstance(text, bytes) else None


def _shortest(data: bytes) -> float:
    """Return the shortest decimal number that four bytes represent, as it was meant."""
    exact: float = _FLOAT.unpack(data)[0]
    if not math.isfinite(exact):
        return exact
    for digits in (6, 7, 8):
        short = float(f"{exact:.{digits}g}")
        if _FLOAT.pack(short) == data:
            return short
    return exact


def _unit(properties: int | bytes | None) -> str:
    """Return the unit among a metric's properties, if it is known."""
    if not isinstance(properties, bytes):
        return ""
    keys: list[str] = []
    values: list[bytes] = []
    for number, value in fields(properties):
        if isinstance(value, bytes):
            if number == 1:
                keys.append(value.decode())
            elif number == 2:  # noqa: PLR2004  # as the schema numbers them
                values.append(value)
    for key, property_ in zip(keys, values, strict=False):
        text = dict(fields(property_)).get(8)
        if key.casefold() in _UNIT_PROPERTIES and isinstance(text, bytes):
            unit = spelled_unit(text.decode()) or text.decode()
            return unit if meaning(unit) else ""
    return ""
