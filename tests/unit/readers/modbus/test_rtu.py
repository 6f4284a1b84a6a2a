"""The answer to a request is found in whatever comes, and nothing else is."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.readers.modbus.requests import Reply, Request, Table, read, write_coil, write_words
from sensord.readers.modbus.rtu import RtuAnswer, crc, frame

units = st.integers(1, 247)
addresses = st.integers(0, 0xFFFF)
counts = st.integers(1, 125)
words = st.sampled_from([Table.HOLDING, Table.INPUT])
reads = st.builds(read, units, words, addresses, counts)


def answer_to(request: Request, data: bytes) -> bytes:
    """Return the frame in which a unit answers a read."""
    body = bytes([request.unit, request.function, len(data)]) + data
    return body + crc(body)


def exception_to(request: Request, code: int) -> bytes:
    body = bytes([request.unit, request.function | 0x80, code])
    return body + crc(body)


def fed(answer: RtuAnswer, data: bytes, cuts: list[int]) -> Reply | None:
    """Feed pieces, and return the first reply."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        if (reply := answer.feed(data[start:end])) is not None:
            return reply
    return None


def test_the_frames_of_the_standard() -> None:
    """A request as the manuals of meters print it."""
    request = read(1, Table.INPUT, 0, 2)
    assert frame(request).hex(" ") == "01 04 00 00 00 02 71 cb"
    reply = RtuAnswer(request).feed(bytes.fromhex("01 04 04 43 66 33 34 1b 38"))
    assert reply == Reply(bytes.fromhex("43 66 33 34"))


@given(reads, st.randoms(use_true_random=False), st.binary(max_size=8), st.lists(st.integers(0)))
def test_an_answer_is_found_behind_anything(
    request: Request, chance: random.Random, stray: bytes, cuts: list[int]
) -> None:
    """However the bytes are cut, and whatever came before it."""
    data = chance.randbytes(request.size)
    answer = RtuAnswer(request)
    assert fed(answer, stray + answer_to(request, data), cuts) == Reply(data)
    assert answer.stray == stray


@given(reads, st.randoms(use_true_random=False), st.binary(max_size=8), st.lists(st.integers(0)))
def test_an_echo_is_cut_out(
    request: Request, chance: random.Random, stray: bytes, cuts: list[int]
) -> None:
    """Known or not, before stray bytes or behind them."""
    data = chance.randbytes(request.size)
    for echoes in (False, True):
        answer = RtuAnswer(request, echoes=echoes)
        heard = stray + frame(request) + stray + answer_to(request, data)
        assert fed(answer, heard, cuts) == Reply(data)
        assert answer.was_echoed
        assert answer.stray == stray + stray


@given(reads, reads, st.randoms(use_true_random=False))
def test_the_answer_to_another_request_is_refused(
    request: Request, other: Request, chance: random.Random
) -> None:
    """Of another unit, of another function, or of another length; the right one is found behind."""
    theirs = answer_to(other, chance.randbytes(other.size))
    data = chance.randbytes(request.size)
    answer = RtuAnswer(request)
    is_alike = (request.unit, request.function, request.size) == (
        other.unit,
        other.function,
        other.size,
    )
    if is_alike:
        return  # nothing on the line distinguishes the two
    assert answer.feed(theirs) is None
    assert answer.feed(answer_to(request, data)) == Reply(data)


@given(reads, st.binary(max_size=600))
def test_noise_gives_no_value(request: Request, noise: bytes) -> None:
    """Nothing is found in what has no CRC that fits."""
    reply = RtuAnswer(request).feed(noise)
    assert reply is None or reply.exception


@given(reads, st.randoms(use_true_random=False), st.integers(0), st.integers(1, 255))
def test_an_altered_answer_is_refused(
    request: Request, chance: random.Random, place: int, change: int
) -> None:
    """One wrong byte costs the answer, never gives a wrong value."""
    whole = bytearray(answer_to(request, chance.randbytes(request.size)))
    whole[place % len(whole)] ^= change
    assert RtuAnswer(request).feed(bytes(whole)) is None


@given(reads, st.sampled_from([1, 2, 3, 4, 6, 11]), st.binary(max_size=8))
def test_an_exception_is_found(request: Request, code: int, stray: bytes) -> None:
    """It is shorter than the answer, and stands anywhere."""
    assert RtuAnswer(request).feed(stray + exception_to(request, code)) == Reply(exception=code)


def test_an_exception_that_the_standard_does_not_know_is_noise() -> None:
    """Fewer forms that are believed are fewer mistakes."""
    request = read(1, Table.HOLDING, 0, 1)
    assert RtuAnswer(request).feed(exception_to(request, 99)) is None


@pytest.mark.parametrize(
    "request_",
    [
        write_coil(9, 300, is_on=True),
        write_words(9, 300, b"\x01\x02", at_once=False),
        write_words(9, 300, b"\x01\x02\x03\x04", at_once=True),
    ],
)
def test_a_write_is_answered_by_its_beginning(request_: Request) -> None:
    """Where the answer is the request itself, a line that echoes brings it twice."""
    body = bytes([request_.unit]) + request_.pdu[:5]
    whole = body + crc(body)
    assert RtuAnswer(request_).feed(whole) == Reply()
    answer = RtuAnswer(request_, echoes=True)
    assert answer.feed(frame(request_)) is None
    assert answer.feed(whole) == Reply()


def test_memory_is_bounded_whatever_comes() -> None:
    """A device that talks without end does not fill it."""
    answer = RtuAnswer(read(1, Table.HOLDING, 0, 125))
    for _ in range(100):
        assert answer.feed(b"\x01" * 500) is None
    assert len(answer._held) <= 1024
