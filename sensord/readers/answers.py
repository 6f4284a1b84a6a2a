"""Find the end of an answer to a request, however its bytes are cut. Pure."""

from __future__ import annotations

from sensord.decode.base import Fault, Framer
from sensord.decode.regex import Pattern

__all__ = ["Answer"]

MOST_BYTES = 65_536
"""An answer that is longer without an end is noise; its beginning is dropped."""

_LINE_ENDS = b"\r\n"


class Answer:
    """The answer that a request waits for.

    It is complete with ``end``, with ``size`` bytes if that is not 0, or with the first message
    that a ``framer`` finds. With a ``pattern`` only an answer that matches counts, and what comes
    before it is passed over. ``is_held`` keeps its bytes from the stream of the device.
    """

    __slots__ = (
        "_end",
        "_framer",
        "_held",
        "_pattern",
        "_size",
        "faults",
        "groups",
        "is_held",
        "messages",
        "received",
        "strange",
    )

    def __init__(
        self,
        end: bytes,
        size: int,
        pattern: Pattern | None = None,
        *,
        framer: Framer | None = None,
        is_held: bool = False,
    ) -> None:
        self._end = end
        self._size = size
        self._pattern = pattern
        self._framer = framer
        self._held = bytearray()
        self.is_held = is_held
        self.received = 0
        self.groups: dict[str, str] = {}
        """What the named groups of the pattern matched."""
        self.strange = b""
        """The last complete answer that the pattern did not match."""
        self.messages: list[bytes] = []
        """What the complete answer holds, without its end."""
        self.faults: list[Fault] = []
        """What the framer could not use."""

    def feed(self, data: bytes) -> bool:
        """Accept the next bytes; return whether the answer is complete with them."""
        self.received += len(data)
        if self._framer is not None:
            return self._is_framed(self._framer, data)
        self._held += data
        return self._is_sized() if self._size else self._is_ended()

    @property
    def rest(self) -> bytes:
        """The bytes after the complete answer."""
        return bytes(self._held)

    def _is_framed(self, framer: Framer, data: bytes) -> bool:
        messages, faults = framer.feed(data)
        self.faults += faults
        return bool([one for one in messages if self._matches(one)])

    def _is_sized(self) -> bool:
        while len(self._held) >= self._size:
            whole = bytes(self._held[: self._size])
            del self._held[: self._size]
            if self._matches(whole):
                return True
        return False

    def _is_ended(self) -> bool:
        while (at := self._held.find(self._end)) >= 0:
            whole = bytes(self._held[:at])
            del self._held[: at + len(self._end)]
            if self._matches(whole):
                return True
        if len(self._held) > MOST_BYTES:
            del self._held[: -len(self._end)]
        return False

    def _matches(self, whole: bytes) -> bool:
        if self._pattern is None:
            is_line = not (self._size or self._framer or self._end.strip(_LINE_ENDS))
            message = whole.strip(_LINE_ENDS) if is_line else whole
            if self.is_held and is_line and not message:
                return False  # a blank line before the answer
            self.messages.append(message)
            return True
        found = self._pattern.search(whole.strip(_LINE_ENDS).decode("latin-1"))
        if found is None:
            self.strange = whole
            return False
        self.groups = {name: text or "" for name, text in found.groupdict().items()}
        return True
