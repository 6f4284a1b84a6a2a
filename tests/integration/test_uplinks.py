"""Readings delivered to other systems: each once, or named in a gap, whatever is killed."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client as Paho
from paho.mqtt.client import MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.kit.broker import Broker
from tests.kit.daemon import Daemon, sensord
from tests.kit.influx import Influx

WAIT_S = 60.0


def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def config(folder: Path, uplink: str, *, interval: str = "20ms", more: str = "") -> str:
    return f"""
{more}
[journal]
folder = "{folder / "journal"}"
commit_interval = "100ms"

[devices.sim]
reader = "simulated"
interval = "{interval}"
topic = "plant/{{field}}"
publish = {{ policy = "every" }}
signals = {{ level = {{ shape = "ramp", low = 0, high = 1000, period = "100s" }} }}
channels.level = {{ unit = "Cel", decimals = 3 }}
[uplinks.cloud]
topics = ["plant/#"]
{uplink}
"""


def status(daemon: Daemon) -> dict[str, Any]:
    done = sensord("uplinks", "--json", "--url", daemon.url)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def recorded(daemon: Daemon) -> dict[int, float]:
    """Return the values in the daemon's log that are new and good, by their own times."""
    done = sensord("history", "plant/level", "--from", "-1h", "--json", "--url", daemon.url)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    found = {
        row["time_us"]: row["value"]
        for row in rows
        if row.get("quality") == "good" and "restated_us" not in row
    }
    assert found, "the daemon has recorded something"
    return found


