"""Data frames and message encodings: records in, payload bytes out, and back.

One codec each for the two subprotocols; `docs/protocol.md`, sections 4 and 5, defines their output.
Encoding is a hot path: one loop builds a flat list of plain values and the C packer does the rest.
`docs/performance.md` has its profile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import copysign
from typing import Any, NamedTuple, NoReturn, Protocol

import msgpack

from sensord.errors import ProtocolError
from sensord.model.readings import GOOD, Level, Metadata, Quality, Reading, Reason, Record, Value

__all__ = [
    "CODECS",
    "JSON",
    "MSGPACK",
    "Announced",
    "Codec",
    "DecodedFrame",
    "FrameReading",
    "Message",
]

WRAPPED = 1
"""Number of the msgpack extension type of a wrapped value."""

EXACT = 2**53
"""Integers below this are exact in a float64, and so in JavaScript."""

_LATEST_US = 1 << 62
"""Any two times nearer to 1970 than this have a difference that msgpack holds."""

_UNSENDABLE = (OverflowError, ValueError, TypeError, RecursionError)
"""What the encoders raise for what they cannot hold: too large an integer, NaN, deep nesting."""

Message = dict[str, Any]
"""A control message as it travels; `sensord.wire.messages` makes and reads them."""


class FrameReading(NamedTuple):
    """One reading of a decoded frame.

    ``reported_us`` is the time in the frame: later than the value's for one that restates.
    """

    channel: int
    reported_us: int
    reading: Reading


class DecodedFrame(NamedTuple):
    """A data frame as a client sees it."""

    stream: int
    cursor: int | None
    readings: list[FrameReading]


Announced = Callable[[int], Metadata]
"""Returns the metadata announced for a channel number; raises KeyError without any."""


class Codec(Protocol):
    """One of the two encodings, or a form of plain HTTP."""

    @property
    def subprotocol(self) -> str:
        """The WebSocket subprotocol that means this encoding."""
        ...

    @property
    def is_text(self) -> bool | None:
        """Whether messages are text messages; None if they are no WebSocket messages."""
        ...

    def message(self, message: Message) -> bytes:
        """Encode a control message."""
        ...

    def frame(self, stream: int, cursor: int | None, records: Sequence[Record]) -> bytes:
        """Encode a data frame."""
        ...

    def with_stream(self, frame: bytes, stream: int) -> bytes:
        """Turn a frame that was encoded for stream 0 into one of another stream."""
        ...

    def decode(self, payload: bytes) -> object:
        """Decode any message to plain values.

        Raises:
            ProtocolError: The bytes are not one message of this encoding.
        """
        ...

    def read_frame(self, frame: Sequence[object], announced: Announced) -> DecodedFrame:
        """Turn a decoded array into readings.

        Raises:
            ProtocolError: The array is not a frame of `docs/protocol.md`, section 4.
        """
        ...


class _Wrapped(NamedTuple):
    """The parts of a wrapped value."""

    level: int
    reason: str
    value: Value
    age_us: int | None

    def reading(self, reported_us: int) -> Reading:
        if type(self.level) is not int or not isinstance(self.reason, str):
            raise TypeError("the level is an integer and the reason a text")
        quality = Quality(Level(self.level), self.reason) if self.level else GOOD
        if self.age_us is None:
            return Reading(reported_us, self.value, quality)
        if type(self.age_us) is not int:
            raise TypeError("the age is an integer")
        return Reading(reported_us - self.age_us, self.value, quality, restates=True)


class _Msgpack:
    subprotocol = "sensord.v1.msgpack"
    is_text = False

    def __init__(self) -> None:
        # One packer for all: it keeps its buffer, and the daemon encodes in one thread.
        self._pack: Callable[[object], bytes] = msgpack.Packer(unicode_errors="replace").pack

    def message(self, message: Message) -> bytes:
        return self._pack(message)

    def frame(self, stream: int, cursor: int | None, records: Sequence[Record]) -> bytes:
        try:
            return self._frame(stream, cursor, records)
        except _UNSENDABLE:
            return self._frame(stream, cursor, _sendable(self._frame, records))

    def _frame(self, stream: int, cursor: int | None, records: Sequence[Record]) -> bytes:
        flat: list[object] = []
        start = before = _told_us(records[0]) if records else 0
        for record in records:
            _, log_us, channel, (reported_us, value, quality, restates) = record
            bare: object = value
            if restates or quality is not GOOD:
                bare = self._wrap(record)
                if restates:
                    reported_us = log_us  # the report time
            elif type(value) is float:
                scale = channel.scale
                scaled = value * scale
                if scale and -EXACT < scaled < EXACT:
                    # The check makes it exact, however the product was rounded; -0.0 is not 0.
                    integer = round(scaled)
                    if integer / scale == value and (integer or copysign(1.0, value) > 0):
                        bare = integer
                    elif value.is_integer():
                        bare = self._wrap(record)
                elif scale and -EXACT < value < EXACT and value.is_integer():
                    bare = self._wrap(record)
            flat += (channel.number, reported_us - before, bare)
            before = reported_us
        return self._pack((stream, cursor, start, flat))

    def with_stream(self, frame: bytes, stream: int) -> bytes:
        # An array of four, and 0 in one byte.
        return b"%b%b%b" % (frame[:1], self._pack(stream), frame[2:])

    def _wrap(self, record: Record) -> msgpack.ExtType:
        reading = record.reading
        parts: list[object] = [int(reading.quality.level), reading.quality.reason, reading.value]
        if reading.restates:
            parts.append(record.log_us - reading.time_us)
        return msgpack.ExtType(WRAPPED, msgpack.packb(parts, unicode_errors="replace"))

    def decode(self, payload: bytes) -> object:
        try:
            message: object = msgpack.unpackb(payload, ext_hook=_unpack_extension)
            # Looked for only where the bytes could be one: a walk costs more than the decoding.
            if any(mark in payload for mark in _TIMESTAMPS) and _holds_timestamp(message):
                raise ValueError("extension type -1 is unknown")
        # What the library raises for bytes that are not one whole object; TypeError for a map
        # whose keys cannot be hashed.
        except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as exc:
            raise ProtocolError("bad_message", f"not one msgpack object: {exc}") from exc
        return message

    def read_frame(self, frame: Sequence[object], announced: Announced) -> DecodedFrame:
        def value_of(reported_us: int, value: Any, metadata: Metadata) -> Reading:  # noqa: ANN401  # off the wire
            if type(value) is _Wrapped:
                return value.reading(reported_us)
            if type(value) is int and (scale := metadata.scale):
                return Reading(reported_us, value / scale)
            return Reading(reported_us, value)

        return _read_frame(frame, announced, value_of)


_TIMESTAMPS = (b"\xd6\xff", b"\xd7\xff", b"\xc7\x0c\xff")
"""How a timestamp of 32, 64 or 96 bits begins."""


def _unpack_extension(code: int, data: bytes) -> object:
    if code != WRAPPED:
        raise ValueError(f"extension type {code} is unknown")
    parts = msgpack.unpackb(data, ext_hook=_no_extension)
    if not isinstance(parts, list) or len(parts) not in {3, 4}:
        raise ValueError("a wrapped value has three or four parts")
    level, reason, value, *age = parts
    return _Wrapped(level, reason, value, age[0] if age else None)


def _no_extension(code: int, _: bytes) -> NoReturn:
    raise ValueError(f"extension type {code} inside of a wrapped value")


def _holds_timestamp(found: object) -> bool:
    """Return whether an object contains a timestamp, which the library decodes by itself."""
    match found:
        case msgpack.Timestamp():
            return True
        case list() | tuple():
            return any(_holds_timestamp(one) for one in found)
        case dict():
            return any(_holds_timestamp(one) for pair in found.items() for one in pair)
        case _:
            return False


class _Json:
    subprotocol = "sensord.v1.json"
    is_text = True

    def __init__(self) -> None:
        self._encode = json.JSONEncoder(
            ensure_ascii=False, separators=(",", ":"), allow_nan=False
        ).encode
        self._decode = json.JSONDecoder(parse_constant=_no_constant).decode

    def message(self, message: Message) -> bytes:
        return self._encode(message).encode("utf-8", "replace")

    def frame(self, stream: int, cursor: int | None, records: Sequence[Record]) -> bytes:
        try:
            return self._frame(stream, cursor, records)
        except _UNSENDABLE:
            return self._frame(stream, cursor, _sendable(self._frame, records))

    def _frame(self, stream: int, cursor: int | None, records: Sequence[Record]) -> bytes:
        flat: list[object] = []
        start = before = _told_us(records[0]) if records else 0
        for record in records:
            reported_us = _told_us(record)
            reading = record.reading
            value: object = reading.value
            if reading.restates or reading.quality.level:
                value = _wrap_json(record)
            elif isinstance(value, dict):
                value = {"j": value}
            flat += (record.channel.number, reported_us - before, value)
            before = reported_us
        return self._encode([stream, cursor, start, flat]).encode("utf-8", "replace")

    def with_stream(self, frame: bytes, stream: int) -> bytes:
        # A bracket and a 0.
        return b"[%d%b" % (stream, frame[2:])

    def decode(self, payload: bytes) -> object:
        try:
            return self._decode(payload.decode("utf-8"))
        except (ValueError, RecursionError) as exc:
            raise ProtocolError("bad_message", f"not one JSON text: {exc}") from exc

    def read_frame(self, frame: Sequence[object], announced: Announced) -> DecodedFrame:
        def value_of(reported_us: int, value: Any, metadata: Metadata) -> Reading:  # noqa: ANN401  # off the wire
            if isinstance(value, dict) and "j" not in value:
                q, r, v, age = (value.get(key) for key in ("q", "r", "v", "age"))
                return _Wrapped(q or 0, r or "", _floated(v, metadata), age).reading(reported_us)
            if isinstance(value, dict):
                value = value["j"]
            return Reading(reported_us, _floated(value, metadata))

        return _read_frame(frame, announced, value_of)


def _sendable(
    encode: Callable[[int, int | None, Sequence[Record]], bytes], records: Sequence[Record]
) -> list[Record]:
    """Replace what an encoding cannot hold: a recording may have it, and it must end no session."""
    sendable = []
    for record in records:
        reading = record.reading
        if abs(reading.time_us) >= _LATEST_US:
            reading = reading._replace(time_us=record.log_us)
        try:
            encode(0, None, [record._replace(reading=reading)])
        except _UNSENDABLE:
            reading = reading._replace(value=None, quality=Quality(Level.BAD, Reason.NOT_SENDABLE))
        sendable.append(record._replace(reading=reading))
    return sendable


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _floated(value: Value, metadata: Metadata) -> Value:
    """Convert the values of a float channel to floats: some JSON writers write 5 for 5.0."""
    return float(value) if metadata.scale and type(value) is int else value


def _wrap_json(record: Record) -> dict[str, object]:
    reading = record.reading
    wrapped: dict[str, object] = {"v": reading.value}
    if reading.quality.level:
        wrapped["q"] = int(reading.quality.level)
        wrapped["r"] = reading.quality.reason
    if reading.restates:
        wrapped["age"] = record.log_us - reading.time_us
    return wrapped


def _told_us(record: Record) -> int:
    """Return a reading's time in the frame: the report time if it restates."""
    return record.log_us if record.reading.restates else record.reading.time_us


def _read_frame(
    frame: Sequence[object], announced: Announced, value_of: Callable[[int, Any, Metadata], Reading]
) -> DecodedFrame:
    try:
        stream, cursor, reported_us, flat = frame
        # Types are compared exactly: True is an int to Python.
        if type(stream) is not int or stream < 0 or type(reported_us) is not int:
            raise TypeError("stream and t0 are integers, and streams count from 0")
        if not isinstance(flat, list) or not (cursor is None or type(cursor) is int):
            raise TypeError("cursor is an integer or null, and a list of readings follows")
        readings = []
        for channel, dt, value in zip(*[iter(flat)] * 3, strict=True):
            if type(channel) is not int or type(dt) is not int:
                raise TypeError("channel and dt are integers")
            reported_us += dt
            readings.append(
                FrameReading(channel, reported_us, value_of(reported_us, value, announced(channel)))
            )
    # OverflowError: an integer that no float64 is near to.
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        raise ProtocolError("bad_message", f"not a data frame: {exc!r}") from exc
    return DecodedFrame(stream, cursor, readings)


MSGPACK: Codec = _Msgpack()
JSON: Codec = _Json()
CODECS = {codec.subprotocol: codec for codec in (MSGPACK, JSON)}
