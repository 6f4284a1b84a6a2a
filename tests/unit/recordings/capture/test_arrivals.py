"""What a reader hands on, and how it stands in a capture."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.base import Sample
from sensord.device.intake import DEVICE, Route
from sensord.model.readings import Level, Quality
from sensord.recordings.capture.arrivals import (
    Event,
    Message,
    Piece,
    Values,
    What,
    payload_of,
    stored,
    what_of,
)

text = st.text(max_size=10)
texts = st.lists(text, max_size=3).map(tuple)
qualities = st.builds(Quality, st.sampled_from(Level), text)
values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text
samples = st.builds(Sample, text, values, qualities, st.none() | st.integers())
whats = st.one_of(
    st.builds(Piece, st.binary()),
    st.builds(
        Message,
        st.builds(
            Route,
            text,
            st.none() | text,
            texts,
            st.booleans(),
            texts,
            scope=st.integers(-1, 9),
            places=st.just(()),  # found in the payload when it is decoded again
            device=st.just(""),
        ),
        st.binary(),
    ),
    st.builds(Values, st.lists(samples, max_size=3).map(tuple), st.just(DEVICE)),
    st.builds(
        Values,
        st.lists(samples, max_size=3).map(tuple),
        st.builds(
            Route,
            st.text(min_size=1, max_size=9),
            depends_on=texts,
            scope=st.integers(-1, 9),
            places=st.just(()),
            device=text,
        ),
    ),
    st.builds(
        Event, st.sampled_from(["up", "down", "fault", "online", "offline", "end"]), text, text
    ),
)


@given(whats)
def test_what_was_stored_is_made_again(what: What) -> None:
    """Whatever it is."""
    assert what_of(dict(stored("dev", what).facts), payload_of(what)) == what


def test_messages_of_one_source_stand_in_one_channel() -> None:
    """And those of another in another, so that other tools tell them apart."""
    one, other = Message(Route("a/b", "{1}", ("b",)), b"1"), Message(Route("a/c"), b"1")
    assert stored("dev", one).topic == "dev/a/b"
    assert stored("dev", one) == stored("dev", one._replace(payload=b"2"))
    assert stored("dev", one) != stored("dev", other)


@pytest.mark.parametrize(
    ("facts", "payload"),
    [
        ({}, b""),
        ({"capture": "new"}, b"{}"),
        ({"capture": "message"}, b""),
        ({"capture": "events"}, b"[]"),
        ({"capture": "events"}, b"\xff"),
        ({"capture": "samples"}, b'{"samples": [[1, 2, 9, "", null]]}'),
    ],
)
def test_what_is_none_of_these_is_refused(facts: dict[str, str], payload: bytes) -> None:
    """As damaged, or of a newer version."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        what_of(facts, payload)
