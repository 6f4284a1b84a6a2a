"""Requests with a body, however their bytes are cut."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.server.http.upload import BODY_BYTES, Upload, UploadError

HEAD = b"POST /api/readings HTTP/1.1\r\nHost: x\r\n"


def read(*parts: bytes, most: int = BODY_BYTES) -> Upload:
    upload = Upload(most)
    for part in (*parts, b""):
        upload.feed(part)
    return upload


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:stop] for start, stop in pairwise(edges)]


@given(body=st.binary(max_size=300), places=st.lists(st.integers(0, 2000)))
def test_any_cut_gives_the_same_body(body: bytes, places: list[int]) -> None:
    """By length; what follows is ignored."""
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body + b"GET / HTTP/1.1\r\n\r\n"
    upload = read(*cut(whole, places))
    assert upload.is_complete
    assert bytes(upload.body) == body


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    places=st.lists(st.integers(0, 2000)),
)
def test_any_cut_gives_the_same_chunks(chunks: list[bytes], places: list[int]) -> None:
    """With extensions and trailers, which mean nothing here."""
    sent = b"".join(b"%X ;a=b\r\n%b\r\n" % (len(one), one) for one in chunks)
    whole = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + sent + b"00\r\nX: y\r\n\r\n"
    upload = read(*cut(whole, places))
    assert upload.is_complete
    assert bytes(upload.body) == b"".join(chunks)
    assert not read(whole[:-1]).is_complete


@given(garbage=st.binary(max_size=200), places=st.lists(st.integers(0, 400)))
def test_garbage_is_refused_or_waited_for(garbage: bytes, places: list[int]) -> None:
    """It raises nothing else."""
    for begin in (b"POST ", HEAD, HEAD + b"Transfer-Encoding: chunked\r\n\r\n"):
        with contextlib.suppress(UploadError):
            read(*cut(begin + garbage, places))


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"Content-Length: -1\r\n", 400),
        (b"Content-Length: +5\r\n", 400),
        (b"Content-Length : 5\r\n", 400),
        (b"Content-Length: 5, 5\r\n", 400),
        (b"Transfer-Encoding: gzip, chunked\r\n", 400),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        (b" folded: x\r\n", 400),
        (b"Content-Length: 262145\r\n", 413),
        (b"X: " + b"x" * 20_000 + b"\r\n", 431),
    ],
)
def test_what_two_readers_could_end_in_different_places_is_refused(
    lines: bytes, status: int
) -> None:
    """As is what is too large."""
    with pytest.raises(UploadError) as caught:
        read(HEAD + lines, b"\r\n")
    assert caught.value.status == status


def test_chunks_are_bounded_together() -> None:
    """Not each by itself."""
    chunk = b"8\r\n12345678\r\n"
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    assert not read(head, chunk * 2, most=16).is_complete
    with pytest.raises(UploadError):
        read(head, chunk * 3, most=16)
