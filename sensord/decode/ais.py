"""Decode AIS: what ships and shore stations send about themselves, in ``!AIVDM`` sentences.

Shape: a message is a row of bits, six in each character, spread over up to nine sentences, which
have a number in common. The bits 0 to 5 are its type and 8 to 37 the sender's number (MMSI); what
follows depends on the type. Each type has a table of fields here.

Source: ITU-R M.1371-5; E. S. Raymond, "AIVDM/AIVDO protocol decoding" (gpsd).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from sensord.decode.base import Decoded, Fault, Sample, excerpt
from sensord.decode.nmea0183.decoder import BAD_CHECKSUM, NO_CHECKSUM, NO_SENTENCE, checksum
from sensord.model.readings import Metadata, Value, ValueType

__all__ = ["BAD_CHECKSUM", "BROKEN", "NO_CHECKSUM", "NO_SENTENCE", "Config", "Decoder"]

BROKEN = "broken AIS message"

_MOST_PENDING = 16
_MOST_BITS = 1064
_COLUMNS = 7
_LAST_CODE, _GAP = 0x77, 0x57
_STATIC_REPORT = 24
_MOST_PADDING = 5

_KNOTS = "[kn_i]"
_FLOAT, _INT, _STRING = ValueType.FLOAT, ValueType.INT, ValueType.STRING

METADATA = {
    "mmsi": Metadata(_STRING),
    "type": Metadata(_INT),
    "latitude": Metadata(_FLOAT, "deg", 5),
    "longitude": Metadata(_FLOAT, "deg", 5),
    "speed_over_ground": Metadata(_FLOAT, _KNOTS, 1),
    "course_over_ground": Metadata(_FLOAT, "deg", 1),
    "heading_true": Metadata(_FLOAT, "deg", 0),
    "rate_of_turn": Metadata(_FLOAT, "deg/min", 1),
    "status": Metadata(_INT),
    "imo": Metadata(_INT),
    "call_sign": Metadata(_STRING),
    "name": Metadata(_STRING),
    "ship_type": Metadata(_INT),
    "length": Metadata(_FLOAT, "m", 0),
    "beam": Metadata(_FLOAT, "m", 0),
    "draught": Metadata(_FLOAT, "m", 1),
    "destination": Metadata(_STRING),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Whether the messages of our own ship (``!AIVDO``) are read, too."""

    own_ship: bool = True


class _Bits:
    """The bits of a message."""

    def __init__(self, payload: str, padding: int) -> None:
        number = 0
        for character in payload:
            code = ord(character) - 0x30
            number = number << 6 | (code - 8 if code > 0x27 else code)  # noqa: PLR2004  # the two ranges
        self._number = number >> padding
        self.count = 6 * len(payload) - padding

    def unsigned(self, start: int, length: int) -> int:
        return self._number >> (self.count - start - length) & ((1 << length) - 1)

    def signed(self, start: int, length: int) -> int:
        value = self.unsigned(start, length)
        return value - (1 << length) if value >> (length - 1) else value

    def text(self, start: int, length: int) -> str:
        stop = min(start + length, self.count - (self.count - start) % 6)
        codes = [self.unsigned(at, 6) for at in range(start, stop, 6)]
        letters = "".join(chr(one + 0x40 if one < 0x20 else one) for one in codes)  # noqa: PLR2004  # letters first
        return letters.partition("@")[0].strip()


class _Field(NamedTuple):
    """A field: its place, and how its bits are read; None is no value."""

    name: str
    start: int
    length: int
    read: Callable[[_Bits, int, int], Value]


def _scaled(divisor: int, missing: int) -> Callable[[_Bits, int, int], Value]:
    def read(bits: _Bits, start: int, length: int) -> Value:
        value = bits.unsigned(start, length)
        return None if value >= missing else value / divisor

    return read


def _whole(missing: int | None) -> Callable[[_Bits, int, int], Value]:
    def read(bits: _Bits, start: int, length: int) -> Value:
        value = bits.unsigned(start, length)
        return None if value == missing else value

    return read


def _angle(limit: int, divisor: int) -> Callable[[_Bits, int, int], Value]:
    """Return what reads a latitude or longitude; beyond the limit is no position."""

    def read(bits: _Bits, start: int, length: int) -> Value:
        value = bits.signed(start, length) / divisor
        return value if abs(value) <= limit else None

    return read


def _text(bits: _Bits, start: int, length: int) -> Value:
    return bits.text(start, length) or None


def _turn(bits: _Bits, start: int, length: int) -> Value:
    raw = bits.signed(start, length)
    if abs(raw) >= 127:  # noqa: PLR2004  # faster than it can say, or unknown
        return None
    value = (raw / 4.733) ** 2
    return round(-value if raw < 0 else value, 1)


def _sum(bits: _Bits, start: int, length: int) -> Value:
    """Read the ship's dimensions: two distances from the antenna, one after the other."""
    half = length // 2
    return (bits.unsigned(start, half) + bits.unsigned(start + half, half)) or None


def _position(longitude: int, latitude: int) -> tuple[_Field, ...]:
    return (
        _Field("longitude", longitude, 28, _angle(180, 600_000)),
        _Field("latitude", latitude, 27, _angle(90, 600_000)),
    )


def _motion(speed: int, course: int, heading: int) -> tuple[_Field, ...]:
    return (
        _Field("speed_over_ground", speed, 10, _scaled(10, 1023)),
        _Field("course_over_ground", course, 12, _scaled(10, 3600)),
        _Field("heading_true", heading, 9, _scaled(1, 360)),
    )


def _size(start: int) -> tuple[_Field, ...]:
    return (_Field("length", start, 18, _sum), _Field("beam", start + 18, 12, _sum))


