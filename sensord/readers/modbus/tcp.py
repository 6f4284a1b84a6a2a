"""Modbus TCP: frames with a length and a number by which an answer names its request.

Shape: number (2 bytes), protocol 0 (2), length of what follows (2), unit (1), function and data.
Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 3.1.

A late answer has another number than the one that is waited for, so a silent unit costs its
time-out and not the connection. Pure.
"""

from __future__ import annotations

import struct

from sensord.readers.modbus.requests import Reply, Request

__all__ = ["TcpAnswer", "TcpStream", "frame"]

HEAD = struct.Struct(">HHHB")
LENGTH_OF_UNIT = 1
MOST_BYTES = 254
"""Of what follows the length."""


def frame(request: Request, number: int) -> bytes:
    """Return a request's bytes."""
    return HEAD.pack(number, 0, LENGTH_OF_UNIT + len(request.pdu), request.unit) + request.pdu


class TcpStream:
    """Cuts what comes into frames, for as long as the connection lasts."""

    def __init__(self) -> None:
        self._held = bytearray()
        self.is_lost = False
        """Whether something came that no frame begins with: the next frame cannot be found."""

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Accept the next bytes; return number, unit and function with data of each frame."""
        held = self._held
        held += data
        frames = []
        while len(held) >= HEAD.size and not self.is_lost:
            number, protocol, length, unit = HEAD.unpack_from(held)
            if protocol or not LENGTH_OF_UNIT < length <= MOST_BYTES:
                self.is_lost = True
                break
            end = HEAD.size - LENGTH_OF_UNIT + length
            if len(held) < end:
                break
            frames.append((number, unit, bytes(held[HEAD.size : end])))
            del held[:end]
        return frames


class TcpAnswer:
    """The answer that is waited for."""

    def __init__(self, request: Request, number: int) -> None:
        self._request = request
        self._number = number
        self.strange = 0
        """How many frames came with the number of this request that do not answer it."""

    def reply(self, number: int, unit: int, pdu: bytes) -> Reply | None:
        """Return the reply in a frame, or None if it answers something else."""
        if number != self._number:
            return None
        reply = self._request.reply(pdu) if unit == self._request.unit else None
        self.strange += reply is None
        return reply