def points(influx: Influx) -> dict[int, list[dict[str, Any]]]:
    """Return the points of the topic by the times of their readings."""
    by_time: dict[int, list[dict[str, Any]]] = {}
    for point in influx.points():
        if point["topic"] == "plant/level":
            by_time.setdefault(point["time"] // 1000, []).append(point)
    return by_time


def influx_uplink(influx: Influx) -> str:
    return f"""
type = "influx"
url = "{influx.url}"
database = "test"
interval = "100ms"
start = "oldest"
"""


@pytest.mark.timeout(300)
def test_every_reading_is_a_point_once_though_both_sides_are_killed(tmp_path: Path) -> None:
    """The database's points are compared with the daemon's own history."""
    with (
        Influx(tmp_path) as influx,
        Daemon(tmp_path, config(tmp_path, influx_uplink(influx))) as daemon,
    ):
        daemon.wait_for_log("uplink is up")
        for kills in range(3):
            before = len(influx.points())
            until(lambda before=before: len(influx.points()) > before + 20)  # type: ignore[misc]
            influx.kill()
            daemon.wait_for_log("uplink is down")
            if kills == 1:
                daemon.kill()
                daemon.start()
            influx.start()
            daemon.kill()
            daemon.start()
            daemon.wait_for_log("uplink is up")
        held = recorded(daemon)
        until(lambda: set(points(influx)) >= set(held))
        until(lambda: status(daemon)["behind"] == 0)
        found = points(influx)
    assert all(len(one) == 1 for one in found.values()), "each reading is one point"
    assert {time: one[0]["value"] for time, one in found.items() if time in held} == held
    assert {one[0]["unit"] for one in found.values()} == {"Cel"}
    offsets = Counter(one[0]["offset"] for one in found.values())
    assert max(offsets.values()) == 1


def test_a_reading_that_the_database_refuses_costs_itself_alone(tmp_path: Path) -> None:
    """A text where it has a number: the others of the batch arrive."""
    more = 'clients.topics."plant/note" = { type = "string" }\n'
    with Influx(tmp_path) as influx:
        influx.write(b"reading,topic=x text=1\n")  # a field that is a number takes no text
        text = config(tmp_path, influx_uplink(influx), more=more)
        with Daemon(tmp_path, text) as daemon:
            daemon.wait_for_log("uplink is up")
            done = sensord("publish", "plant/note", "hello", "--url", daemon.url)
            assert done.returncode == 0, done.stderr
            line = daemon.wait_for_log("reading refused by the other side")
            assert "topic=plant/note" in line
            assert "conflict" in line
            assert (status(daemon)["state"], status(daemon)["rejected"]) == ("up", 1)
            held = recorded(daemon)
            until(lambda: set(points(influx)) >= set(held))


def test_a_period_thins_live_readings_and_the_backlog_alike(tmp_path: Path) -> None:
    """At most one value a period, and the newest of what was recorded before."""
    with Influx(tmp_path) as influx:
        uplink = influx_uplink(influx) + 'period = "500ms"\n'
        with Daemon(tmp_path, config(tmp_path, uplink)) as daemon:
            daemon.wait_for_log("uplink is up")
            influx.kill()
            daemon.wait_for_log("uplink is down")
            before = len(recorded(daemon))
            until(lambda: len(recorded(daemon)) > before + 150)
            influx.start()
            until(lambda: len(points(influx)) > 8 and status(daemon)["behind"] == 0)
            held, found = recorded(daemon), sorted(points(influx))
    assert {time for time in found if time <= max(held)} <= set(held)
    spacing = [(b - a) / 1e6 for a, b in itertools.pairwise(found)]
    assert sum(spacing) / len(spacing) > 0.4, spacing
    assert max(spacing) < 2.0, "no period is left out"


def test_an_uplink_is_paused_resumed_and_rewound(tmp_path: Path) -> None:
    """Nothing is sent meanwhile, and nothing lost."""
    with (
        Influx(tmp_path) as influx,
        Daemon(tmp_path, config(tmp_path, influx_uplink(influx))) as daemon,
    ):
        daemon.wait_for_log("uplink is up")
        done = sensord("uplinks", "pause", "cloud", "--url", daemon.url)
        assert done.returncode == 0, done.stderr
        daemon.wait_for_log("uplink is paused")
        count = len(influx.points())
        until(lambda: len(recorded(daemon)) > count + 30)
        assert len(influx.points()) == count
        assert sensord("uplinks", "resume", "cloud", "--url", daemon.url).returncode == 0
        held = recorded(daemon)
        until(lambda: set(points(influx)) >= set(held))
        done = sensord("uplinks", "rewind", "cloud", "--offset", "0", "--url", daemon.url)
        assert done.returncode == 0, done.stderr
        done = sensord("uplinks", "rewind", "nope", "--offset", "0", "--url", daemon.url)
        assert done.returncode == 3
        assert "there is no uplink nope; known are cloud" in done.stderr
        assert sensord("uplinks", "pause", "--url", daemon.url).returncode == 2
        listed = sensord("uplinks", "--url", daemon.url).stdout.splitlines()
        assert listed[0].startswith("UPLINK")
        assert listed[1].startswith("cloud")


class Ear:
    """A client of the broker that hears everything."""

    def __init__(self, broker: Broker) -> None:
        self.heard: list[tuple[str, bytes, bool, dict[str, str]]] = []
        self._lock = threading.Lock()
        self.client = Paho(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.on_message = self._on_message
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()

    def _on_message(self, _client: Paho, _userdata: object, message: MQTTMessage) -> None:
        marks = dict(getattr(message.properties, "UserProperty", []))
        with self._lock:
            self.heard.append((message.topic, bytes(message.payload), message.retain, marks))

    def of(self, topic: str) -> list[bytes]:
        with self._lock:
            return [payload for one, payload, *_ in self.heard if one == topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def micros(text: str) -> int:
    """Read a time of the form that payloads have."""
    whole = datetime.fromisoformat(text)
    return int(whole.replace(microsecond=0).timestamp()) * 1_000_000 + whole.microsecond


def mqtt_uplink(broker: Broker) -> str:
    return f"""
type = "mqtt"
host = "{broker.host}"
port = {broker.port}
interval = "50ms"
start = "oldest"
"""


@pytest.mark.timeout(300)
def test_every_reading_reaches_the_broker_in_order_though_the_daemon_is_killed(
    tmp_path: Path,
) -> None:
    """With its epoch and offset, by which the other side knows a repeated one."""
    with Broker(tmp_path) as broker:
        ear = Ear(broker)
        with Daemon(tmp_path, config(tmp_path, mqtt_uplink(broker))) as daemon:
            for _ in range(3):
                seen = len(ear.of("sensord/plant/level"))
                until(lambda seen=seen: len(ear.of("sensord/plant/level")) > seen + 20)  # type: ignore[misc]
                daemon.kill()
                daemon.start()
            held = recorded(daemon)

            def heard() -> dict[int, float]:
                found = [json.loads(one) for one in ear.of("sensord/plant/level")]
                return {micros(one["time"]): one["value"] for one in found}

            until(lambda: set(heard()) >= set(held))
            assert {time: value for time, value in heard().items() if time in held} == held
            payloads = [json.loads(one) for one in ear.of("sensord/plant/level")]
            assert daemon.stop()[0] == 0
        until(lambda: ear.of("sensord/status")[-1:] == [b"offline"])
        ear.close()
    first_seen = list(dict.fromkeys(one["offset"] for one in payloads))
    assert first_seen == sorted(first_seen), "in order, but for repeated ones"
    marks = [marks for topic, _, _, marks in ear.heard if topic == "sensord/plant/level"]
    assert all(
        mark["offset"] == str(one["offset"]) for mark, one in zip(marks, payloads, strict=False)
    )


HOUSE = """
[devices.pump]
reader = "simulated"
interval = "200ms"
topic = "house/{field}"
signals = { running = { shape = "constant" } }
channels.running = { type = "bool" }
writable.running = {}
"""


def test_home_assistant_gets_entities_and_may_set_them(tmp_path: Path) -> None:
    """Announced again when it restarts; withdrawn when the device is gone."""
    discovery = "home_assistant = { set = true }"
    topic = "homeassistant/{}/sensord_{}/sensord_{}_house_running/config"
    host = socket.gethostname().partition(".")[0]
    switch = topic.format("switch", host, host)
    with Broker(tmp_path) as broker:
        ear = Ear(broker)
        uplink = mqtt_uplink(broker).replace("start", 'topics = ["#"]\nstart') + discovery
        with_pump = config(tmp_path, uplink, more=HOUSE).replace('topics = ["plant/#"]\n', "")
        with Daemon(tmp_path, with_pump) as daemon:
            until(lambda: len(ear.of(switch)) > 0)
            entity = json.loads(ear.of(switch)[0])
            assert entity["command_topic"] == "sensord/house/running/set"
            assert entity["state_topic"] == "sensord/house/running"

            def state() -> object:
                heard = ear.of("sensord/house/running")
                return json.loads(heard[-1])["value"] if heard else None

            until(lambda: state() is False)
            ear.client.publish("sensord/house/running/set", b"true", 1)
            until(lambda: state() is True)
            ear.client.publish("sensord/plant/level/set", b"5", 1)
            assert "not writable" in daemon.wait_for_log("command refused")
            count = len(ear.of(switch))
            ear.client.publish("homeassistant/status", b"online", 1)
            until(lambda: len(ear.of(switch)) > count)
            assert daemon.stop()[0] == 0
            daemon.configure(config(tmp_path, uplink).replace('topics = ["plant/#"]\n', ""))
            daemon.start()
            until(lambda: ear.of(switch)[-1] == b"")
        ear.close()


def test_a_missing_broker_is_named_and_tried_again(tmp_path: Path) -> None:
    """The daemon serves all the same."""
    broker = Broker(tmp_path)
    with Daemon(tmp_path, config(tmp_path, mqtt_uplink(broker))) as daemon:
        line = daemon.wait_for_log("uplink is down")
        assert "connection refused" in line
        assert status(daemon)["state"] == "down"
        with broker:
            ear = Ear(broker)
            daemon.wait_for_log("uplink is up")
            until(lambda: len(ear.of("sensord/plant/level")) > 3)
            ear.close()


def test_an_uplink_that_fails_unexpectedly_does_not_end_the_daemon(tmp_path: Path) -> None:
    """The resolver raises `UnicodeError` for such a name: each start ended with it."""
    uplink = f'type = "influx"\nurl = "http://{"a" * 64}:8086"'
    with Daemon(tmp_path, config(tmp_path, uplink)) as daemon:
        daemon.wait_for_log("uplink failed unexpectedly")
        found = status(daemon)
        assert found["state"] == "down"
        assert "label" in found["detail"]
        assert recorded(daemon)
        ended, _ = daemon.stop()
    assert ended == 0


def test_what_was_pending_on_a_disk_that_comes_late_is_delivered(tmp_path: Path) -> None:
    """The uplink began without its position: what was recorded before that would be left out."""
    place = tmp_path / "card"
    place.mkdir()
    with Influx(tmp_path) as influx:
        uplink = influx_uplink(influx)
        with Daemon(tmp_path, config(place, uplink)) as daemon:
            daemon.wait_for_log("uplink is up")
            until(lambda: len(influx.points()) > 5)
            influx.kill()
            daemon.wait_for_log("uplink is down")
            before = recorded(daemon)
            until(lambda: len(recorded(daemon)) > len(before) + 20)
            daemon.stop()
            place.rename(tmp_path / "away")
            place.write_text("no folder")
            influx.start()
            daemon.start()
            daemon.wait_for_log("uplink is up")
            place.unlink()
            (tmp_path / "away").rename(place)
            daemon.wait_for_log("came late and is joined")
            held = recorded(daemon)
            assert set(held) > set(before)
            until(lambda: set(points(influx)) >= set(held))
            assert daemon.stop()[0] == 0
