"""The options of the MQTT reader."""

from __future__ import annotations

from typing import Any

import pytest

from sensord.config.schema import Faults, structure
from sensord.readers.mqtt_options import Config, Tls, TopicMap
from sensord.readers.mqtt_wire import Target


def found(table: dict[str, Any]) -> list[tuple[str, str]]:
    faults = Faults()
    structure(Config, {"host": "broker", **table}, (), faults)
    return [(".".join(map(str, path)), message) for path, message in faults.found]


def up(pattern: str, **more: object) -> dict[str, Any]:
    return {"topics": [{"filter": "a/+", "availability": {"filter": pattern, **more}}]}


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
        {"topics": [{"filter": "a/+", "availability": {"filter": "a/{1}/LWT"}}]},
        {"topics": ONE, "availability": {"filter": "bridge/state", "online": ["up"]}},
        {"topics": ONE, "availability": {"filter": "a/+/LWT"}, "ignore_topics": ["a/bridge", "/#"]},
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
        ({"topics": [{"filter": "a/+", "topic": "{feild}"}]}, "topics.0.topic", "unknown"),
        ({"topics": [{"filter": "a", "qos": 3}]}, "topics.0.qos", "one of 0, 1, 2"),
        ({"topics": ONE, "password_file": "/x"}, "password_file", "username"),
        ({"topics": ONE, "session_expiry": "1d"}, "client_id", "session_expiry"),
        ({"topics": ONE, "keepalive": 0}, "keepalive", "1s"),
        ({"topics": ONE, "protocol": "5.0"}, "protocol", 'one of "5", "3.1.1"'),
        ({"topics": ONE, "tls": {"key_file": "/x"}}, "tls.key_file", "cert_file"),
        (up("a/{2}/LWT"), "topics.0.availability", "{2}, but the filter has 1 wildcards"),
        (up("a/+/+"), "topics.0.availability", "{2}, but the filter has 1"),
        (up("a/{x}"), "topics.0.availability", "unknown placeholder {x}"),
        (up("a/{1"), "topics.0.availability", "written {1}"),
        (up(""), "topics.0.availability.filter", "empty"),
        (up("a", online=[]), "topics.0.availability.online", "needs words"),
        (up("a", offline=[" "]), "topics.0.availability.offline", "needs words"),
        (up("a", offline=["Online"]), "topics.0.availability.offline", "word of online too"),
        (
            {"topics": [{"filter": "a"}], "availability": {"filter": "{1}"}},
            "availability",
            "0 wild",
        ),
        ({"topics": ONE, "ignore_topics": ["a/#/b"]}, "ignore_topics", "a/#/b: # may only be"),
        ({"topics": ONE, "will": {"topic": "a/+"}}, "will.topic", "wildcards"),
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
    assert Config("b", topics, tls=Tls(ca_file="/ca")).target().port == 8883
    assert Config("b", topics, port=1).target().where == "b:1"
