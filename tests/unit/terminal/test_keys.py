"""The keys that a terminal sends."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.terminal.keys import Keys

TYPED = "é/x\x1b[A\x1bOB\x1b[5~\x1b[1;2C\r\t\x7f温".encode()
PRESSED = ["é", "/", "x", "up", "down", "pageup", "right", "enter", "tab", "backspace", "温"]


@given(st.lists(st.integers(0, len(TYPED)), max_size=8))
def test_any_cut_of_the_bytes_gives_the_same_keys(cuts: list[int]) -> None:
    """A slow link splits sequences and characters."""
    keys, found = Keys(), []
    places = [0, *sorted(cuts), len(TYPED)]
    for begin, end in itertools.pairwise(places):
        found += keys.feed(TYPED[begin:end])
    assert found == PRESSED
    assert not keys.is_pending


@given(st.binary())
def test_no_bytes_raise(data: bytes) -> None:
    """And each key has a name or is printable."""
    assert all(len(key) > 1 or key.isprintable() for key in Keys().feed(data))


def test_an_escape_alone_is_a_key_when_nothing_follows() -> None:
    """Until then it may be the beginning of another key."""
    keys = Keys()
    assert keys.feed(b"\x1b") == []
    assert keys.is_pending
    assert keys.flush() == ["escape"]


@pytest.mark.parametrize("data", [b"\x1b" + b"q", b"\x1b\x1b[A"])
def test_an_escape_before_another_key_is_one_too(data: bytes) -> None:
    """Typed quickly, or with Alt."""
    assert Keys().feed(data)[0] == "escape"
