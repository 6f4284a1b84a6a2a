"""Frames and lines on one line: neither costs the other anything."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.checksums import checksum
from sensord.decode.framing.frames import Config as FrameConfig
from sensord.decode.framing.frames import FrameChecksum, Length
from sensord.decode.framing.mixed import Config, MixedFramer
from tests.unit.decode.streams import config_faults, cut_points, feed_in_pieces, pieces

LENGTH = Length(at=4, type="u16", byte_order="little", add=8)
UBX = FrameConfig(
    start="B5 62", length_field=LENGTH, checksum=FrameChecksum(type="fletcher8", start=2)
)


def ubx(payload: bytes) -> bytes:
    """Return a frame."""
    body = b"\x01\x07" + len(payload).to_bytes(2, "little") + payload
    return b"\xb5\x62" + body + checksum("fletcher8").of(body).to_bytes(2, "big")


frames = st.binary(max_size=30).map(ubx)
lines = st.sampled_from([b"$GPGGA,1*00", b"\xb5", b"text \xb5\x62"])


@given(st.lists(st.one_of(frames, lines), max_size=6), cut_points)
def test_each_comes_out_whole_and_in_order(parts: list[bytes], points: list[int]) -> None:
    """Also text with the start bytes, wherever the stream is cut."""
    stream = b"".join(one if one.startswith(b"\xb5\x62") else one + b"\r\n" for one in parts)
    messages, faults = feed_in_pieces(
        MixedFramer(Config(frames=UBX)), pieces(stream + bytes(2000) + b"\n", points)
    )
    assert [one for one in messages if one.strip(b"\0")] == parts
    assert faults == []


def test_a_damaged_frame_costs_at_most_the_line_around_it() -> None:
    """The next frame is found whatever was changed."""
    chance = random.Random(4)
    for _ in range(2000):
        bad = bytearray(ubx(chance.randbytes(40)))
        at = chance.randrange(len(bad))
        bad[at] ^= chance.randrange(1, 256)
        good = ubx(b"good")
        # A length that was damaged claims what follows, up to max_bytes.
        messages = MixedFramer(Config(frames=UBX)).feed(bytes(bad) + good + bytes(1100)).messages
        assert good in messages
        assert bytes(bad) not in messages


def test_a_frame_needs_a_start_and_a_checksum() -> None:
    """Else nothing tells it from a line."""
    faults = config_faults(Config, {"type": "mixed", "frames": {"start": "AA", "length": 4}})
    assert len(faults) == 1
    assert "checksum" in faults[0]
