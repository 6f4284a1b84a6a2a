"""Frames on TCP name their request."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from sensord.readers.modbus.requests import Reply, Table, read
from sensord.readers.modbus.tcp import TcpAnswer, TcpStream, frame

frames = st.lists(
    st.tuples(st.integers(0, 0xFFFF), st.integers(0, 255), st.binary(min_size=1, max_size=253)),
    max_size=6,
)


def packed(number: int, unit: int, pdu: bytes) -> bytes:
    return (
        number.to_bytes(2, "big")
        + b"\0\0"
        + (len(pdu) + 1).to_bytes(2, "big")
        + bytes([unit])
        + pdu
    )


@given(frames, st.lists(st.integers(0)))
def test_any_cut_gives_the_same_frames(sent: list[tuple[int, int, bytes]], cuts: list[int]) -> None:
    """The stream is the same, whatever TCP makes of it."""
    data = b"".join(packed(*one) for one in sent)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    stream, found = TcpStream(), []
    for start, end in itertools.pairwise(places):
        found += stream.feed(data[start:end])
    assert found == sent
    assert not stream.is_lost


@given(st.binary(max_size=600))
def test_no_bytes_raise(data: bytes) -> None:
    """What is no frame is noticed, and costs no memory."""
    TcpStream().feed(data)


def test_what_is_no_modbus_is_noticed() -> None:
    """A converter that sends RTU frames never gets into step."""
    stream = TcpStream()
    assert stream.feed(bytes.fromhex("01 04 04 43 66 33 34 1b 38")) == []
    assert stream.is_lost


def test_an_answer_names_its_request() -> None:
    """The late answer to the request before has another number."""
    request = read(3, Table.HOLDING, 10, 1)
    assert frame(request, 7).hex(" ") == "00 07 00 00 00 06 03 03 00 0a 00 01"
    answer = TcpAnswer(request, 7)
    assert answer.reply(6, 3, b"\x03\x02\x00\x01") is None
    assert answer.strange == 0
    assert answer.reply(7, 4, b"\x03\x02\x00\x01") is None
    assert answer.reply(7, 3, b"\x03\x04\x00\x01\x00\x02") is None
    assert answer.strange == 2
    assert answer.reply(7, 3, b"\x03\x02\x00\x01") == Reply(b"\0\x01")
    assert answer.reply(7, 3, b"\x83\x02") == Reply(exception=2)
