"""One value that is not JSON costs one value."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.base import UNREAD, Sample
from sensord.decode.json_paths import Config, Decoder
from sensord.decode.text import NOT_FINITE


def samples(message: bytes) -> list[Sample]:
    found, faults = Decoder(Config()).decode(message)
    assert faults == []
    return found


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (b'{"t":nan,"h":41}', [Sample("t", None, NOT_FINITE), Sample("h", 41)]),
        (b'{"d":-inf,"r":-70}', [Sample("d", None, NOT_FINITE), Sample("r", -70)]),
        (b'{"f":00.0,"t":12.7}', [Sample("f", 0.0), Sample("t", 12.7)]),
        (b'{"f":007,"t":+5}', [Sample("f", 7), Sample("t", 5)]),
        (b'{"f":.5,"t":- 5.}', [Sample("f", 0.5), Sample("t", -5.0)]),
        (b'{"t":,"h":41}', [Sample("h", 41)]),
        (b"[1,,3]", [Sample("0", 1), Sample("2", 3)]),
        (b'{"h":41,}', [Sample("h", 41)]),
        (b'{"t":---,"h":41}', [Sample("t", None, UNREAD, None, "---"), Sample("h", 41)]),
        (b'{"t":21.5 C,"h":41}', [Sample("t", None, UNREAD, None, "21.5 C"), Sample("h", 41)]),
        (b'{"t":00e5,"h":1}', [Sample("t", None, UNREAD, None, "00e5"), Sample("h", 1)]),
        (b'{"on":True,"h":41}', [Sample("on", True), Sample("h", 41)]),
        (b'\xef\xbb\xbf{"h":41}\0\0', [Sample("h", 41)]),
        (b'{"s":"nan,:[,","h":nan}', [Sample("s", "nan,:[,"), Sample("h", None, NOT_FINITE)]),
    ],
)
def test_each_value_costs_at_most_itself(message: bytes, found: list[Sample]) -> None:
    """What stands beside it is used."""
    assert samples(message) == found


@pytest.mark.parametrize(
    "message",
    [
        b'{"a":1',
        b'{"a":nan,"b":2',
        b'{"a":1 "b":2}',
        b'{"a":1}{"b":2}',
        b"{a:1}",
        b"ovf",
        b'{"a":"x',
        b"[1}",
    ],
)
def test_what_holds_values_together_is_not_mended(message: bytes) -> None:
    """A message that was cut off may end in half a number."""
    found, faults = Decoder(Config()).decode(message)
    assert found == []
    assert [fault.reason for fault in faults] == ["not JSON"]


leaf = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
tree: st.SearchStrategy[Any] = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@given(tree)
def test_what_stands_beside_an_unreadable_value_is_read_as_ever(root: Any) -> None:
    """Texts that look like pieces of JSON included."""
    plain = json.dumps(root, ensure_ascii=False)
    alone = Decoder(Config()).decode(f"[1,{plain}]".encode("utf-8", "replace"))
    beside = Decoder(Config()).decode(f"[---,{plain}]".encode("utf-8", "replace"))
    assert beside.samples[1:] == alone.samples[1:]
    assert [one.reason for one in beside.faults] == [one.reason for one in alone.faults]


def test_a_long_message_that_is_not_quite_json_is_read_in_time() -> None:
    """Each piece of it is looked at once."""
    message = b"[nan" + b"," * 200_000 + b" " * 200_000 + b"1]"
    before = time.process_time()
    Decoder(Config()).decode(message)
    assert time.process_time() - before < 5
