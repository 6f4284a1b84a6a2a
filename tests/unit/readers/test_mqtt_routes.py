"""Which filter a message of a broker belongs to, and the route that it gets."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.device.reader import Route
from sensord.model.topics import matches
from sensord.readers import mqtt_routes
from sensord.readers.mqtt_options import Availability, Config, TopicMap
from sensord.readers.mqtt_routes import Router, do_overlap


def subject(*topics: TopicMap, **more: Any) -> Router:
    return Router(Config("broker", topics, **more))


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
    assert subject(TopicMap(pattern, topic="x")).route(topic) == Route(
        topic, "x", captures, scope=0
    )


def test_the_first_filter_wins() -> None:
    """The order is the configuration's."""
    router = subject(TopicMap("a/b", topic="exact"), TopicMap("a/+"), TopicMap("#", topic="rest"))
    patterns = [route.pattern for topic in ("a/b", "a/c", "d") if (route := router.route(topic))]
    assert patterns == ["exact", None, "rest"]


def test_a_topic_that_no_filter_selects_has_no_route() -> None:
    """A session kept by the broker may still send such ones."""
    router = subject(TopicMap("a/+"))
    assert router.route("b/c") is None
    assert not router.routes


def test_remembered_routes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker with endless topics costs no endless memory; the oldest goes."""
    monkeypatch.setattr(mqtt_routes, "MAX_ROUTES", 3)
    router = subject(TopicMap("#"))
    for topic in "abcde":
        router.route(topic)
    assert list(router.routes) == ["c", "d", "e"]


# -- availability and what is ignored --------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "pattern", "topic", "depends_on", "subscribed"),
    [
        ("tele/+/SENSOR", "tele/{1}/LWT", "tele/plug/SENSOR", "tele/plug/LWT", "tele/+/LWT"),
        ("tele/+/SENSOR", "tele/+/LWT", "tele/plug/SENSOR", "tele/plug/LWT", "tele/+/LWT"),
        ("z/+", "z/{1}/availability", "z/door", "z/door/availability", "z/+/availability"),
        ("z/#", "z/{1}/availability", "z/hall/door", "z/hall/door/availability", "z/#"),
        ("a/+/+", "{2}/of/{1}", "a/b/c", "c/of/b", "+/of/+"),
        ("z/+", "bridge/state", "z/door", "bridge/state", "bridge/state"),
        ("z/+/x", "s_{1}_x/up", "z/door/x", "s_door_x/up", "+/up"),
        ("z/#", "{source}/up", "z/a/b", "z/a/b/up", "#"),
        ("/z/+", "/z/{1}/up", "/z/a", "/z/a/up", "/z/+/up"),
    ],
)
def test_each_source_depends_on_the_availability_of_its_own_device(
    values: str, pattern: str, topic: str, depends_on: str, subscribed: str
) -> None:
    """What a wildcard stood for stands in the availability topic, which is subscribed to."""
    router = subject(TopicMap(values, availability=Availability(pattern)))
    route = router.route(topic)
    assert route is not None
    assert route.depends_on == (depends_on,)
    assert [one.filter for one in router.subscriptions()] == list(
        dict.fromkeys([values, subscribed])
    )
    assert router.availabilities(depends_on) == [Availability(pattern)]
    assert router.availabilities(topic) == []


def test_a_source_may_depend_on_its_gateway_too() -> None:
    """What holds for the whole connection holds beside what holds for the device."""
    own = TopicMap("z/+", availability=Availability("z/{1}/availability"))
    route = subject(own, availability=Availability("z/bridge/state")).route("z/door")
    assert route is not None
    assert route.depends_on == ("z/bridge/state", "z/door/availability")


def test_a_word_of_availability_is_no_value() -> None:
    """Unless another filter asks for it."""
    own = TopicMap("z/#", availability=Availability("z/{1}/availability"))
    assert subject(own).route("z/door/availability") is None
    both = subject(own, TopicMap("z/+/availability", topic="{1}/there"))
    route = both.route("z/door/availability")
    assert route is not None
    assert route.pattern == "{1}/there"
    assert not both.routes, "its words must be looked at each time"


def test_what_is_ignored_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the same bound."""
    monkeypatch.setattr(mqtt_routes, "MAX_ROUTES", 2)
    router = subject(TopicMap("#"), ignore_topics=("z/bridge/#", "+/set"))
    ignored = [
        topic for topic in ("z/bridge/info", "z", "z/set", "a/set") if router.is_ignored(topic)
    ]
    assert ignored == ["z/bridge/info", "z/set", "a/set"]
    assert list(router._ignored) == ["z/set", "a/set"]


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


def test_merged_topics_are_one_source() -> None:
    """What a birth brought, data of another topic replace."""
    birth = TopicMap("x/birth/+", topic="p/{1}/{field}", merge="{1}")
    data = TopicMap("x/data/+", topic="p/{1}/{field}", merge="{1}")
    router = Router(Config(host="h", topics=(birth, data)))
    one, other = router.route("x/birth/a"), router.route("x/data/a")
    assert one is not None
    assert other is not None
    assert one.key == other.key == "a"
    assert list(TopicMap("x/+", merge="{2}").faults()) == [
        ("merge", "{2}, but the filter has 1 wildcards")
    ]
