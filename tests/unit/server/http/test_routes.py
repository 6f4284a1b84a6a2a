"""What plain HTTP answers, for curl and health checks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sensord.access.rights import EVERYTHING
from sensord.bus import Bus
from sensord.log import Log
from sensord.model.readings import GOOD, Level, Metadata, Quality, Reading, Value, ValueType
from sensord.server.http.routes import PIECE_BYTES, Routes
from sensord.status.metrics import Metric
from tests.unit.manual import START_US, ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def bus(clock: ManualClock) -> Bus:
    return Bus(Log("e1", 1024), clock)


def get(bus: Bus, target: str) -> tuple[int, Any]:
    answer = Routes(bus, lambda: {"sessions": 2}, list).get(target, EVERYTHING)
    assert answer.content_type == "application/json"
    body = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
    return answer.status, json.loads(body)


def publish(bus: Bus, topic: str, reading: Reading, metadata: Metadata | None = None) -> None:
    bus.publish(bus.channel(topic, metadata or Metadata()), reading)


def test_health_is_ok_while_the_daemon_answers(bus: Bus) -> None:
    """With what the server adds."""
    assert get(bus, "/healthz") == (200, {"status": "ok", "sessions": 2})


def test_readings_are_the_last_values_with_every_name_spelt_out(bus: Bus) -> None:
    """A script needs no document to read them."""
    metadata = Metadata(unit="Cel", decimals=1, device="boiler")
    publish(bus, "boiler/temperature", Reading(START_US - 1, 21.0), metadata)
    publish(bus, "boiler/temperature", Reading(START_US, 21.5), metadata)
    status, body = get(bus, "/api/readings")
    assert status == 200
    assert body == {
        "epoch": "e1",
        "readings": [
            {
                "topic": "boiler/temperature",
                "value": 21.5,
                "unit": "Cel",
                "time": "2023-11-14T22:13:20.000000Z",
                "quality": "good",
                "offset": 1,
                "device": "boiler",
            }
        ],
    }


def test_a_bad_reading_says_why(bus: Bus) -> None:
    """Its level, its reason and no value."""
    publish(bus, "a", Reading(START_US, None, Quality(Level.BAD, "out_of_range")))
    (told,) = get(bus, "/api/readings")[1]["readings"]
    assert (told["value"], told["quality"], told["reason"]) == (None, "bad", "out_of_range")


def test_a_restated_reading_says_when(bus: Bus) -> None:
    """The time stays that of the value."""
    publish(bus, "a", Reading(START_US - 60_000_000, 1.0, GOOD, restates=True))
    (told,) = get(bus, "/api/readings")[1]["readings"]
    assert told["time"] == "2023-11-14T22:12:20.000000Z"
    assert told["restated"] == "2023-11-14T22:13:20.000000Z"


def test_a_time_that_no_calendar_has_is_null(bus: Bus) -> None:
    """A device with a broken clock does not break the page."""
    publish(bus, "a", Reading(2**62, 1.0))
    assert get(bus, "/api/readings")[1]["readings"][0]["time"] is None


@pytest.mark.parametrize(
    ("query", "topics"),
    [
        ("", ["a/x", "a/y", "b"]),
        ("?topics=a/%23", ["a/x", "a/y"]),
        ("?topics=b&topics=a/x", ["a/x", "b"]),
        ("?topics=%2B/x", ["a/x"]),
        ("?topics=+/x", ["a/x"]),
        ("?topics=nothing", []),
        ("?topics=a/%23&topics=a/x", ["a/x", "a/y"]),
        ("?topics=%24sys/x", ["$sys/x"]),
    ],
)
def test_topics_select_readings(bus: Bus, query: str, topics: list[str]) -> None:
    """Each filter as MQTT has it; a plus may be written as it is."""
    for topic in ["a/x", "a/y", "b", "$sys/x"]:
        publish(bus, topic, Reading(START_US, 1.0))
    bus.channel("a/silent", Metadata())
    status, body = get(bus, f"/api/readings{query}")
    assert status == 200
    assert [told["topic"] for told in body["readings"]] == topics


def test_a_bad_filter_is_named(bus: Bus) -> None:
    """The answer says what is wrong with it."""
    status, body = get(bus, "/api/readings?topics=a/%23/b")
    assert status == 400
    assert body["error"].startswith("topics=a/#/b: #")


@pytest.mark.parametrize("target", ["/web", "/metric", "/api/readings/", "//[", "", "*"])
def test_any_other_path_is_told_what_there_is(bus: Bus, target: str) -> None:
    """Even a target that is no address."""
    status, body = get(bus, target)
    assert status == 404
    assert "/api/readings" in body["error"]


def test_a_text_with_half_a_character_is_answered_all_the_same(bus: Bus) -> None:
    """A lone surrogate becomes a question mark."""
    publish(bus, "a", Reading(START_US, "\ud800!"), Metadata(ValueType.STRING))
    assert get(bus, "/api/readings")[1]["readings"][0]["value"] == "?!"


def test_a_page_in_pieces_reads_like_one_that_was_written_at_once(bus: Bus) -> None:
    """Down to the last blank, whatever kinds of values there are."""
    values: list[Value] = [1.5, 1, True, None, 'ä\n"', [], [1, {"a": [2]}], {}, {"b": {"c": "\n"}}]
    for number, value in enumerate(values):
        publish(bus, f"a/{number}", Reading(START_US, value), Metadata(ValueType.JSON))
    for target in ("/api/readings", "/api/readings?topics=b"):
        answer = Routes(bus, dict, list).get(target, EVERYTHING)
        assert not isinstance(answer.body, bytes)
        text = b"".join(answer.body).decode()
        assert text == json.dumps(json.loads(text), ensure_ascii=False, indent=1) + "\n"


def test_a_large_page_is_made_in_pieces_of_bounded_size(bus: Bus) -> None:
    """Finding the topics takes turns too."""
    for number in range(5000):
        publish(bus, f"a/{number}", Reading(START_US, "x" * 100), Metadata(ValueType.STRING))
    answer = Routes(bus, dict, list).get("/api/readings", EVERYTHING)
    assert not isinstance(answer.body, bytes)
    sizes = [len(piece) for piece in answer.body]
    assert sizes[:5] == [0] * 5
    assert max(sizes) < PIECE_BYTES + 1000
    assert len(sizes) > 5000 * 200 // PIECE_BYTES


@pytest.mark.parametrize("query", ["topics=%23", "colour=red"])
def test_hundreds_of_filters_are_refused(bus: Bus, query: str) -> None:
    """With the limit that subscriptions have; other fields are not read without end either."""
    status, body = get(bus, "/api/readings?" + "&".join([query] * 64))
    assert status == 200
    status, body = get(bus, "/api/readings?" + "&".join([query] * 700))
    assert status == 400
    assert "at most 64 filters" in body["error"] or "more than 80 fields" in body["error"]
    status, body = get(bus, "/api/readings?" + "&".join(["topics=%23"] * 65))
    assert (status, body) == (400, {"error": "topics: send at most 64 filters"})


def test_readiness_is_503_while_the_daemon_does_not_do_its_work(bus: Bus) -> None:
    """A device that is away is named, but only all of them together are critical."""
    json_ = Metadata(ValueType.JSON)
    assert get(bus, "/readyz") == (200, {"status": "ready", "findings": []})
    publish(bus, "$sys/devices/a", Reading(START_US, {"state": "up"}), json_)
    publish(bus, "$sys/devices/b", Reading(START_US, {"state": "down", "detail": "gone"}), json_)
    away = {"severity": "warning", "subject": "device b", "text": "down: gone"}
    assert get(bus, "/readyz") == (200, {"status": "ready", "findings": [away]})
    publish(bus, "$sys/journal", Reading(START_US, {"state": "full", "reason": "no space"}), json_)
    status, body = get(bus, "/readyz")
    assert (status, body["status"]) == (503, "not ready")
    assert body["findings"][0]["text"] == "not recording: no space"


def test_metrics_hold_readings_only_if_asked_for(bus: Bus) -> None:
    """A daemon may have ten thousand topics."""
    publish(bus, "plant/t", Reading(START_US, 21.5), Metadata(unit="Cel"))

    def metrics(target: str) -> str:
        answer = Routes(bus, dict, lambda: [Metric("own", "gauge", "Own.", [({}, 1)])]).get(
            target, EVERYTHING
        )
        assert answer.status == 200
        assert not isinstance(answer.body, bytes)
        return b"".join(answer.body).decode()

    assert metrics("/metrics") == "# HELP own Own.\n# TYPE own gauge\nown 1\n"
    assert 'sensord_reading{topic="plant/t",unit="Cel"} 21.5\n' in metrics(
        "/metrics?topics=plant/+"
    )
    assert "sensord_reading" not in metrics("/metrics?topics=other")
    assert get(bus, "/metrics?topics=a/%23/b")[0] == 400
