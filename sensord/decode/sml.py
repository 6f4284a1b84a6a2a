"""Decode SML files, which German electricity meters send: values with OBIS code, unit and scaler.

Shape: a file is a sequence of messages, each a list of six; those of kind ``0701`` hold a list of
entries of seven elements: code, status, time, unit, scaler, value, signature. The first byte of an
element has its type in the bits 4 to 6 and its length, with itself, in the lowest four; bit 7
continues the length in the next byte.

Source: BSI TR-03109-1, annex IV, "Smart Message Language"; units by IEC 62056-62.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from sensord.decode.base import NOTHING, Decoded, Fault, Sample, excerpt
from sensord.model.readings import Metadata
from sensord.model.topics import topic_fault

__all__ = ["BROKEN", "NOT_HEX", "Config", "Decoder"]

BROKEN = "broken list"
NOT_HEX = "not hexadecimal"

_Node = bytes | bool | int | list[Any] | None

_OCTETS, _BOOLEAN, _SIGNED, _UNSIGNED, _LIST = 0, 4, 5, 6, 7
_MOST_LEVELS = 16
_MOST_BYTES = 8
_LIST_RESPONSE = 0x0701
_MESSAGE_ELEMENTS, _BODY, _VALUES, _ENTRY_ELEMENTS = 6, 3, 4, 7
_CODE_BYTES = 6
_SMALLEST_SCALER, _LARGEST_SCALER = -12, 12

_UNITS = {
    6: "K", 7: "Pa", 8: "deg", 9: "Cel", 11: "m", 13: "m3", 14: "m3", 15: "m3/h",
    16: "m3/h", 19: "l", 20: "kg", 23: "Pa", 24: "bar", 25: "J", 26: "J/h", 27: "W", 28: "V.A",
    29: "V.A{reactive}", 30: "W.h", 31: "V.A.h", 32: "V.A.h{reactive}", 33: "A", 34: "C", 35: "V",
    36: "V/m", 37: "F", 38: "Ohm", 44: "Hz",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Which codes are wanted: ``fields`` gives each its name.

    A code may leave out what stands before the colon. Without ``fields`` each code is a field.
    """

    fields: dict[str, str] = field(default_factory=dict)
    input: Literal["raw", "hex"] = "raw"

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        for name, code in self.fields.items():
            if (fault := topic_fault(name)) is not None:
                yield "fields", f'"{name}": {fault}'
            bare = code.rpartition(":")[2]
            if bare.count(".") != 2 or not bare.replace(".", "").isdecimal():  # noqa: PLR2004  # C, D, E
                yield "fields", f'"{code}" is no OBIS code, such as "1-0:1.8.0" or "1.8.0"'


class Decoder:
    """Turns a file into a sample for each of its entries."""

    def __init__(self, config: Config) -> None:
        self._names = {code: name for name, code in config.fields.items()}
        self._is_hex = config.input == "hex"
        self._units: dict[str, tuple[str, int | None]] = {}

    def decode(self, message: bytes) -> Decoded:
        """Decode one file."""
        if self._is_hex:
            try:
                message = bytes.fromhex(message.decode("ascii").strip())
            except ValueError:
                return Decoded([], [Fault(NOT_HEX, excerpt(message))])
        samples: list[Sample] = []
        parser = _Parser(message)
        try:
            while not parser.is_done():
                node = parser.node()
                for entry in _entries(node):
                    sample = self._sample(entry)
                    if sample is not None:
                        samples.append(sample)
        except _BrokenError:
            return Decoded(samples, [Fault(BROKEN, excerpt(message))])
        return Decoded(samples, [])

    def metadata(self, field: str) -> Metadata | None:
        """Return the unit and decimals that the meter sent first with a field."""
        found = self._units.get(field)
        return None if found is None else Metadata(unit=found[0], decimals=found[1])

    def _sample(self, entry: list[_Node]) -> Sample | None:
        code, _, _, unit, scaler, value = entry[:6]
        if not isinstance(code, bytes) or len(code) != _CODE_BYTES:
            return None
        full = f"{code[0]}-{code[1]}:{code[2]}.{code[3]}.{code[4]}"
        name = self._name(full)
        if name is None:
            return None
        if value is None:
            return Sample(name, None, NOTHING, None, "")
        if isinstance(value, bytes):
            return Sample(name, _text(value))
        if isinstance(value, list):
            return None
        if isinstance(value, bool):
            return Sample(name, value)
        spelled = _UNITS.get(unit, "") if isinstance(unit, int) else ""
        power = scaler if isinstance(scaler, int) and not isinstance(scaler, bool) else 0
        if not _SMALLEST_SCALER <= power <= _LARGEST_SCALER:
            return None
        self._units.setdefault(name, (spelled, -power if power < 0 else None))
        number: int | float = value / 10**-power if power < 0 else value * 10**power
        return Sample(name, number, unit=spelled or None)

    def _name(self, full: str) -> str | None:
        if not self._names:
            return full
        return self._names.get(full) or self._names.get(full.partition(":")[2])


def _text(value: bytes) -> str:
    """Return the text of octets: words unchanged, identifiers in hexadecimal digits."""
    text = value.decode("latin-1")
    return text if text and text.isascii() and text.isprintable() else value.hex()


def _entries(node: _Node) -> Iterator[list[_Node]]:
    """Yield the entries of a message, if it is a list of values."""
    if not isinstance(node, list) or len(node) != _MESSAGE_ELEMENTS:
        return
    body = node[_BODY]
    if not isinstance(body, list) or len(body) != 2 or body[0] != _LIST_RESPONSE:  # noqa: PLR2004  # a choice
        return
    response = body[1]
    if not isinstance(response, list) or len(response) <= _VALUES:
        return
    values = response[_VALUES]
    for entry in values if isinstance(values, list) else ():
        if isinstance(entry, list) and len(entry) == _ENTRY_ELEMENTS:
            yield entry


class _BrokenError(ValueError):
    """The bytes there are not an element."""


class _Parser:
    """Reads elements one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def is_done(self) -> bool:
        """Return whether only padding is left."""
        return not self._data[self._at :].strip(b"\0")

    def node(self, level: int = 0) -> _Node:
        """Return the next element."""
        if level > _MOST_LEVELS:
            raise _BrokenError
        kind, length, size = self._head()
        if kind == _LIST:
            return [self.node(level + 1) for _ in range(length)]
        if length == 0:
            return None  # the end of a message
        part = self._take(length - size)
        if kind == _OCTETS:
            return part or None
        if kind == _BOOLEAN:
            return any(part)
        if kind not in {_SIGNED, _UNSIGNED} or not 0 < len(part) <= _MOST_BYTES:
            raise _BrokenError
        return int.from_bytes(part, "big", signed=kind == _SIGNED)

    def _head(self) -> tuple[int, int, int]:
        first = self._take(1)[0]
        kind, length, size = first >> 4 & 7, first & 0xF, 1
        while first & 0x80:
            first = self._take(1)[0]
            length, size = length << 4 | first & 0xF, size + 1
            if length > len(self._data):
                raise _BrokenError
        if kind != _LIST and 0 < length < size:
            raise _BrokenError
        return kind, length, size

    def _take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if len(part) != count:
            raise _BrokenError
        self._at += count
        return part
