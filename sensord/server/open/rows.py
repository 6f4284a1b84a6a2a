"""Rows in messages: lists of maps, in parts of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sensord.server.live.group import FRAME_BYTES, packet
from sensord.wire.frames import Codec, Message

__all__ = ["ROWS", "row_packets"]

ROWS = 256
"""Most rows in a message: some 30 KiB."""


def row_packets(
    codec: Codec, rows: Sequence[Message], message: Callable[[Sequence[Message], bool], Message]
) -> Iterator[bytes]:
    """Encode rows; ``message`` makes one of some rows, told whether they are the last.

    Messages of long texts are halved until they are small.
    """
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        yield from _packets(codec, part, message, is_last=start + ROWS >= len(rows))


def _packets(
    codec: Codec,
    rows: Sequence[Message],
    message: Callable[[Sequence[Message], bool], Message],
    *,
    is_last: bool,
) -> Iterator[bytes]:
    payload = codec.message(message(rows, is_last))
    if len(payload) > FRAME_BYTES and len(rows) > 1:
        middle = len(rows) // 2
        yield from _packets(codec, rows[:middle], message, is_last=False)
        yield from _packets(codec, rows[middle:], message, is_last=is_last)
    else:
        yield packet(codec, payload)
