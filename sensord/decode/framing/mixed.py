"""Cut a stream in which binary frames and lines of text alternate, such as UBX beside NMEA.

Theory of operation. Bytes that begin with the frame's start bytes and prove to be a frame are one;
all other bytes go to the framer of lines, so a false start costs nothing but its line. While a
candidate is not complete, the bytes after it wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from sensord.decode.base import Framed
from sensord.decode.framing.frames import Config as FrameConfig
from sensord.decode.framing.frames import FrameFramer, hex_bytes
from sensord.decode.framing.lines import Config as LineConfig
from sensord.decode.framing.lines import LineFramer

__all__ = ["Config", "MixedFramer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The frames, which need start bytes, and the lines between them."""

    type: Literal["mixed"] = "mixed"
    frames: FrameConfig
    lines: LineConfig = field(default_factory=LineConfig)

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        if not self.frames.start:
            yield "frames", "needs start: it tells a frame from a line"
        if self.frames.checksum is None:
            yield "frames", "needs a checksum: else any line with the start bytes is a frame"


class MixedFramer:
    """Cuts a stream into frames and lines, in the order in which they end."""

    def __init__(self, config: Config) -> None:
        self._start = hex_bytes(config.frames.start) or b""
        self._most = config.frames.max_bytes
        self._frames = FrameFramer(config.frames)
        self._lines = LineFramer(config.lines)
        self._held = bytearray()

    def reset(self) -> None:
        """Forget what is incomplete: the stream was interrupted."""
        self._held.clear()
        self._lines.reset()

    def feed(self, data: bytes) -> Framed:
        """Process the next bytes and return what is complete now."""
        framed = Framed([], [])
        self._held += data
        while self._step(framed):
            pass
        return framed

    def _step(self, framed: Framed) -> bool:
        held = self._held
        begin = held.find(self._start)
        if begin < 0:
            self._as_text(len(held) - self._partial(), framed)
            return False
        self._as_text(begin, framed)
        length = self._frames.whole(held)
        if length is None or (len(held) < length <= self._most):
            return False  # not here yet
        frame = bytes(held[:length])
        if len(self._start) < length <= self._most and not self._frames.wrong(frame):
            framed.messages.append(frame)
            del held[:length]
        else:
            self._as_text(1, framed)
        return True

    def _partial(self) -> int:
        """Return how many of the last bytes may begin a start."""
        for count in range(len(self._start) - 1, 0, -1):
            if self._held.endswith(self._start[:count]):
                return count
        return 0

    def _as_text(self, count: int, framed: Framed) -> None:
        if count <= 0:
            return
        messages, faults = self._lines.feed(bytes(self._held[:count]))
        framed.messages.extend(messages)
        framed.faults.extend(faults)
        del self._held[:count]
