"""The MQTT reader's options, and which route a topic gets."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.config.schema import Faults, structure
from sensord.device.reader import Route
from sensord.model.topics import matches
from sensord.readers import mqtt
from sensord.readers.mqtt import Config, Router, TopicMap, do_overlap
from sensord.readers.mqtt_wire import Target


def found(table: dict[str, Any]) -> list[tuple[str, str]]:
    faults = Faults()
    structure(Config, {"host": "broker", **table}, (), faults)
    return [(".".join(map(str, path)), message) for path, message in faults.found]


ONE = [{"filter": "a/+"}]


@pytest.mark.parametrize(
    "table",
    [
        {"topics": ONE},
        {"topics": [{"filter": "zigbee/+/#", "qos": 2, "topic": "{device}/{1}/{2}/{field}"}]},
        {"topics": [{"filter": "/leading//empty/+"}]},
        {"topics": [{"filter": "$share/gateways/a/+", "topic": "{1}"}]},
        {"topics": ONE, "tls": {}},
        {"topics": ONE, "client_id": "gw", "session_expiry": "1d", "protocol": "3.1.1"},
        {"topics": ONE, "poll": {"topic": "a/get", "payload": '{"state":""}'}},
    ],
)
def test_good_options_are_accepted(table: dict[str, Any]) -> None:
    """Empty levels are MQTT's, if not sensord's."""
    assert found(table) == []


@pytest.mark.parametrize(
    ("table", "path", "words"),
    [
        ({}, "topics", "missing"),
        ({"topics": []}, "topics", "at least one"),
        ({"topics": ONE, "host": ""}, "host", "empty"),
        ({"topics": ONE, "host": "a b"}, "host", 'such as "127.0.0.1", got "a b"'),
        ({"topics": ONE, "host": "mqtt://a"}, "host", "expected a name or an address"),
        ({"topics": ONE, "host": "a\0b"}, "host", "without control characters"),
        ({"topics": ONE, "tls": {"ca_file": "/a\0"}}, "tls.ca_file", "without control"),
        ({"topics": [*ONE, *ONE]}, "topics", "twice"),
        ({"topics": [{"filter": "a/b+"}]}, "topics.0.filter", "wildcard"),
        ({"topics": [{"filter": "#/a"}]}, "topics.0.filter", "last level"),
        ({"topics": [{"filter": ""}]}, "topics.0.filter", "empty"),
        ({"topics": [{"filter": "a/+", "topic": "{2}"}]}, "topics.0.topic", "1 wildcards"),
        ({"topics": [{"filter": "a/+", "topic": "{x}"}]}, "topics.0.topic", "unknown"),
        ({"topics": [{"filter": "a", "qos": 3}]}, "topics.0.qos", "one of 0, 1, 2"),
        ({"topics": ONE, "password_file": "/x"}, "password_file", "username"),
        ({"topics": ONE, "session_expiry": "1d"}, "client_id", "session_expiry"),
        ({"topics": ONE, "keepalive": 0}, "keepalive", "1s"),
        ({"topics": ONE, "protocol": "5.0"}, "protocol", 'one of "5", "3.1.1"'),
        ({"topics": ONE, "tls": {"key_file": "/x"}}, "tls.key_file", "cert_file"),
        ({"topics": ONE, "poll": {"topic": "a/+"}}, "poll.topic", "wildcards"),
        ({"topics": ONE, "poll": {"topic": "a", "interval": 0}}, "poll.interval", 'from "1ms"'),
    ],
)
def test_faults_are_told_with_their_place(table: dict[str, Any], path: str, words: str) -> None:
    """Each fault names its key and what would be right."""
    assert any(where == path and words in message for where, message in found(table))


def test_the_port_follows_from_tls() -> None:
    """It need only be given when it is another one."""
    topics = (TopicMap("a"),)
    assert Config("b", topics).target() == Target("b", 1883)
    assert Config("b", topics, tls=mqtt.Tls(ca_file="/ca")).target().port == 8883
    assert Config("b", topics, port=1).target().where == "b:1"


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
    monkeypatch.setattr(mqtt, "MAX_ROUTES", 3)
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
