"""Framings that mark the ends of packets and encode the mark inside: SLIP, COBS, HDLC.

Source: RFC 1055; RFC 1662, section 4 (HDLC's octet stuffing); Cheshire and Baker,
Consistent Overhead Byte Stuffing, 1999.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from sensord.config.schema import Size, Within
from sensord.decode.base import Fault, Framed, excerpt
from sensord.decode.framing.frames import Config as FrameConfig
from sensord.decode.framing.frames import FrameChecksum, FrameFramer

__all__ = ["BAD_STUFFING", "TOO_LONG", "Config", "PacketFramer"]

TOO_LONG = "packet too long"
BAD_STUFFING = "bad escape in packet"

_SLIP_END, _SLIP_ESCAPE = 0xC0, 0xDB
_SLIP = {0xDC: 0xC0, 0xDD: 0xDB}
_COBS_END = 0
_HDLC_END, _HDLC_ESCAPE, _HDLC_FLIP = 0x7E, 0x7D, 0x20


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Which of them, and the checksum of an unpacked packet."""

    type: Literal["slip", "cobs", "hdlc"]
    checksum: FrameChecksum | None = None
    max_bytes: Annotated[Size, Within(1, 65_536)] = 1024


class PacketFramer:
    """Cuts a stream into packets and unpacks them."""

    def __init__(self, config: Config) -> None:
        end, self._unpacked = _KINDS[config.type]
        self._end = bytes([end])
        self._max_bytes = config.max_bytes
        check = FrameConfig(length=1, checksum=config.checksum, start="", max_bytes=65_536)
        self._checker = None if config.checksum is None else FrameFramer(check)
        self._held = bytearray()
        self._is_lost = False

    def reset(self) -> None:
        """Forget an incomplete packet: the stream was interrupted."""
        self._held.clear()
        self._is_lost = False

    def feed(self, data: bytes) -> Framed:
        """Process the next bytes and return the packets that are complete now."""
        framed = Framed([], [])
        self._held += data
        *packets, rest = bytes(self._held).split(self._end)
        self._held = bytearray(rest)
        for packet in packets:
            if self._is_lost:
                self._is_lost = False
            elif len(packet) > self._max_bytes:
                framed.faults.append(Fault(TOO_LONG, excerpt(packet)))
            elif packet:
                self._unpack(packet, framed)
        if not self._is_lost and len(self._held) > self._max_bytes:
            framed.faults.append(Fault(TOO_LONG, excerpt(bytes(self._held[: self._max_bytes]))))
            self._is_lost = True
        if self._is_lost:
            self._held.clear()
        return framed

    def _unpack(self, packet: bytes, framed: Framed) -> None:
        unpacked = self._unpacked(packet)
        if unpacked is None:
            framed.faults.append(Fault(BAD_STUFFING, excerpt(packet)))
        elif self._checker is not None and (reason := self._checker.wrong(unpacked)):
            framed.faults.append(Fault(reason, excerpt(packet)))
        elif unpacked:
            framed.messages.append(unpacked)


def _unslipped(packet: bytes) -> bytes | None:
    out = bytearray()
    bytes_ = iter(packet)
    for byte in bytes_:
        if byte != _SLIP_ESCAPE:
            out.append(byte)
            continue
        plain = _SLIP.get(next(bytes_, -1))
        if plain is None:
            return None
        out.append(plain)
    return bytes(out)


def _uncobbed(packet: bytes) -> bytes | None:
    out = bytearray()
    at = 0
    while at < len(packet):
        code = packet[at]
        part = packet[at + 1 : at + code]
        if len(part) != code - 1:
            return None
        out += part
        at += code
        if code < 0xFF and at < len(packet):  # noqa: PLR2004  # the longest run has no zero behind it
            out.append(0)
    return bytes(out)


def _unstuffed(packet: bytes) -> bytes | None:
    out = bytearray()
    bytes_ = iter(packet)
    for byte in bytes_:
        if byte != _HDLC_ESCAPE:
            out.append(byte)
            continue
        escaped = next(bytes_, None)
        if escaped is None:
            return None
        out.append(escaped ^ _HDLC_FLIP)
    return bytes(out)


_KINDS: dict[str, tuple[int, Callable[[bytes], bytes | None]]] = {
    "slip": (_SLIP_END, _unslipped),
    "cobs": (_COBS_END, _uncobbed),
    "hdlc": (_HDLC_END, _unstuffed),
}