_CLASS_A = (
    _Field("status", 38, 4, _whole(15)),
    _Field("rate_of_turn", 42, 8, _turn),
    *_position(61, 89),
    *_motion(50, 116, 128),
)
_CLASS_B = (*_position(57, 85), *_motion(46, 112, 124))
_FIELDS: dict[int, tuple[_Field, ...]] = {
    1: _CLASS_A,
    2: _CLASS_A,
    3: _CLASS_A,
    4: _position(79, 107),
    5: (
        _Field("imo", 40, 30, _whole(0)),
        _Field("call_sign", 70, 42, _text),
        _Field("name", 112, 120, _text),
        _Field("ship_type", 232, 8, _whole(0)),
        *_size(240),
        _Field("draught", 294, 8, _scaled(10, 256)),
        _Field("destination", 302, 120, _text),
    ),
    18: _CLASS_B,
    19: (
        *_CLASS_B,
        _Field("name", 143, 120, _text),
        _Field("ship_type", 263, 8, _whole(0)),
        *_size(271),
    ),
}
_PARTS_OF_24 = (
    (_Field("name", 40, 120, _text),),
    (
        _Field("ship_type", 40, 8, _whole(0)),
        _Field("call_sign", 90, 42, _text),
        *_size(132),
    ),
)
_LEAST_BITS = {1: 168, 2: 168, 3: 168, 4: 168, 5: 420, 18: 168, 19: 308, 24: 160}
"""Shorter ones were cut off. Type 5 is often sent without its last bits."""


class _Part(NamedTuple):
    total: int
    number: int
    group: tuple[str, str, str]
    payload: str
    padding: int


class Decoder:
    """Turns sentences into the samples of their messages."""

    def __init__(self, config: Config) -> None:
        self._own_ship = config.own_ship
        self._pending: dict[tuple[str, str, str], list[_Part]] = {}
        self.passed_over: Counter[str] = Counter()
        """Other sentences, and types of message, by name."""

    def decode(self, message: bytes) -> Decoded:
        """Decode one line."""
        at = max(message.find(b"!"), message.find(b"$"))
        if at < 0:
            return Decoded([], [Fault(NO_SENTENCE, excerpt(message))])
        body, star, written = message[at + 1 :].partition(b"*")
        if not star:
            return Decoded([], [Fault(NO_CHECKSUM, excerpt(message))])
        if written[:2].upper() != checksum(body):
            return Decoded([], [Fault(BAD_CHECKSUM, excerpt(message))])
        columns = body.decode("latin-1").split(",")
        kind = columns[0][2:]
        if message[at : at + 1] != b"!" or kind not in {"VDM", "VDO"}:
            self._pass_over(columns[0])
            return Decoded([], [])
        if kind == "VDO" and not self._own_ship:
            return Decoded([], [])
        part = _part(columns)
        if part is None:
            return Decoded([], [Fault(BROKEN, excerpt(message))])
        whole = self._whole(part)
        return Decoded([], []) if whole is None else self._read(whole, message)

    def metadata(self, field: str) -> Metadata | None:
        """Return type and unit of a field."""
        return METADATA.get(field)

    def _pass_over(self, name: str) -> None:
        if name in self.passed_over or len(self.passed_over) < _MOST_PENDING:
            self.passed_over[name] += 1

    def _whole(self, part: _Part) -> _Bits | None:
        """Return the bits of a message that is complete now."""
        if part.total == 1:
            return _Bits(part.payload, part.padding)
        held = self._pending.pop(part.group, [])
        if part.number != len(held) + 1 or (held and held[0].total != part.total):
            held = []
            if part.number != 1:
                return None  # an earlier part was lost
        held.append(part)
        if len(held) < part.total:
            while len(self._pending) >= _MOST_PENDING:
                del self._pending[next(iter(self._pending))]
            self._pending[part.group] = held
            return None
        return _Bits("".join(one.payload for one in held), part.padding)

    def _read(self, bits: _Bits, message: bytes) -> Decoded:
        if bits.count < 38 or bits.count > _MOST_BITS:  # noqa: PLR2004  # up to the number
            return Decoded([], [Fault(BROKEN, excerpt(message))])
        kind = bits.unsigned(0, 6)
        fields = _FIELDS.get(kind)
        if kind == _STATIC_REPORT and bits.count >= 40:  # noqa: PLR2004  # up to its part
            part = bits.unsigned(38, 2)
            fields = _PARTS_OF_24[part] if part < len(_PARTS_OF_24) else None
        if fields is None:
            self._pass_over(f"type {kind}")
            return Decoded([], [])
        if bits.count < _LEAST_BITS[kind]:
            return Decoded([], [Fault(BROKEN, excerpt(message))])
        samples = [Sample("mmsi", f"{bits.unsigned(8, 30):09d}"), Sample("type", kind)]
        for name, start, length, read in fields:
            value = read(bits, start, length) if start + length <= bits.count + 5 else None
            if value is not None:
                samples.append(Sample(name, value))
        return Decoded(samples, [])


def _part(columns: list[str]) -> _Part | None:
    if len(columns) != _COLUMNS:
        return None
    address, total, number, group, channel, payload, padding = columns
    counts = total, number, padding
    if not all(len(one) == 1 and one.isascii() and one.isdigit() for one in counts):
        return None
    if not 1 <= int(number) <= int(total) or int(padding) > _MOST_PADDING or not payload:
        return None
    if not all(0x30 <= ord(one) <= _LAST_CODE and not _GAP < ord(one) < 0x60 for one in payload):  # noqa: PLR2004  # six bits
        return None
    return _Part(int(total), int(number), (address, group, channel), payload, int(padding))
