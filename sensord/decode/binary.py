"""Decode binary messages: numbers, bits and texts at declared offsets.

The bytes may come from a framed serial stream, a polled answer or an MQTT payload, there also as
hexadecimal digits or base64.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

from sensord.config.schema import Within
from sensord.decode.base import (
    NOTHING,
    Decoded,
    Fault,
    Sample,
    excerpt,
    make_decoded,
    make_sample,
)
from sensord.decode.framing.frames import hex_bytes
from sensord.decode.text import NOT_FINITE
from sensord.model.readings import GOOD, Metadata, ValueType
from sensord.model.topics import topic_fault
from sensord.model.units import unit_fault

__all__ = [
    "NOT_TEXT",
    "TOO_SHORT",
    "UNKNOWN",
    "Config",
    "Decoder",
    "Field",
    "Kind",
    "Repeat",
    "reader_of",
]

TOO_SHORT = "message too short"
UNKNOWN = "unknown kind of message"
NOT_TEXT = "not hexadecimal or base64"

FieldType = Literal[
    "u8", "i8", "u16", "i16", "u24", "i24", "u32", "i32", "u64", "i64", "f32", "f64",
    "bcd", "ascii", "hex",
]  # fmt: skip
Order = Literal["big", "little", "big_swapped", "little_swapped"]

_PLACES = re.compile(r"\{(\w+)\}")
_MOST_GROUPS = 1024
_EXACT_DIGITS = 15
_SINGLE = struct.Struct("f")
_POWERS = {10.0**-n: 10**n for n in range(1, 10)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A value at an offset, which is negative from the message's end.

    ``bytes`` is needed for ``bcd``, ``ascii`` and ``hex``. ``bit`` makes a boolean of one bit of a
    whole number, ``bits`` a number of the bits from the first to the last, counted from the lowest.
    In the ``_swapped`` orders the 16-bit words stand in the order opposite to that of their bytes.
    ``missing`` are the numbers, before ``scale`` and ``offset``, that stand for no value.
    """

    at: Annotated[int, Within(-65_536, 65_535)]
    type: FieldType = "u8"
    bytes: Annotated[int, Within(1, 256)] | None = None
    byte_order: Order | None = None
    bit: Annotated[int, Within(0, 63)] | None = None
    bits: tuple[Annotated[int, Within(0, 63)], ...] = ()
    scale: float = 1.0
    offset: float = 0.0
    missing: tuple[float, ...] = ()
    unit: str = ""

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.bytes or _SIZES.get(self.type, 1)

    @property
    def is_text(self) -> bool:
        """Whether its value is a text."""
        return self.type in {"ascii", "hex"}

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        needs = self.type not in _SIZES
        if needs and self.bytes is None:
            yield "bytes", f"is needed with {self.type}: how many bytes it has"
        if not needs and self.bytes is not None:
            yield "bytes", f"{self.type} has {_SIZES[self.type]} bytes by itself"
        if self.bits and (len(self.bits) != 2 or self.bits[0] > self.bits[1]):  # noqa: PLR2004  # a pair
            yield "bits", "expected the first and the last bit, such as [4, 7]"
        if (self.bit is not None or self.bits) and not self.type.startswith("u"):
            yield "bit", 'needs a whole number without sign, such as type = "u8"'
        highest = self.bit if self.bit is not None else max(self.bits, default=0)
        if highest >= 8 * self.size:
            yield "bit", f"{self.type} has the bits 0 to {8 * self.size - 1}"
        if self.bit is not None and self.bits:
            yield "bits", "give bit or bits, not both"
        if self.at < 0 and self.at + self.size > 0:
            yield "at", "reaches beyond the end of the message"
        if self.is_text and (self.scale != 1.0 or self.offset or self.missing):
            yield "scale", "a text has none"

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Yield a unit that no program knows."""
        if self.unit and (message := unit_fault(self.unit)):
            yield "unit", message


_SIZES = {
    "u8": 1, "i8": 1, "u16": 2, "i16": 2, "u24": 3, "i24": 3, "u32": 4, "i32": 4, "u64": 8,
    "i64": 8, "f32": 4, "f64": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """Groups of fields that follow each other, such as the cells of a battery.

    They begin at ``at``, have ``size`` bytes each, and are as many as ``count`` has in the message,
    or as fit before ``stop``. In the fields' names ``{n}`` is the number of the group, from
    ``first`` on, and ``{name}`` the value of another of its fields, which then gives no reading.
    """

    at: Annotated[int, Within(0, 65_535)]
    size: Annotated[int, Within(1, 1024)]
    count: Field | None = None
    stop: Annotated[int, Within(-1024, 0)] = 0
    first: Annotated[int, Within(0, 65_535)] = 1
    fields: dict[str, Field]

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        if self.count is not None and self.count.is_text:
            yield "count", "is a number"
        places = {place for name in self.fields for place in _PLACES.findall(name)}
        for name in places - {"n"}:
            if name not in self.fields:
                yield "fields", f"{{{name}}} is not one of them; {{n}} is the group's number"
        for name, one in self.fields.items():
            if not _PLACES.search(name) and name not in places:
                yield "fields", f'"{name}" needs a place, such as "{name}/{{n}}"'
            if not 0 <= one.at <= self.size - one.size:
                yield "fields", f'"{name}": offsets count in the group, which has {self.size} bytes'
        yield from _names({_PLACES.sub("x", name): one for name, one in self.fields.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of message: at each offset of ``when`` stand the bytes that it names."""

    when: dict[str, str] = field(default_factory=dict)
    length: Annotated[int, Within(1, 65_536)] | None = None
    fields: dict[str, Field] = field(default_factory=dict)
    repeat: Repeat | None = None

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        for at, wanted in self.when.items():
            if not at.lstrip("-").isdecimal():
                yield "when", f'expected an offset for each entry, such as "1" = "86", got "{at}"'
            elif not wanted or hex_bytes(wanted) is None:
                yield "when", f'at {at}: expected bytes in hexadecimal digits, such as "86"'
        if not self.fields and self.repeat is None:
            yield "fields", "is missing: what the message holds"
        yield from _names(self.fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Which values stand where.

    With ``messages`` there are several kinds: the first one whose ``when`` and ``length`` hold is
    used. A message of no kind is a fault unless ``ignore_unknown``.
    """

    byte_order: Order = "big"
    input: Literal["raw", "hex", "base64"] = "raw"
    fields: dict[str, Field] = field(default_factory=dict)
    repeat: Repeat | None = None
    messages: tuple[Kind, ...] = ()
    ignore_unknown: bool = False

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        if bool(self.fields or self.repeat) == bool(self.messages):
            yield "fields", "give either fields, or messages if there are several kinds"
        units: dict[str, str] = {}
        for name, one in (
            (name, one) for kind in self.messages for name, one in kind.fields.items()
        ):
            if units.setdefault(name, one.unit) != one.unit:
                yield "messages", f'"{name}" is in {units[name]!r} here and in {one.unit!r} there'
        yield from _names(self.fields)


def _names(fields: dict[str, Field]) -> Iterator[tuple[str, str]]:
    for name in fields:
        if (fault := topic_fault(name)) is not None:
            yield "fields", f'"{name}": {fault}'


class _Compiled(NamedTuple):
    when: list[tuple[int, bytes]]
    length: int | None
    readers: list[tuple[str, Callable[[bytes], Sample | None]]]
    groups: _Groups | None


class _Groups:
    """Reads the groups of a message."""

    def __init__(self, repeat: Repeat, order: Order) -> None:
        self._repeat = repeat
        count = repeat.count
        self._count = None if count is None else reader_of("n", count, order)
        places = {place for name in repeat.fields for place in _PLACES.findall(name)}
        self._of_names: list[tuple[str, Callable[[bytes], Sample | None]]] = []
        self._of_values: list[tuple[str, Callable[[bytes], Sample | None], Metadata]] = []
        for name, one in repeat.fields.items():
            read = reader_of(name, one, order)
            if name in places:
                self._of_names.append((name, read))
            else:
                self._of_values.append((name, read, _metadata(one)))

    def samples(self, data: bytes, known: dict[str, Metadata]) -> list[Sample] | None:
        """Return the samples of all groups; None if the message ends before the last one."""
        repeat = self._repeat
        room = (len(data) + repeat.stop - repeat.at) // repeat.size
        wanted = room
        if self._count is not None:
            found = self._count(data)
            if found is None or not isinstance(found.value, int | float):
                return None
            wanted = int(found.value)
        if not 0 <= wanted <= room:
            return None
        samples: list[Sample] = []
        for index in range(min(wanted, _MOST_GROUPS)):
            begin = repeat.at + index * repeat.size
            self._group(data[begin : begin + repeat.size], index + repeat.first, samples, known)
        return samples

    def _group(
        self, part: bytes, number: int, samples: list[Sample], known: dict[str, Metadata]
    ) -> None:
        texts = {"n": str(number)}
        for name, read in self._of_names:
            found = read(part)
            texts[name] = "" if found is None or found.value is None else f"{found.value}"
        for name, read, metadata in self._of_values:
            sample = read(part)
            full = _PLACES.sub(lambda place: texts[place[1]] or "_", name)
            known.setdefault(full, metadata)
            if sample is not None:
                samples.append(sample._replace(field=full))


class Decoder:
    """Turns one message into a sample for each of its fields."""

    def __init__(self, config: Config) -> None:
        kinds = config.messages or (Kind(fields=config.fields, repeat=config.repeat),)
        self._kinds = [_compiled(kind, config.byte_order) for kind in kinds]
        self._input = config.input
        self._ignores_unknown = config.ignore_unknown
        self._metadata: dict[str, Metadata] = {}
        for kind in kinds:
            for name, one in kind.fields.items():
                self._metadata.setdefault(name, _metadata(one))

    def decode(self, message: bytes) -> Decoded:
        """Decode one message."""
        data: bytes | None = message
        if self._input != "raw":
            data = _unpacked(message, self._input)
            if data is None:
                return Decoded([], [Fault(NOT_TEXT, excerpt(message))])
        assert data is not None, "it was unpacked"
        kind = next((one for one in self._kinds if _is_of(one, data)), None)
        if kind is None:
            faults = [] if self._ignores_unknown else [Fault(UNKNOWN, excerpt(message))]
            return Decoded([], faults)
        samples: list[Sample] = []
        faults = []
        for _, read in kind.readers:
            sample = read(data)
            if sample is not None:
                samples.append(sample)
            elif not faults:
                faults.append(Fault(TOO_SHORT, excerpt(message)))
        if kind.groups is not None:
            more = kind.groups.samples(data, self._metadata)
            samples += more or ()
            if more is None and not faults:
                faults.append(Fault(TOO_SHORT, excerpt(message)))
        return make_decoded((samples, faults))

    def metadata(self, field: str) -> Metadata | None:
        """Return the type, unit and decimals of a field."""
        return self._metadata.get(field)


def _unpacked(message: bytes, form: str) -> bytes | None:
    try:
        if form == "hex":
            return bytes.fromhex(message.decode("ascii").strip().removeprefix("0x"))
        return base64.b64decode(message.strip(), validate=True)
    except (ValueError, binascii.Error):
        return None


def _is_of(kind: _Compiled, data: bytes) -> bool:
    if kind.length is not None and len(data) != kind.length:
        return False
    for at, wanted in kind.when:
        begin = at if at >= 0 else len(data) + at
        if begin < 0 or data[begin : begin + len(wanted)] != wanted:
            return False
    return True


def _compiled(kind: Kind, order: Order) -> _Compiled:
    when = [(int(at), hex_bytes(wanted) or b"") for at, wanted in kind.when.items()]
    readers = [(name, reader_of(name, one, order)) for name, one in kind.fields.items()]
    groups = None if kind.repeat is None else _Groups(kind.repeat, order)
    return _Compiled(when, kind.length, readers, groups)


def _metadata(one: Field) -> Metadata:
    if one.is_text:
        return Metadata(ValueType.STRING)
    if one.bit is not None:
        return Metadata(ValueType.BOOL)
    decimals = None
    is_whole = not one.type.startswith("f")
    if is_whole and one.scale != 1.0 and not one.offset:
        decimals = next((n for n in range(1, 10) if math.isclose(one.scale, 10.0**-n)), None)
    return Metadata(ValueType.FLOAT, unit=one.unit, decimals=decimals)


def reader_of(name: str, one: Field, order: Order) -> Callable[[bytes], Sample | None]:
    """Return what reads a field's sample from a message; it returns None if that is too short."""
    raw = _raw(one, one.byte_order or order)
    size, at = one.size, one.at
    finish = _finish(one)

    def read(data: bytes) -> Sample | None:
        begin = at if at >= 0 else len(data) + at
        part = data[begin : begin + size] if begin >= 0 else b""
        if len(part) != size:
            return None
        value = raw(part)
        if value is None:
            return Sample(name, None, NOTHING, None, part.hex())
        return finish(name, value)

    return read


def _finish(one: Field) -> Callable[[str, int | float | str], Sample]:
    """Return what makes a sample of a raw value."""
    missing, scale, offset = set(one.missing), one.scale, one.offset
    if one.type.startswith("i"):
        # Manuals write the bits, 8000 hexadecimal, whatever number they are.
        missing |= {number - 2 ** (8 * one.size) for number in missing if number > 0}
    power = _POWERS.get(scale)
    is_plain = scale == 1.0 and not offset
    bit, bits = one.bit, one.bits

    def finish(name: str, value: float | str) -> Sample:
        if isinstance(value, str):
            return Sample(name, value)
        if bit is not None:
            return Sample(name, bool(int(value) >> bit & 1))
        if bits:
            value = int(value) >> bits[0] & (1 << bits[1] - bits[0] + 1) - 1
        if value in missing:
            return Sample(name, None, NOTHING, None, "")
        if not math.isfinite(value):
            return Sample(name, None, NOT_FINITE)
        if is_plain:
            return make_sample((name, value, GOOD, None, None, None))
        # Divided by a power of ten it is the nearest float to the decimal number that is meant.
        scaled = value / power if power is not None else value * scale
        scaled += offset
        if power is None or offset:
            scaled = float(f"{scaled:.{_EXACT_DIGITS}g}")
        return make_sample((name, scaled, GOOD, None, None, None))

    return finish


def _raw(one: Field, order: Order) -> Callable[[bytes], int | float | str | None]:
    """Return the function that reads a field's plain value; it returns None without one."""
    kind = one.type
    is_swapped = order.endswith("_swapped")
    endian: Literal["big", "little"] = "big" if order.startswith("big") else "little"
    if kind == "ascii":
        return _ascii
    if kind == "hex":
        return bytes.hex
    if kind == "bcd":
        return lambda part: _bcd(part if endian == "big" else part[::-1])
    if kind.startswith("f"):
        format_ = (">" if endian == "big" else "<") + ("f" if kind == "f32" else "d")
        unpack = struct.Struct(format_).unpack

        def floating(part: bytes) -> float:
            value: float = unpack(_words_reversed(part) if is_swapped else part)[0]
            return _shortest(value) if kind == "f32" else value

        return floating
    is_signed = kind.startswith("i")

    def whole(part: bytes) -> int:
        data = _words_reversed(part) if is_swapped else part
        return int.from_bytes(data, endian, signed=is_signed)

    return whole


def _shortest(value: float) -> float:
    """Return the shortest decimal number that is this one in single precision: it was meant."""
    if not math.isfinite(value):
        return value
    packed = _SINGLE.pack(value)
    candidates = (float(f"{value:.{digits}g}") for digits in (6, 7, 8))
    return next((one for one in candidates if _SINGLE.pack(one) == packed), value)


def _words_reversed(part: bytes) -> bytes:
    if len(part) % 2:  # u8 and u24 are no words
        return part
    return b"".join(part[at : at + 2] for at in range(len(part) - 2, -1, -2))


def _ascii(part: bytes) -> str | None:
    text = part.partition(b"\0")[0].decode("latin-1").strip()
    return text if text.isprintable() and text else None


def _bcd(part: bytes) -> int | None:
    digits = part.hex()
    return int(digits) if digits.isdecimal() else None
