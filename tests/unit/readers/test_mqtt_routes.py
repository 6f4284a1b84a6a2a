"""Which filter a message of a broker belongs to, and the route that it gets."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.device.reader import Route
from sensord.model.topics import matches
from sensord.readers import mqtt_routes
from sensord.readers.mqtt_options import TopicMap
from sensord.readers.mqtt_routes import Router, do_overlap


@pytest.mark.parametrize(
    ("pattern", "topic", "captures"),
    [
        ("a/b", "a/b", ()),
        ("a/+/c", "a/b/c", ("b",)),
        ("+/+", "a/b", ("a", "b")),
        ("a/#", "a/b/c", ("b/c",)),
        ("a/#", "a", ("",)),
        ("+/x/#", "a/x/b/c", ("a", "b/c")),
        ("/+", "/b", ("b",)),
        ("$share/group/a/+", "a/b", ("b",)),
        ("$share/group/#", "a/b", ("a/b",)),
    ],
)
def test_captures_are_what_the_wildcards_stood_for(
    pattern: str, topic: str, captures: tuple[str, ...]
) -> None:
    """They are counted from the left."""
    assert Router((TopicMap(pattern, topic="x"),)).route(topic) == Route(topic, "x", captures)


def test_the_first_filter_wins() -> None:
    """The order is the configuration's."""
    router = Router((TopicMap("a/b", topic="exact"), TopicMap("a/+"), TopicMap("#", topic="rest")))
    patterns = [route.pattern for topic in ("a/b", "a/c", "d") if (route := router.route(topic))]
    assert patterns == ["exact", None, "rest"]


def test_a_topic_that_no_filter_selects_has_no_route() -> None:
    """A session kept by the broker may still send such ones."""
    router = Router((TopicMap("a/+"),))
    assert router.route("b/c") is None
    assert not router.routes


def test_remembered_routes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker with endless topics costs no endless memory; the oldest goes."""
    monkeypatch.setattr(mqtt_routes, "MAX_ROUTES", 3)
    router = Router((TopicMap("#"),))
    for topic in "abcde":
        router.route(topic)
    assert list(router.routes) == ["c", "d", "e"]


LEVELS = st.sampled_from(["a", "b", "+", "$x"])
FILTERS = st.builds(
    lambda levels, rest: "/".join([*levels, *rest]),
    st.lists(LEVELS, min_size=1, max_size=3),
    st.sampled_from([[], ["#"]]),
) | st.just("#")
TOPICS = [
    "/".join(levels)
    for depth in range(1, 6)
    for levels in itertools.product(["a", "b", "$x"], repeat=depth)
]


@given(FILTERS, FILTERS)
def test_filters_overlap_if_some_topic_satisfies_both(one: str, other: str) -> None:
    """The answer is that of trying every topic."""
    tried = any(matches(one, topic) and matches(other, topic) for topic in TOPICS)
    assert do_overlap(one, other) == tried
    assert do_overlap(other, one) == tried
