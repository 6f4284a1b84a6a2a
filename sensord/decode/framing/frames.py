"""Cut a byte stream into binary frames: start bytes, a length, a checksum.

Theory of operation. A candidate is what begins with the start bytes. It is a frame if its length,
its end bytes and its checksum are right; then the search continues behind it. If not, the search
continues **one byte** further, never a whole length: what looked like a start may be a value, and
the next frame may begin inside the candidate. Whatever lies between two frames is one fault, named
after what was wrong with its first candidate. Every decision depends on the bytes alone, not on how
they were cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from sensord.config.schema import Size, Within
from sensord.decode.base import Fault, Framed, excerpt
from sensord.decode.checksums import Kind, checksum
from sensord.decode.framing.line_checksum import WRONG, ByteOrder

__all__ = [
    "BAD_LENGTH",
    "NO_END",
    "OUTSIDE",
    "Config",
    "FrameChecksum",
    "FrameFramer",
    "Length",
    "hex_bytes",
]

OUTSIDE = "bytes outside frames"
NO_END = "frame without its end"
BAD_LENGTH = "bad length of frame"

_EXCERPT = 80
_SIZES = {"u8": 1, "u16": 2, "u24": 3, "u32": 4}


def hex_bytes(text: str) -> bytes | None:
    """Return the bytes of hexadecimal digits, with or without blanks; None if invalid."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """Where a frame states its length: the number there times ``scale``, plus ``add``."""

    at: Annotated[int, Within(0, 1024)]
    type: Literal["u8", "u16", "u24", "u32"] = "u8"
    byte_order: ByteOrder = "big"
    scale: Annotated[int, Within(1, 16)] = 1
    add: Annotated[int, Within(-1024, 1024)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameChecksum:
    """The checksum of a frame; offsets count from its beginning, negative ones from its end.

    It stands at ``at``: by default at the end, or before the end bytes. It covers the bytes from
    ``start`` up to, not including, ``stop``: by default all before it.
    """

    type: Kind
    byte_order: ByteOrder = "big"
    at: Annotated[int, Within(-1024, 1024)] | None = None
    start: Annotated[int, Within(-1024, 1024)] = 0
    stop: Annotated[int, Within(-1024, 1024)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a frame is; ``start`` and ``end`` in hexadecimal digits."""

    type: Literal["binary"] = "binary"
    start: str = ""
    end: str = ""
    length: Annotated[int, Within(1, 65_536)] | None = None
    length_field: Length | None = None
    checksum: FrameChecksum | None = None
    max_bytes: Annotated[Size, Within(1, 65_536)] = 1024

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        for key in ("start", "end"):
            if hex_bytes(getattr(self, key)) is None:
                yield key, 'expected bytes in hexadecimal digits, such as "AA C0"'
        given = [key for key in ("length", "length_field") if getattr(self, key) is not None]
        if len(given) > 1:
            yield "length_field", "give length or length_field, not both"
        if not given and not (self.start and self.end):
            yield "length", "is needed: length, length_field, or both start and end"
        if not self.start and self.checksum is None:
            yield "start", "is needed without a checksum: else nothing says where a frame begins"
        if self.length is not None and self.length > self.max_bytes:
            yield "max_bytes", "is less than length"


class FrameFramer:
    """Cuts a stream into frames."""

    def __init__(self, config: Config) -> None:
        self._start = hex_bytes(config.start) or b""
        self._end = hex_bytes(config.end) or b""
        self._length = config.length
        self._field = config.length_field
        check = config.checksum
        self._check = check
        self._kind = None if check is None else checksum(check.type)
        self._max_bytes = config.max_bytes
        self._least = max(1, len(self._start) + len(self._end))
        self._held = bytearray()
        self._lost = bytearray()
        """The beginning of the bytes since the last frame."""
        self._lost_bytes = 0
        self._reason = ""
        self._has_frame = False

    def reset(self) -> None:
        """Forget an incomplete frame: the stream was interrupted."""
        self._held.clear()
        self._lost.clear()
        self._lost_bytes, self._reason, self._has_frame = 0, "", False

    def feed(self, data: bytes) -> Framed:
        """Process the next bytes and return the frames that are complete now."""
        framed = Framed([], [])
        self._held += data
        while self._step(framed):
            pass
        return framed

    def _step(self, framed: Framed) -> bool:
        """Decide on the next candidate; return whether to look for another."""
        held = self._held
        if self._start:
            begin = held.find(self._start)
            if begin:
                keep = len(self._start) - 1
                self._lose(begin if begin > 0 else max(0, len(held) - keep), framed)
                if begin < 0:
                    return False
        if not held:
            return False
        length = self.whole(held)
        if length is None:
            return False  # not here yet
        reason = BAD_LENGTH
        if self._least <= length <= self._max_bytes:
            if len(held) < length:
                return False
            frame = bytes(held[:length])
            reason = self.wrong(frame)
            if not reason:
                self._found(frame, framed)
                del held[:length]
                return True
        self._reason = self._reason or reason
        self._lose(1, framed)
        return True

    def whole(self, held: bytes | bytearray) -> int | None:
        """Return the length of the candidate, None if it has not come, 0 if it has none."""
        field = self._field
        if self._length is not None:
            return self._length if len(held) >= self._least else None
        if field is not None:
            stop = field.at + _SIZES[field.type]
            if len(held) < stop:
                return None
            number = int.from_bytes(held[field.at : stop], field.byte_order)
            return number * field.scale + field.add
        at = held.find(self._end, len(self._start))
        if at >= 0:
            return at + len(self._end)
        return 0 if len(held) > self._max_bytes else None

    def wrong(self, frame: bytes) -> str:
        """Return the reason why a whole candidate is no frame, or an empty text."""
        if not frame.endswith(self._end):
            return NO_END
        check, kind = self._check, self._kind
        if check is None or kind is None:
            return ""
        at = -kind.size - len(self._end) if check.at is None else check.at
        at = at if at >= 0 else len(frame) + at
        start = check.start if check.start >= 0 else len(frame) + check.start
        stop = at if check.stop is None else check.stop
        stop = stop if stop >= 0 else len(frame) + stop
        if at < 0 or at + kind.size > len(frame):
            return BAD_LENGTH
        written = int.from_bytes(frame[at : at + kind.size], check.byte_order)
        return "" if kind.of(frame[max(0, start) : stop]) == written else WRONG

    def _found(self, frame: bytes, framed: Framed) -> None:
        self._blame(framed)
        self._has_frame = True
        framed.messages.append(frame)

    def _lose(self, count: int, framed: Framed) -> None:
        """Leave out bytes that belong to no frame."""
        while count:
            part = min(count, self._max_bytes - self._lost_bytes)
            self._lost += self._held[: min(part, _EXCERPT - len(self._lost))]
            del self._held[:part]
            self._lost_bytes += part
            count -= part
            if self._lost_bytes >= self._max_bytes:
                self._has_frame = True  # that is no fragment of a frame any more
                self._blame(framed)

    def _blame(self, framed: Framed) -> None:
        """Report what lies before a frame, unless it is the fragment that the stream began with."""
        if self._lost_bytes and self._has_frame:
            framed.faults.append(Fault(self._reason or OUTSIDE, excerpt(bytes(self._lost))))
        self._lost.clear()
        self._lost_bytes, self._reason = 0, ""
