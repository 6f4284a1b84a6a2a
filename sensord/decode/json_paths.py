"""Decode messages that are JSON: every leaf, or the paths that the configuration names.

Shape: one JSON value (RFC 8259) in UTF-8; of two equal keys the last one counts. What is not
quite JSON is read by `almost_json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sensord.decode import almost_json
from sensord.decode.almost_json import Unreadable, WrittenFloat, WrittenInt
from sensord.decode.base import (
    BAD_TIME,
    NOTHING,
    UNREAD,
    Decoded,
    Fault,
    Sample,
    excerpt,
    make_decoded,
    make_sample,
    trimmed,
)
from sensord.decode.naming import field_level
from sensord.decode.source_time import SourceTime, TimeUnit, zone_fault
from sensord.decode.text import NOT_FINITE, TOO_MANY_VALUES
from sensord.decode.unit_fields import UnitFields, unit_fields_fault
from sensord.model.readings import GOOD, Level, Metadata, Quality, Reason, Value
from sensord.model.topics import topic_fault
from sensord.model.units import spelled_unit

__all__ = [
    "BAD_TIME",
    "NOT_JSON",
    "PATH_MISSING",
    "SAME_NAME",
    "TOO_DEEP",
    "Config",
    "Decoder",
    "TimeUnit",
]

NOT_JSON = "not JSON"
TOO_DEEP = "nested too deep"
SAME_NAME = "two keys with one name"
PATH_MISSING = "path missing"

MAX_DEPTH = 12
"""A topic has 16 levels at most, and some of them are the device's place."""

MAX_SAMPLES = 1000
"""Bounds the channels that one message can open."""

WHOLE = "."
"""The path of the whole message."""

BARE_FIELD = "value"
"""What a message that is one bare value is called."""

PARTLY_READ = Quality(Level.UNCERTAIN, Reason.WRONG_TYPE)
"""The same where something was no value of JSON."""

PARTLY_FINITE = Quality(Level.UNCERTAIN, Reason.NOT_FINITE)
"""An array or object with a value that is not finite: that one is null, the rest is kept."""


_WRITTEN = (WrittenFloat, WrittenInt, Unreadable)

_STEP = re.compile(r"\.?([^.\[\]\"]+)|\[(\d{1,9})\]|\[\"([^\"]*)\"\]")

Step = str | int


_INFINITY = float("inf")


