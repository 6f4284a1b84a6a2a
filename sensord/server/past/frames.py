"""Frames of the past, encoded once for all clients that read the same at about the same time.

Many monitors that were cut off together return together, and ask for the same hour: their frames
differ in the number of the stream only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sensord.model.readings import Record
from sensord.wire.frames import Codec

__all__ = ["PastFrames"]

KEPT = 64
"""Frames of some 8 KiB, those used last."""


class _Key(NamedTuple):
    codec: Codec
    topics: tuple[str, ...]
    cursor: int
    readings: int


class _Made(NamedTuple):
    first: Record
    last: Record
    payload: bytes


class PastFrames:
    """The frames made last, for stream 0."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._made: dict[_Key, _Made] = {}

    def payload(
        self,
        codec: Codec,
        topics: tuple[str, ...],
        stream: int,
        cursor: int,
        records: Sequence[Record],
    ) -> bytes:
        """Encode all that these topics select between the first record and the last."""
        key = _Key(codec, topics, cursor, len(records))
        first, last = records[0], records[-1]
        made = self._made.pop(key, None)
        # The same objects, for an offset has one reading: nothing is compared by value.
        if made is None or made.first is not first or made.last is not last:
            made = _Made(first, last, codec.frame(0, cursor, records))
        self._made[key] = made
        if len(self._made) > self._kept:
            del self._made[next(iter(self._made))]
        return codec.with_stream(made.payload, stream)
