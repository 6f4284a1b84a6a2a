"""Find the end of an answer to a request, however its bytes are cut. Pure."""

from __future__ import annotations

from sensord.decode.regex import Pattern

__all__ = ["Answer"]

MOST_BYTES = 65_536
"""An answer that is longer without an end is noise; its beginning is dropped."""

_LINE_ENDS = b"\r\n"


class Answer:
    """The answer that a request waits for.

    It is complete with ``end``, or with ``size`` bytes if that is not 0. With a ``pattern`` only
    an answer that matches counts, and what comes before it is passed over. ``is_held`` keeps its
    bytes from the device's decoder.
    """

    __slots__ = ("_end", "_held", "_pattern", "_size", "groups", "is_held", "received", "strange")

    def __init__(
        self, end: bytes, size: int, pattern: Pattern | None = None, *, is_held: bool = False
    ) -> None:
        self._end = end
        self._size = size
        self._pattern = pattern
        self._held = bytearray()
        self.is_held = is_held
        self.received = 0
        self.groups: dict[str, str] = {}
        """What the named groups of the pattern matched."""
        self.strange = b""
        """The last complete answer that the pattern did not match."""

    def feed(self, data: bytes) -> bool:
        """Accept the next bytes; return whether the answer is complete with them."""
        self.received += len(data)
        self._held += data
        return self._is_sized() if self._size else self._is_ended()

    @property
    def rest(self) -> bytes:
        """What came behind the complete answer."""
        return bytes(self._held)

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
            return True
        found = self._pattern.search(whole.strip(_LINE_ENDS).decode("latin-1"))
        if found is None:
            self.strange = whole
            return False
        self.groups = {name: text or "" for name, text in found.groupdict().items()}
        return True
