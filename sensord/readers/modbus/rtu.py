"""Modbus RTU: frames with a CRC, and the search for the one that answers a request.

Shape: unit (1 byte), function and data, CRC-16 (2 bytes, low byte first).
Source: MODBUS over Serial Line V1.02, section 2.5.1 and appendix B.

Theory of operation. The master knows what it asked, so it knows the first bytes and the length of
the answer. It looks for that at every offset, one byte further after each candidate that fails, so
stray bytes cost nothing, and neither a pause nor the frame of another unit can be mistaken for an
answer. An adapter that hears itself brings the request first, byte for byte: those bytes are cut
out. Pure.
"""

from __future__ import annotations

from sensord.readers.modbus.requests import ERROR, Reply, Request

__all__ = ["RtuAnswer", "crc", "frame"]

CRC_BYTES = 2
EXCEPTION_BYTES = 5

MOST_BYTES = 1024
"""More than any answer with its echo; the beginning of anything longer is noise."""


def _table() -> tuple[int, ...]:
    entries = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ 0xA001 if value & 1 else value >> 1
        entries.append(value)
    return tuple(entries)


_TABLE = _table()


def crc(data: bytes) -> bytes:
    """Return the CRC of a frame's bytes, as they follow it."""
    value = 0xFFFF
    table = _TABLE
    for byte in data:
        value = (value >> 8) ^ table[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")


def frame(request: Request) -> bytes:
    """Return a request's bytes on the line."""
    body = bytes([request.unit]) + request.pdu
    return body + crc(body)


class RtuAnswer:
    """The expected answer, found anywhere in the input.

    ``echoes`` means that the request comes back before the answer. Without it, that is noticed,
    but for the writes whose answer is the request itself.
    """

    def __init__(self, request: Request, *, echoes: bool = False) -> None:
        self._request = request
        self._sent = frame(request)
        self._echoes = echoes
        self._head = bytes([request.unit]) + request.answer_head
        self._size = 1 + request.answer_bytes + CRC_BYTES
        self._is_twin = not request.size and self._sent[:-CRC_BYTES] == self._head
        self._exception = bytes([request.unit, request.function | ERROR])
        self._held = bytearray()
        self.was_echoed = False
        self.received = 0
        self.stray = b""
        """What came before the answer and belongs to no frame; of an answer that has not come,
        all that came."""

    @property
    def most_bytes(self) -> int:
        """How long the answer is."""
        return max(self._size, EXCEPTION_BYTES)

    def feed(self, data: bytes) -> Reply | None:
        """Accept the next bytes; return the reply once it is complete."""
        self.received += len(data)
        self._held += data
        if not self.was_echoed and (self._echoes or not self._is_twin):
            at = self._held.find(self._sent)
            if at >= 0:
                del self._held[at : at + len(self._sent)]
                self.was_echoed = True
        reply = self._found(bytes(self._held))
        if reply is None and len(self._held) > MOST_BYTES:
            del self._held[:-MOST_BYTES]
        return reply

    def _found(self, held: bytes) -> Reply | None:
        self.stray = held
        unit = self._head[:1]
        at = held.find(unit)
        while at >= 0:
            reply = self._at(held, at)
            if reply is not None:
                self.stray = held[:at]
                return reply
            at = held.find(unit, at + 1)
        return None

    def _at(self, held: bytes, at: int) -> Reply | None:
        for head, size in ((self._head, self._size), (self._exception, EXCEPTION_BYTES)):
            if not held.startswith(head, at) or len(held) < at + size:
                continue
            whole = held[at : at + size]
            if self._echoes and not self.was_echoed and self._sent.startswith(whole):
                continue  # the beginning of an echo that has not come to its end
            if crc(whole[:-CRC_BYTES]) == whole[-CRC_BYTES:]:
                reply = self._request.reply(whole[1:-CRC_BYTES])
                if reply is not None:
                    return reply
        return None
