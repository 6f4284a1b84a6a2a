"""Rows in messages: lists of maps, in parts of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from sensord.server.packets import FRAME_BYTES, packet
from sensord.wire.frames import Codec
from sensord.wire.ops.base import Sendable

__all__ = ["ROWS", "row_packets"]

Row = TypeVar("Row")

ROWS = 256
"""Most rows in a message: some 30 KiB."""


def row_packets(
    codec: Codec, rows: Sequence[Row], message: Callable[[Sequence[Row], bool], Sendable]
) -> Iterator[bytes]:
    """Encode rows; ``message`` makes a message of some rows, with a flag for the last ones.

    Messages of long texts are halved until they are small.
    """
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        yield from _packets(codec, part, message, is_last=start + ROWS >= len(rows))


def _packets(
    codec: Codec,
    rows: Sequence[Row],
    message: Callable[[Sequence[Row], bool], Sendable],
    *,
    is_last: bool,
) -> Iterator[bytes]:
    payload = codec.message(message(rows, is_last).write())
    if len(payload) > FRAME_BYTES and len(rows) > 1:
        middle = len(rows) // 2
        yield from _packets(codec, rows[:middle], message, is_last=False)
        yield from _packets(codec, rows[middle:], message, is_last=is_last)
    else:
        yield packet(codec, payload)
