"""From a real broker through the whole daemon to a monitor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensord.client import Client, Update
from tests.kit.broker import Broker, Publisher
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.follower import Follower


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker without passwords."""
    with Broker(tmp_path) as broker:
        yield broker


def house(broker: Broker, protocol: str, qos: int) -> str:
    """Configure a device behind the broker."""
    return f"""
[devices.house]
reader = "mqtt"
host = "{broker.host}"
port = {broker.port}
protocol = "{protocol}"
decoder = "number"
publish = {{ policy = "every" }}
[[devices.house.topics]]
filter = "sensors/+/temperature"
topic = "house/{{1}}/temperature"
qos = {qos}
"""


def state(update: Update) -> object:
    value = update.reading.value
    assert isinstance(value, dict)
    return value["state"]


def heard_something(update: Update) -> bool:
    value = update.reading.value
    assert isinstance(value, dict)
    return value["state"] == "up" and value["messages"] != 0


def publish(broker: Broker, numbers: range, qos: int) -> None:
    messages = [(f"sensors/{i % 7}/temperature", b"%d.5" % i) for i in numbers]
    with Publisher(broker) as publisher:
        # In pieces: with QoS 1 the time that mosquitto takes grows with the square of what waits.
        for start in range(0, len(messages), 500):
            publisher.publish_all(messages[start : start + 500], qos)


@pytest.mark.parametrize(
    ("protocol", "qos", "count"), [("5", 0, 10_000), ("5", 1, 1_000), ("3.1.1", 0, 10_000)]
)
def test_as_many_readings_come_out_as_messages_go_in(
    broker: Broker, tmp_path: Path, protocol: str, qos: int, count: int
) -> None:
    """All of them, in their order; the broker restarts halfway and sensord subscribes again."""
    half = count // 2

    @on_uvloop()
    async def flow() -> None:
        with Daemon(tmp_path, house(broker, protocol, qos)) as daemon:
            async with Client(daemon.url) as client:
                status = Follower(client.subscribe("$sys/devices/house"))
                await status.update(lambda update: state(update) == "up")
                readings = Follower(client.subscribe("house/#"))
                await readings.live()
                await in_thread(publish, broker, range(half), qos)
                await readings.count(half)
                await in_thread(broker.stop)
                await status.update(lambda update: state(update) == "absent")
                await in_thread(broker.start)
                await status.update(lambda update: state(update) == "up")
                await in_thread(publish, broker, range(half, count), qos)
                # The channels were told as disconnected in between: that restates, it is not new.
                await readings.value(count - 0.5)
        fresh = [update for update in readings.updates if not update.reading.restates]
        assert [update.reading.value for update in fresh] == [i + 0.5 for i in range(count)]
        assert {u.topic: u.reading.value for u in fresh[:7]} == {
            f"house/{i}/temperature": i + 0.5 for i in range(7)
        }
        restated = [update for update in readings.updates if update.reading.restates]
        assert {u.reading.quality.reason for u in restated} == {"disconnected"}
        assert len(restated) == 7
        assert readings.gaps == []

    flow()


DOORS = """
[devices.z]
reader = "mqtt"
host = "{broker.host}"
port = {broker.port}
decoder = "json"

[[devices.z.topics]]
filter = "zigbee2mqtt/+"
topic = "home/{{1}}/{{field}}"
availability = {{ filter = "zigbee2mqtt/{{1}}/availability" }}
"""


def say(broker: Broker, topic: str, payload: str, *, retain: bool = False) -> None:
    with Publisher(broker) as publisher:
        publisher.publish(topic, payload.encode(), qos=1, retain=retain)


def qualities(follower: Follower, topic: str) -> list[str]:
    found = [u.reading for u in follower.updates if u.topic == topic]
    return [one.quality.reason or "good" for one in found]


