"""The end of an answer is found however its bytes are cut."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.regex import Pattern
from sensord.readers.answers import MOST_BYTES, Answer


@given(st.binary(max_size=30), st.lists(st.integers(0, 40), max_size=6))
def test_an_answer_is_complete_at_its_end_however_it_is_cut(body: bytes, cuts: list[int]) -> None:
    """Before the last byte of the terminator it is not."""
    whole = body.replace(b"\r\n", b"") + b"\r\n"
    if b"\r\n" in whole[:-1]:  # the replacing made a new one
        return
    answer = Answer(b"\r\n", 0)
    places = sorted({min(cut, len(whole) - 1) for cut in cuts} | {0, len(whole)})
    pieces = [whole[a:b] for a, b in itertools.pairwise(places)]
    assert [answer.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]


@given(st.lists(st.binary(min_size=1, max_size=5), min_size=1))
def test_an_answer_of_fixed_size_is_complete_with_its_bytes(pieces: list[bytes]) -> None:
    """What the bytes are does not matter."""
    size = sum(map(len, pieces))
    answer = Answer(b"\n", size)
    assert [answer.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]


@given(st.lists(st.integers(0, 40), max_size=8))
def test_what_does_not_match_is_passed_over_however_it_is_cut(cuts: list[int]) -> None:
    """The answer is the line that matches; what stands behind it is left for others."""
    whole = b"booting\r\n013\r\n00025\r\n0+3.1\r\n"
    answer = Answer(b"\r\n", 0, Pattern("^0(?P<seconds>[0-9]{3})(?P<count>[0-9])$"), is_held=True)
    done_after = 0
    parts = [whole[a:b] for a, b in itertools.pairwise([0, *sorted(cuts), len(whole)])]
    for number, part in enumerate(parts):
        if answer.feed(part):
            done_after = number
            break
    assert answer.groups == {"seconds": "002", "count": "5"}
    assert answer.strange == b"013"
    assert answer.rest + b"".join(parts[done_after + 1 :]) == b"0+3.1\r\n"


def test_noise_without_an_end_is_not_kept() -> None:
    """Memory stays bounded whatever comes, and the end is still found."""
    answer = Answer(b"\r\n", 0, is_held=True)
    for _ in range(10):
        assert not answer.feed(b"x" * MOST_BYTES + b"\r")
        assert len(answer.rest) <= MOST_BYTES
    assert answer.feed(b"\n")