@dataclass(frozen=True, slots=True)
class Named:
    """An array of objects that name their values: the paths of the array, and in each object."""

    list: str
    name: str = "name"
    value: str = "value"
    unit: str = ""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield invalid paths."""
        for key in ("list", "name", "value", "unit"):
            path = getattr(self, key)
            if (path or key != "unit") and parse_path(path) is None:
                yield key, f'"{path}" is not a path such as sensors'


@dataclass(frozen=True, slots=True)
class Config:
    """Which values to collect.

    ``fields`` says where in the message each field stands: ``"env.temperature"``,
    ``"probes[0].value"``, ``'["a.b"].c'`` for a key that holds a dot, ``"."`` for the whole
    message. Without it every leaf is a field, named by its keys and indexes:
    ``env/temperature``, ``probes/0/value``. ``time`` is the path of the source time, ``zone``
    that of times which name none: ``"Europe/Berlin"``, or ``"local"``. With
    ``required`` a message that lacks one of these paths is a fault. ``root`` is the path of the
    part that the fields are in, ``named`` an array whose objects name their values, ``parse`` the
    paths of texts that are JSON themselves. ``unit_fields`` names for each field the one that is
    its unit.
    """

    fields: dict[str, str] = field(default_factory=dict)
    unit_fields: dict[str, str] = field(default_factory=dict)
    time: str = ""
    time_unit: TimeUnit = TimeUnit.SECONDS
    zone: str = ""
    required: bool = False
    root: str = ""
    named: Named | None = None
    parse: tuple[str, ...] = ()

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        for name, path in self.fields.items():
            if (fault := topic_fault(name)) is not None:
                yield "fields", f'"{name}": {fault}'
            if parse_path(path) is None:
                yield "fields", f'"{path}" is not a path such as env.temperature or probes[0].value'
        if self.time and parse_path(self.time) is None:
            yield "time", "is not a path such as meta.time"
        if self.root and parse_path(self.root) is None:
            yield "root", "is not a path such as uplink_message.decoded_payload"
        for path in self.parse:
            if not parse_path(path):
                yield "parse", f'"{path}" is not a path such as payload_json'
        if self.named is not None and self.fields:
            yield "named", "give fields or named, not both"
        yield from zone_fault(self.zone, self.time_unit)
        yield from unit_fields_fault(self.unit_fields, self.fields)


def parse_path(path: str) -> tuple[Step, ...] | None:
    """Return the steps of a path, or None if it is not one."""
    if path == WHOLE:
        return ()
    steps: list[Step] = []
    position = 0
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None or (position == 0 and path.startswith(".")):
            return None
        key, index, quoted = step.groups()
        # Two keys are parted by a dot; `[0]name` is a slip.
        if key is not None and position and not step[0].startswith("."):
            return None
        steps.append(int(index) if index is not None else key if key is not None else quoted)
        position = step.end()
    return tuple(steps) or None


class Decoder:
    """Turns one JSON message into samples."""

    def __init__(self, config: Config) -> None:
        self._paths = [(name, parse_path(path) or ()) for name, path in config.fields.items()]
        self._time = (parse_path(config.time) or ()) if config.time else None
        self._source = SourceTime(config.time_unit, config.zone)
        # Every sample carries the source time; it is not a reading of its own.
        self._time_field = "/".join(field_level(str(step)) for step in self._time or ())
        self._units = UnitFields(config.unit_fields) if config.unit_fields else None
        self._required = config.required
        self._root = (parse_path(config.root) or ()) if config.root else None
        self._named = None if config.named is None else _NamedPaths.of(config.named)
        self._parsed = [parse_path(path) or () for path in config.parse]
        self._parse = json.JSONDecoder().decode
        self._keeps_text = False
        self.encoding = "utf-8"
        self.decimal_comma = False

    def keep_text(self) -> None:
        """Add to each sample how its value was written."""
        self._keeps_text = True
        self._parse = almost_json.reader_with_text().decode

    def decode(self, message: bytes) -> Decoded:
        """Decode one message.

        Null is no value: it gives no sample.
        """
        try:
            root = self._read(message)
        # ValueError is bad UTF-8, bad JSON, or an integer with more digits than Python converts.
        except ValueError:
            if not trimmed(message).strip():
                return Decoded([], [])
            return Decoded([], [Fault(NOT_JSON, excerpt(message))])
        except RecursionError:
            return Decoded([], [Fault(TOO_DEEP, excerpt(message))])
        reasons: list[str] = []
        for path in self._parsed:
            self._parse_inner(root, path, reasons)
        # A lone surrogate can only come from an escape; without one no text needs a look.
        time_us = self._source_time(root, reasons)
        harvest = _Harvest(time_us, b"\\u" in message, self._keeps_text)
        self._harvest(root, harvest, reasons)
        reasons += harvest.reasons
        faults = [Fault(reason, excerpt(message)) for reason in reasons]
        decoded = make_decoded((harvest.samples, faults))
        return decoded if self._units is None else self._units.applied(decoded)

    def _harvest(self, root: Value, harvest: _Harvest, reasons: list[str]) -> None:
        """Collect the values that are asked for."""
        skipped = self._time_field
        if self._root is not None:
            root, skipped = _find(root, self._root), ""
            if root is None and self._required:
                reasons.append(PATH_MISSING)
        if self._named is not None:
            self._named.harvest(root, harvest)
        elif self._paths:
            for name, path in self._paths:
                node = _find(root, path)
                if node is not None:
                    harvest.take(name, node)
                elif self._required:
                    reasons.append(PATH_MISSING)
                elif self._keeps_text and _is_null(root, path):
                    harvest.take_null(name)
        else:
            harvest.take_leaves("", root, 0, skipped)

    @property
    def is_zone_known(self) -> bool:
        """Whether the last source time named its zone; else it was read as UTC."""
        return self._source.is_zone_known

    def metadata(self, field: str) -> Metadata | None:
        """Return the unit that came with a field, if any."""
        return None if self._units is None else self._units.metadata(field)

    def _read(self, message: bytes) -> Any:  # noqa: ANN401  # whatever JSON holds
        text = message.decode()
        try:
            return self._parse(text)
        except ValueError:
            return almost_json.read(text)

    def _parse_inner(self, root: Value, path: tuple[Step, ...], reasons: list[str]) -> None:
        """Replace a text that is JSON by what it holds."""
        parent, text = _find(root, path[:-1]), _find(root, path)
        if not isinstance(text, str):
            return
        try:
            inner = self._read(text.encode())
        except (ValueError, RecursionError):
            reasons.append(NOT_JSON)
            return
        if isinstance(parent, dict | list):
            parent[path[-1]] = inner  # type: ignore[index]  # it was found there

    def _source_time(self, root: Value, reasons: list[str]) -> int | None:
        if self._time is None:
            return None
        node = _find(root, self._time)
        time_us = None if node is None else self._source.read(node)
        if time_us is None and (node is not None or self._required):
            reasons.append(PATH_MISSING if node is None else BAD_TIME)
        return time_us


class _NamedPaths:
    """Collects the values of an array whose objects name them."""

    def __init__(self, steps: dict[str, tuple[Step, ...]]) -> None:
        self._steps = steps

    @classmethod
    def of(cls, named: Named) -> _NamedPaths:
        """Read the paths."""
        keys = ("list", "name", "value", "unit")
        return cls({key: parse_path(getattr(named, key)) or () for key in keys})

    def harvest(self, root: Value, harvest: _Harvest) -> None:
        """Collect each value under its name; an object without one is left out."""
        found = _find(root, self._steps["list"])
        for one in found if isinstance(found, list) else []:
            name, value = _find(one, self._steps["name"]), _find(one, self._steps["value"])
            if not isinstance(name, str | int) or value is None:
                continue
            before = len(harvest.samples)
            harvest.take(field_level(str(name)), value)
            unit = _find(one, self._steps["unit"]) if self._steps["unit"] else None
            if isinstance(unit, str) and unit.strip() and len(harvest.samples) > before:
                code = spelled_unit(unit) or unit
                harvest.samples[-1] = harvest.samples[-1]._replace(unit=code)


class _Harvest:
    """The samples collected from one message so far."""

    __slots__ = ("_has_escapes", "_keeps_text", "_time_us", "_whole", "reasons", "samples")

    def __init__(self, time_us: int | None, has_escapes: bool, keeps_text: bool) -> None:  # noqa: FBT001
        self._time_us = time_us
        self._has_escapes = has_escapes
        self._keeps_text = keeps_text
        self._whole = GOOD
        self.samples: list[Sample] = []
        self.reasons: list[str] = []
        """What went wrong, each reason once a message."""

    def take_leaves(self, field: str, node: Value, depth: int, skipped: str) -> None:
        """Collect every leaf under ``node``, named by its keys and indexes."""
        children: Iterable[tuple[str, Value]]
        if isinstance(node, dict):
            levels = [*map(field_level, node)]
            children = zip(levels, node.values(), strict=True)
            if len({*levels}) < len(levels):
                children = self._apart(children)
        elif isinstance(node, list):
            children = zip(map(str, range(len(node))), node, strict=True)
        else:
            if not depth or field != skipped:
                if node is not None:
                    self.take(field or BARE_FIELD, node)
                elif self._keeps_text:
                    self.take_null(field or BARE_FIELD)
            return
        if depth == MAX_DEPTH:
            self._note(TOO_DEEP)
            return
        prefix = f"{field}/" if depth else ""
        for level, child in children:
            name = prefix + level
            if (type(child) is float or type(child) is int) and name != skipped:
                self.take(name, child)
            else:
                self.take_leaves(name, child, depth + 1, skipped)

    def _apart(self, children: Iterable[tuple[str, Value]]) -> Iterable[tuple[str, Value]]:
        """Return the first child of each level: others would share its channel."""
        self._note(SAME_NAME)
        first: dict[str, Value] = {}
        for level, child in children:
            first.setdefault(level, child)
        return first.items()

    def take(self, field: str, node: Value) -> None:
        """Collect ``node`` whole, whatever its type."""
        if len(self.samples) == MAX_SAMPLES:
            self._note(TOO_MANY_VALUES)
            return
        quality, text = GOOD, None
        # Types are compared exactly: most values are plain ones, and the others are derived.
        if type(node) is float:
            if not -_INFINITY < node < _INFINITY:
                node, quality = None, NOT_FINITE
        elif type(node) is int:
            pass
        elif type(node) is str:
            node = self._text(node)
        elif isinstance(node, _WRITTEN):
            node, quality, text = self._written(node)
        elif isinstance(node, dict | list):
            self._whole = GOOD
            node = self._cleaned(node, 0)
            quality = self._whole
        self.samples.append(make_sample((field, node, quality, self._time_us, text, None)))

    def take_null(self, field: str) -> None:
        """Note that a value is null: for some channels that is a missing value."""
        if len(self.samples) < MAX_SAMPLES:
            self.samples.append(Sample(field, None, NOTHING, self._time_us, "null"))

    def _written(
        self, node: WrittenFloat | WrittenInt | Unreadable
    ) -> tuple[Value, Quality, str | None]:
        """Return a value that knows its text as a plain one, and the text where it is wanted."""
        if isinstance(node, Unreadable):
            return None, UNREAD, node.text
        text = node.text if self._keeps_text else None
        if isinstance(node, WrittenInt):
            return int(node), GOOD, text
        is_finite = -_INFINITY < node < _INFINITY
        return (float(node), GOOD, text) if is_finite else (None, NOT_FINITE, text)

    def _cleaned(self, node: Value | Unreadable, depth: int) -> Value:
        """Return ``node`` without its invalid parts."""
        if isinstance(node, Unreadable):
            self._whole = PARTLY_READ
            return None
        if isinstance(node, WrittenInt):
            return int(node)
        if isinstance(node, float):
            if -_INFINITY < node < _INFINITY:
                return float(node)
            self._whole = PARTLY_FINITE
            return None
        if isinstance(node, str):
            return self._text(node)
        if not isinstance(node, dict | list):
            return node
        if depth == MAX_DEPTH:
            self._note(TOO_DEEP)
            return None
        if isinstance(node, list):
            return [self._cleaned(child, depth + 1) for child in node]
        return {self._text(key): self._cleaned(child, depth + 1) for key, child in node.items()}

    def _text(self, text: str) -> str:
        return _encodable(text) if self._has_escapes else text

    def _note(self, reason: str) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)


def _find(root: Value, path: tuple[Step, ...]) -> Value:
    """Return the value at ``path``; None if it is absent or null."""
    node = root
    for step in path:
        if isinstance(step, str) and isinstance(node, dict):
            node = node.get(step)
        elif isinstance(step, int) and isinstance(node, list) and step < len(node):
            node = node[step]
        else:
            return None
    return node


def _is_null(root: Value, path: tuple[Step, ...]) -> bool:
    """Return whether there is a null at ``path``, and not merely nothing."""
    parent = _find(root, path[:-1])
    if not path:
        return root is None
    step = path[-1]
    if isinstance(step, str):
        return isinstance(parent, dict) and step in parent
    return isinstance(parent, list) and step < len(parent)


def _encodable(text: str) -> str:
    # UTF-16 knows which surrogates are pairs; the lone ones become U+FFFD.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
