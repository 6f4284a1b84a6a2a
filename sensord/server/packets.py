"""Packets: payloads as WebSocket messages, and readings and channels cut into payloads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from websockets.frames import Frame, Opcode

from sensord.model.readings import Channel, Record
from sensord.wire.frames import Codec
from sensord.wire.ops.subscriptions import Channels

__all__ = ["FRAME_BYTES", "FRAME_READINGS", "Write", "announcements", "frames", "packet"]

FRAME_READINGS = 4096
"""Most readings in a frame: bounds what a session may hold beyond its mark, and the loop's turn."""

FRAME_BYTES = 128 * 1024
"""Frames are smaller than this, unless a single reading is larger."""

ANNOUNCED_AT_ONCE = 512
"""Most channels in an announcement: some 50 KiB."""


class Write(Protocol):
    """Writes bytes to one client; never waits."""

    def __call__(self, data: bytes, /) -> None:
        """Write."""
        ...


def packet(codec: Codec, payload: bytes) -> bytes:
    """Return a payload as a WebSocket message, ready to be written to any number of clients.

    That of plain HTTP is sent as it is.

    What a server sends is not masked and, without extensions, depends on nothing of the
    connection; that is why the bytes can be shared.
    """
    if codec.is_text is None:
        return payload
    opcode = Opcode.TEXT if codec.is_text else Opcode.BINARY
    return Frame(opcode, payload).serialize(mask=False)


def frames(
    codec: Codec, stream: int, cursor: int | None, records: Sequence[Record]
) -> Iterator[tuple[int | None, bytes]]:
    """Encode records as data frames, each with its cursor; the last one has ``cursor``.

    Frames of long texts are halved until they are small. Without records there is no frame.
    """
    for start in range(0, len(records), FRAME_READINGS):
        part = records[start : start + FRAME_READINGS]
        is_last = start + FRAME_READINGS >= len(records)
        reached = cursor if is_last or cursor is None else part[-1].offset + 1
        payload = codec.frame(stream, reached, part)
        if len(payload) > FRAME_BYTES and len(part) > 1:
            middle = len(part) // 2
            between = None if cursor is None else part[middle].offset
            yield from frames(codec, stream, between, part[:middle])
            yield from frames(codec, stream, reached, part[middle:])
        else:
            yield reached, packet(codec, payload)


def announcements(codec: Codec, channels: Sequence[Channel]) -> Iterator[bytes]:
    """Encode ``channels`` messages."""
    for start in range(0, len(channels), ANNOUNCED_AT_ONCE):
        part = Channels(channels[start : start + ANNOUNCED_AT_ONCE])
        yield packet(codec, codec.message(part.write()))
