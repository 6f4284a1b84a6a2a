"""Packets are whole messages; frames and announcements are cut into bounded ones."""

from __future__ import annotations

import json

import pytest
from hypothesis import given as given_
from hypothesis import strategies as st
from websockets.frames import Opcode

from sensord.model.readings import Channel, Metadata, Reading, Record, ValueType
from sensord.server import packets
from sensord.server.packets import announcements, frames, packet
from sensord.wire.frames import JSON, MSGPACK, Codec
from tests.unit.server.monitors import payload_of

STATE = Metadata(ValueType.STRING)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize(("codec", "opcode"), [(MSGPACK, Opcode.BINARY), (JSON, Opcode.TEXT)])
def test_a_packet_is_one_unmasked_message(codec: Codec, opcode: Opcode, size: int) -> None:
    """Of the kind that the subprotocol says, whatever its size."""
    assert payload_of(packet(codec, b"x" * size)) == (opcode, b"x" * size)


CHANNEL = Channel(3, "a", STATE)
records = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 60)), max_size=30).map(
    lambda steps: [
        Record(sum(step for step, _ in steps[: i + 1]), 0, CHANNEL, Reading(i, "x" * size))
        for i, (_, size) in enumerate(steps)
    ]
)


@given_(records, st.sampled_from([MSGPACK, JSON]), st.booleans())
def test_frames_together_hold_the_records_and_each_has_its_cursor(
    given: list[Record], codec: Codec, is_snapshot: bool
) -> None:
    """Cursors rise with the records, the last is the one asked for; a snapshot has none."""
    end = given[-1].offset + 3 if given else 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packets, "FRAME_READINGS", 4)
        patch.setattr(packets, "FRAME_BYTES", 100)
        made = list(frames(codec, 7, None if is_snapshot else end, given))
    times: list[int] = []
    for cursor, data in made:
        payload = payload_of(data)[1]
        raw = codec.decode(payload)
        assert isinstance(raw, list)
        frame = codec.read_frame(raw, lambda _: STATE)
        assert (frame.stream, frame.cursor) == (7, cursor)
        assert 1 <= len(frame.readings) <= 4
        assert len(payload) <= 100 or len(frame.readings) == 1
        times += [one.reading.time_us for one in frame.readings]
        if is_snapshot:
            assert cursor is None
        elif len(times) < len(given):
            assert given[len(times) - 1].offset < (cursor or 0) <= given[len(times)].offset
    assert times == [record.reading.time_us for record in given]
    assert not given or made[-1][0] == (None if is_snapshot else end)


def test_announcements_come_in_bounded_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand channels are several messages."""
    monkeypatch.setattr(packets, "ANNOUNCED_AT_ONCE", 2)
    channels = [Channel(i, f"a/{i}", STATE) for i in range(5)]
    sent = [json.loads(payload_of(data)[1]) for data in announcements(JSON, channels)]
    assert [message["op"] for message in sent] == ["channels"] * 3
    assert [[one["channel"] for one in message["channels"]] for message in sent] == [
        [0, 1],
        [2, 3],
        [4],
    ]