def test_an_old_value_does_not_pass_for_a_new_one(broker: Broker, tmp_path: Path) -> None:
    """Whoever published it may be dead: over restarts of both sides, until a live one comes."""

    @on_uvloop()
    async def flow() -> None:
        await in_thread(lambda: say(broker, "zigbee2mqtt/grid", '{"power":2500}', retain=True))
        first, doors = 0, DOORS.format(broker=broker)
        for round_ in range(2):
            with Daemon(tmp_path, f'journal.folder = "{tmp_path}"\n{doors}') as daemon:
                async with Client(daemon.url) as client:
                    status = Follower(client.subscribe("$sys/devices/z"))
                    await status.update(heard_something)  # not what was restored at the start
                    readings = Follower(client.subscribe("home/#"))
                    kept = await readings.update(lambda u: u.reading.quality.reason == "retained")
                    assert kept.reading.value == 2500
                    first = first or kept.reading.time_us
                    assert kept.reading.time_us == first, "its age is not hidden"
                    await in_thread(broker.stop)
                    await readings.update(lambda u: u.reading.quality.reason == "disconnected")
                    await in_thread(broker.start)
                    kept = await readings.update(lambda u: u.reading.quality.reason == "retained")
                    assert (kept.reading.time_us, kept.reading.restates) == (first, True)
                    if round_:
                        live = '{"power":2500}'
                        await in_thread(lambda: say(broker, "zigbee2mqtt/grid", live))  # noqa: B023  # awaited here
                        await readings.update(lambda u: not u.reading.quality.level)
                daemon.stop()

    flow()


def test_a_device_that_is_offline_has_no_good_channel(broker: Broker, tmp_path: Path) -> None:
    """Exactly its own turn bad; when it is online again they wait for the next value."""

    @on_uvloop()
    async def flow() -> None:
        with Daemon(tmp_path, DOORS.format(broker=broker)) as daemon:
            async with Client(daemon.url) as client:
                status = Follower(client.subscribe("$sys/devices/z"))
                await status.update(lambda update: state(update) == "up")
                readings = Follower(client.subscribe("home/#"))
                await readings.live()
                for topic, payload in (
                    ("door", '{"contact":true}'),
                    ("lamp", '{"on":true}'),
                    ("door/availability", '{"state":"offline"}'),
                    ("door/availability", '{"state":"online"}'),
                    ("lamp", '{"on":false}'),
                    ("door", '{"contact":true}'),
                    ("lamp", ""),
                ):
                    await in_thread(say, broker, f"zigbee2mqtt/{topic}", payload)
                await readings.update(lambda u: u.reading.quality.reason == "missing")
        assert qualities(readings, "home/door/contact") == ["good", "disconnected", "good"]
        assert qualities(readings, "home/lamp/on") == ["good", "good", "missing"]
        assert readings.updates[-1].reading.value is None
        assert not any("warn" in line for line in daemon.log)

    flow()


def test_messages_with_thousands_of_keys_starve_nobody(broker: Broker, tmp_path: Path) -> None:
    """The broker kept three of them; every real reading comes, and the log says who is too many."""
    config = DOORS.format(broker=broker).replace("zigbee2mqtt/+", "zigbee2mqtt/#", 1)
    huge = json.dumps({f"k{i}": i for i in range(5000)})

    @on_uvloop()
    async def flow() -> None:
        for name in ("bridge/info", "bridge/devices", "bridge/definitions"):
            await in_thread(lambda n=name: say(broker, f"zigbee2mqtt/{n}", huge, retain=True))
        with Daemon(tmp_path, config) as daemon:
            async with Client(daemon.url) as client:
                readings = Follower(client.subscribe("home/door/#"))
                await readings.live()
                daemon.wait_for_log("too many fields")
                await in_thread(say, broker, "zigbee2mqtt/door", '{"contact":true}')
                await readings.value(value=True)
                line = daemon.wait_for_log("too many fields")
        assert "its share of max_channels = 1000" in line
        assert "ignore_topics" in line

    flow()


def test_a_leading_slash_stops_nothing(broker: Broker, tmp_path: Path) -> None:
    """Levels that are empty are left out of our topics."""
    config = DOORS.format(broker=broker).replace('"zigbee2mqtt/+"', '"/zigbee2mqtt/+"')

    @on_uvloop()
    async def flow() -> None:
        with Daemon(tmp_path, config.replace("home/{1}", "home/{source}")) as daemon:
            async with Client(daemon.url) as client:
                status = Follower(client.subscribe("$sys/devices/z"))
                await status.update(lambda update: state(update) == "up")
                await in_thread(say, broker, "/zigbee2mqtt/door", '{"contact":true}')
                readings = Follower(client.subscribe("home/#"))
                found = await readings.value(value=True)
        assert found.topic == "home/zigbee2mqtt/door/contact"

    flow()
