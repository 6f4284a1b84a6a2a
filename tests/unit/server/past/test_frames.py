"""Frames of the past are encoded once for all who read the same."""

from __future__ import annotations

from collections.abc import Sequence

from sensord.model.readings import Channel, Metadata, Reading, Record
from sensord.server.past.frames import PastFrames
from sensord.wire.frames import JSON, MSGPACK

CHANNEL = Channel(3, "t", Metadata(decimals=2))


class Counting:
    """A codec that counts what it encodes."""

    subprotocol = MSGPACK.subprotocol
    is_text = False
    message = staticmethod(MSGPACK.message)
    decode = staticmethod(MSGPACK.decode)
    read_frame = staticmethod(MSGPACK.read_frame)
    with_stream = staticmethod(MSGPACK.with_stream)

    def __init__(self) -> None:
        self.encoded = 0

    def frame(self, stream: int, cursor: int | None, records: Sequence[Record]) -> bytes:
        self.encoded += 1
        return MSGPACK.frame(stream, cursor, records)


def some(first: int, count: int = 3) -> list[Record]:
    return [Record(i, 5, CHANNEL, Reading(4, float(i))) for i in range(first, first + count)]


def test_the_same_piece_is_encoded_once() -> None:
    """Each stream gets what it would have got alone."""
    codec, past, records = Counting(), PastFrames(), some(10)
    for stream in (1, 2, 300):
        payload = past.payload(codec, ("t",), stream, 13, list(records))
        assert payload == MSGPACK.frame(stream, 13, records)
    assert codec.encoded == 1


def test_what_differs_is_encoded_for_itself() -> None:
    """Another selection, another place, another encoding, other readings."""
    past, records = PastFrames(), some(10)
    asked = [
        (MSGPACK, ("t",), 13, records),
        (JSON, ("t",), 13, records),
        (MSGPACK, ("t",), 14, records),
        (MSGPACK, ("t", "u"), 13, [records[0], records[2]]),
        (MSGPACK, ("t",), 13, records[:2]),
        (MSGPACK, ("t",), 13, [records[0]._replace(log_us=6), *records[1:]]),
        (MSGPACK, ("t",), 13, some(10)),
    ]
    for codec, topics, cursor, told in asked * 2:
        assert past.payload(codec, topics, 5, cursor, told) == codec.frame(5, cursor, told)


def test_only_the_last_ones_are_kept() -> None:
    """Who comes much later has it encoded again."""
    codec, past = Counting(), PastFrames(kept=2)
    pieces = [some(first) for first in (0, 10, 20)]
    for records in [*pieces, pieces[0], pieces[2], pieces[2]]:
        past.payload(codec, ("t",), 1, records[-1].offset + 1, records)
    assert codec.encoded == 4
