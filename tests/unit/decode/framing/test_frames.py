"""Binary frames in a stream: no clean one is lost, no damaged one is used."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.config.schema import Faults, structure
from sensord.decode.framing.frames import (
    BAD_LENGTH,
    NO_END,
    OUTSIDE,
    Config,
    FrameChecksum,
    FrameFramer,
    Length,
)
from sensord.decode.framing.line_checksum import WRONG
from tests.unit.decode.streams import config_faults, cut_points, feed_in_pieces, pieces

SDS = Config(start="AA C0", end="AB", length=10, checksum=FrameChecksum(type="sum8", start=2))
PMS = Config(
    start="42 4D",
    length_field=Length(at=2, type="u16", add=4),
    checksum=FrameChecksum(type="sum16"),
    max_bytes=64,
)
BARE = Config(length=9, checksum=FrameChecksum(type="sum8_twos", start=1))


def sds(payload: bytes) -> bytes:
    assert len(payload) == 6
    return b"\xaa\xc0" + payload + bytes([sum(payload) & 0xFF]) + b"\xab"


def pms(payload: bytes) -> bytes:
    body = b"\x42\x4d" + (len(payload) + 2).to_bytes(2, "big") + payload
    return body + (sum(body) & 0xFFFF).to_bytes(2, "big")


def bare(payload: bytes) -> bytes:
    return b"\xff" + payload + bytes([-sum(payload) & 0xFF])


FRAMES = {
    "sds": (SDS, sds, st.binary(min_size=6, max_size=6)),
    "pms": (PMS, pms, st.binary(max_size=40)),
    "bare": (BARE, bare, st.binary(min_size=7, max_size=7)),
}


def framed(config: Config, data: bytes) -> tuple[list[bytes], list[str]]:
    found = FrameFramer(config).feed(data)
    return found.messages, [fault.reason for fault in found.faults]


A, B = sds(bytes.fromhex("D4043A0AA160")), sds(bytes.fromhex("AB000A01A160"))


def test_frames_are_cut_by_length_whatever_they_contain() -> None:
    """A value may be the end byte, or look like a start."""
    look = sds(bytes.fromhex("AAC0AAC0AB00"))
    assert framed(SDS, A + B + look) == ([A, B, look], [])


def test_the_fragment_that_a_stream_begins_with_is_no_fault() -> None:
    """The port was opened in the middle of a frame."""
    assert framed(SDS, A[3:] + B + A) == ([B, A], [])


def test_a_damaged_frame_is_one_fault_and_the_next_is_used() -> None:
    """Named after what was wrong with it."""
    damaged = A[:4] + b"\x00" + A[5:]
    assert framed(SDS, A + damaged + B) == ([A, B], [WRONG])
    assert framed(SDS, A + A[:-1] + b"\x00" + B) == ([A, B], [NO_END])
    assert framed(SDS, A + b"noise" + B) == ([A, B], [OUTSIDE])
    long = b"\x42\x4d\xff\xff"
    good = pms(b"1234")
    assert framed(PMS, good + long + good) == ([good, good], [BAD_LENGTH])


def test_after_a_bad_candidate_the_search_continues_one_byte_further() -> None:
    """The beginning of a frame that broke off may swallow the next one."""
    good = pms(b"abcdef")
    assert framed(PMS, good + b"\x42\x4d\x00\x0a\x01" + good + good) == (
        [good, good, good],
        [WRONG],
    )
    assert framed(PMS, good + b"\x01\x42" + good) == ([good, good], [OUTSIDE])


def test_frames_by_start_and_end() -> None:
    """Without a length; one that never ends is given up."""
    config = Config(start="02", end="03", max_bytes=8)
    assert framed(config, b"\x02ab\x03\x02\x03") == ([b"\x02ab\x03", b"\x02\x03"], [])
    messages, faults = framed(config, b"\x02ok\x03" + b"\x02" + b"x" * 20 + b"\x02ab\x03")
    assert messages == [b"\x02ok\x03", b"\x02ab\x03"]
    assert faults[0] == BAD_LENGTH


@pytest.mark.parametrize("name", FRAMES)
@given(data=st.data())
def test_any_cut_of_the_stream_gives_the_same(name: str, data: st.DataObject) -> None:
    """Whatever lies between the frames."""
    config, make, payload = FRAMES[name]
    part = st.one_of(payload.map(make), st.binary(max_size=12), st.just(b"\xaa\xc0\x42\x4d"))
    stream = b"".join(data.draw(st.lists(part, max_size=12)))
    whole = feed_in_pieces(FrameFramer(config), iter([stream]))
    cut = feed_in_pieces(FrameFramer(config), pieces(stream, data.draw(cut_points)))
    assert cut == whole


@pytest.mark.parametrize("name", ["sds", "pms"])
@given(data=st.data())
def test_what_is_used_is_a_frame_and_a_clean_one_after_noise_is_found(
    name: str, data: st.DataObject
) -> None:
    """At the latest when the longest frame's bytes have followed."""
    config, make, payload = FRAMES[name]
    good = make(data.draw(payload))
    noise = data.draw(st.binary(max_size=30))
    stream = noise + good + good
    padding = bytes(config.max_bytes + 2) + good
    messages, _ = framed(config, stream + padding)
    checker = FrameFramer(config)
    assert all(not checker.wrong(one) for one in messages)
    assert good in messages


def test_a_megabyte_of_starts_costs_no_more_than_its_bytes() -> None:
    """Neither time nor memory: each candidate is looked at once."""
    framer = FrameFramer(PMS)
    count = 0
    for _ in range(64):
        found = framer.feed(b"\x42\x4d" * 8192)
        count += len(found.faults)
        assert len(framer._held) <= PMS.max_bytes
    assert count >= 1


def test_a_million_damaged_frames_give_no_wrong_value_in_a_row() -> None:
    """One bit of each is flipped; a sum finds every one of them."""
    chance = random.Random(7)
    framer = FrameFramer(SDS)
    wrong = 0
    for _ in range(2000):
        frame = bytearray(sds(chance.randbytes(6)))
        bit = chance.randrange(2 * 8, 9 * 8)
        frame[bit // 8] ^= 1 << bit % 8
        wrong += len(framer.feed(bytes(frame)).messages)
    assert wrong <= 2, "a frame may begin by chance in what two damaged ones hold"


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"start": "AX", "length": 3}, "start: expected bytes in hexadecimal digits"),
        ({"start": "AA"}, "length: is needed"),
        ({"length": 5}, "start: is needed without a checksum"),
        ({"start": "AA", "length": 5, "length_field": {"at": 1}}, "length_field: give length or"),
        ({"start": "AA", "length": 5, "max_bytes": 4}, "max_bytes: is less than length"),
        ({"start": "AA", "length": 5, "checksum": {"type": "sum9"}}, "checksum.type: expected one"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(
    table: dict[str, object], fault: str
) -> None:
    """With what to do."""
    assert any(one.startswith(fault) for one in config_faults(Config, table))


def test_a_reset_forgets_what_is_held() -> None:
    """The stream was interrupted: its next bytes are another fragment."""
    framer = FrameFramer(SDS)
    framer.feed(A + A[:5])
    framer.reset()
    assert framer.feed(A[5:] + B) == ([B], [])
    faults = Faults()
    assert structure(Config, {"type": "binary", "start": "AA", "length": 2}, (), faults)
