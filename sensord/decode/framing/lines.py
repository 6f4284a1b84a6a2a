"""Cut a byte stream into lines, and find the way back into it after anything.

Owns where a message begins and ends; must never know what it means.

Theory of operation: what has no terminator yet is held. A line over the cap is reported once, and
its bytes are thrown away up to the next terminator, so that memory stays bounded whatever arrives.
Every decision depends only on the bytes between two terminators, never on how they were cut: a
fault quotes no more than what every cut has seen by then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from sensord.config.schema import Size, Within
from sensord.decode.base import Fault, Framed, excerpt
from sensord.decode.framing.line_checksum import WRONG, LineChecksum, TextChecksum

__all__ = ["BEFORE_START", "NO_START", "TOO_LONG", "Config", "LineFramer"]

TOO_LONG = "line too long"
NO_START = "no start of message"
BEFORE_START = "text before the start"

_ENCODING = "latin-1"
"""One character of `terminator` and `start` is one byte, so that any byte can be written."""

_LINE_ENDS = b"\r\n"

_CONTROLS = bytes(range(0x21))
"""Blanks, and what marks the ends of a transmission: no text is lost with them."""


@dataclass(frozen=True, slots=True)
class Config:
    """Where one message ends and the next begins.

    ``terminator`` ends a message: a line feed accepts CR LF too, a carriage return is for devices
    that send nothing else. ``prompt`` ends one too: what a device sends behind its lines when it
    is ready. ``start``, where a device marks it, begins one: what stands before it
    is thrown away. ``discard_first`` distrusts the first line after the port was opened: we may
    have come in the middle of it.
    """

    max_bytes: Annotated[Size, Within(1, 16 * 2**20)] = 4096
    terminator: str = "\n"
    prompt: str = ""
    start: str = ""
    discard_first: bool = False
    checksum: TextChecksum | None = None
    type: Literal["line"] = "line"

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield the faults that the types cannot express."""
        if not self.terminator:
            yield "terminator", "may not be empty"
        elif self.start and (self.start in self.terminator or self.terminator in self.start):
            yield "start", "must differ from the terminator"
        if self.terminator and set(self.prompt) & set(self.terminator):
            yield "prompt", "may not have characters of the terminator"
        for key in ("terminator", "prompt", "start"):
            try:
                getattr(self, key).encode(_ENCODING)
            except UnicodeEncodeError:
                yield key, "each character stands for one byte, \\u0000 to \\u00FF"


class LineFramer:
    """Cuts a stream into the lines between terminators.

    The messages have neither terminator nor start, and with either line end as terminator no line
    ends around them. Blank lines are skipped: they say nothing.
    """

    def __init__(self, config: Config) -> None:
        self._terminator = config.terminator.encode(_ENCODING)
        self._prompt = config.prompt.encode(_ENCODING)
        self._start = config.start.encode(_ENCODING)
        self._max_bytes = config.max_bytes
        self._discard_first = config.discard_first
        self._check = None if config.checksum is None else LineChecksum(config.checksum)
        # Some devices end lines with CR CR LF or LF CR; none begins or ends one with CR otherwise.
        self._strips_line_ends = config.terminator in {"\n", "\r"}
        self._held = bytearray()
        self._discarding = config.discard_first

    def feed(self, data: bytes) -> Framed:
        """Process the next bytes and return the messages that are complete now."""
        terminator, held = self._terminator, self._held
        searched = max(0, len(held) - len(terminator) + 1)
        held += data
        if self._prompt and self._prompt in held:
            held[:] = held.replace(self._prompt, terminator)
            searched = 0
        faults: list[Fault] = []
        if held.find(terminator, searched) < 0:
            self._bound(faults)
            return Framed([], faults)
        *lines, rest = bytes(held).split(terminator)
        self._held = bytearray(rest)
        if self._discarding:
            del lines[0]
            self._discarding = False
        messages: list[bytes] = []
        for line in lines:
            if len(line) > self._max_bytes:
                faults.append(self._too_long(line))
                continue
            message = self._after_start(line, faults) if self._start else line
            if self._strips_line_ends:
                message = message.strip(_LINE_ENDS)
            if self._check is not None and message:
                message = self._checked(self._check, message, faults)
            if message and not message.isspace():
                messages.append(message)
        self._bound(faults)
        return Framed(messages, faults)

    def reset(self) -> None:
        """Forget an incomplete message: the stream was interrupted."""
        self._held.clear()
        self._discarding = self._discard_first

    def _bound(self, faults: list[Fault]) -> None:
        """Drop a line that is too long already.

        The held bytes contain no terminator, though they may end with the beginning of one.
        """
        held, tail = self._held, max(len(self._terminator), len(self._prompt)) - 1
        if not self._discarding and len(held) > self._max_bytes + tail:
            faults.append(self._too_long(held))
            self._discarding = True
        if self._discarding:
            del held[: len(held) - tail]

    def _too_long(self, line: bytes | bytearray) -> Fault:
        return Fault(TOO_LONG, excerpt(bytes(line[: self._max_bytes])))

    def _checked(self, check: LineChecksum, line: bytes, faults: list[Fault]) -> bytes:
        content = check.checked(line)
        if content is None:
            if not line.isspace():
                faults.append(Fault(WRONG, excerpt(line)))
            return b""
        return content

    def _after_start(self, line: bytes, faults: list[Fault]) -> bytes:
        # The last one counts: an earlier one began a message that was broken off.
        before, found, message = line.rpartition(self._start)
        if not found:
            if line.strip(_CONTROLS):
                faults.append(Fault(NO_START, excerpt(line)))
            return b""
        if before.strip(_CONTROLS):
            faults.append(Fault(BEFORE_START, excerpt(before)))
        return message
