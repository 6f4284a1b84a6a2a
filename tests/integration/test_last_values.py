"""After a restart a monitor knows what was last read of devices that have not spoken yet."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from sensord.client import Client, Update
from sensord.log.journal import Reader
from sensord.model.readings import GOOD, Level, Quality
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.fakeport import FakePort
from tests.kit.follower import Follower
from tests.kit.journal import found_in

STALE = Quality(Level.UNCERTAIN, "stale")


def config(folder: Path, *devices: str) -> str:
    text = f'journal = {{ folder = "{folder / "journal"}", commit_interval = "50ms" }}\n'
    for device in devices:
        text += f"""
[devices.{device}]
reader = "serial"
port = "{folder / device}"
decoder = "json"
publish = {{ policy = "every" }}
channels.temperature = {{ unit = "Cel", range = [0, 100] }}
channels.alarm = {{ kind = "event" }}
"""
    return text


def told_to_curl(daemon: Daemon) -> dict[str, dict[str, Any]]:
    """Ask for the last values by HTTP."""
    with urllib.request.urlopen(f"http://{daemon.address}/api/readings", timeout=10) as answer:
        return {told["topic"]: told for told in json.load(answer)["readings"]}


async def follow(client: Client, device: str) -> Follower:
    """Follow a device's topics, once it is there and the monitor at the tail."""
    status = Follower(client.subscribe(f"$sys/devices/{device}"))
    await status.update(
        lambda u: isinstance(u.reading.value, dict) and u.reading.value["state"] == "up"
    )
    readings = Follower(client.subscribe(f"{device}/#"))
    await readings.live()
    return readings


async def last_by_topic(client: Client, *topics: str) -> dict[str, Update]:
    return {update.topic: update for update in await client.get(*topics)}


async def until_recorded(client: Client, folder: Path, count: int) -> None:
    """Wait until so many readings of devices are in the journal."""
    rows: list[object] = []
    while len(rows) < count:
        await client.ping()
        found, _ = await in_thread(found_in, Reader(folder).scan(topics=["#"]))
        rows = [row for row in found if not row.topic.startswith("$")]


@pytest.mark.parametrize("end", ["stop", "kill"])
@on_uvloop()
async def test_last_readings_are_known_again_and_taken_for_old(tmp_path: Path, end: str) -> None:
    """For a snapshot, for get and for curl, until the device speaks; the log gets nothing new."""
    with (
        FakePort(tmp_path / "boiler") as port,
        Daemon(tmp_path, config(tmp_path, "boiler")) as daemon,
    ):
        async with Client(daemon.url) as client:
            readings = await follow(client, "boiler")
            port.feed(b'{"temperature": 20.5}\n{"temperature": 21.5, "alarm": "door"}\n')
            await readings.count(3)
            before = readings.updates
            await until_recorded(client, tmp_path / "journal", 3)
        await in_thread(getattr(daemon, end))
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            readings = await follow(client, "boiler")
            snapshot = {update.topic: update for update in readings.updates}
            assert await last_by_topic(client, "boiler/#") == snapshot
            temperature = snapshot["boiler/temperature"].reading
            assert (temperature.value, temperature.quality) == (21.5, STALE)
            assert temperature.time_us == before[1].reading.time_us
            assert temperature.restates
            assert snapshot["boiler/alarm"].reading == before[2].reading  # it happened
            curl = await in_thread(told_to_curl, daemon)
            told = curl["boiler/temperature"]
            assert (told["value"], told["quality"], told["reason"]) == (21.5, "uncertain", "stale")
            assert "restated" not in curl["boiler/alarm"]
            past = Follower(client.subscribe("boiler/#", start="-1h"))
            await past.live()
            assert past.values == [20.5, 21.5, "door"]
            port.feed(b'{"temperature": 21.5}\n')
            await readings.count(3)
            now = (await last_by_topic(client, "boiler/temperature"))["boiler/temperature"]
            assert (now.reading.value, now.reading.quality) == (21.5, GOOD)
            assert now.reading.time_us > temperature.time_us
            assert not now.reading.restates


@on_uvloop()
async def test_what_was_bad_is_no_better_after_a_restart(tmp_path: Path) -> None:
    """Neither a value out of its range, nor one of a device that had gone."""
    port = FakePort(tmp_path / "boiler")
    with port, Daemon(tmp_path, config(tmp_path, "boiler")) as daemon:
        async with Client(daemon.url) as client:
            readings = await follow(client, "boiler")
            port.feed(b'{"temperature": 300, "pressure": 2}\n')
            await readings.count(2)
            qualities = {u.topic: u.reading.quality for u in readings.updates}
        await in_thread(daemon.stop)
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            found = await last_by_topic(client, "boiler/#")
            assert found["boiler/temperature"].reading.quality == qualities["boiler/temperature"]
            assert found["boiler/temperature"].reading.quality.level is Level.BAD
            readings = await follow(client, "boiler")
            port.feed(b'{"pressure": 2}\n')
            await readings.count(3)
            port.unplug()
            await readings.update(lambda u: u.reading.quality.reason == "disconnected")
        await in_thread(daemon.stop)
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            found = await last_by_topic(client, "boiler/pressure")
            assert found["boiler/pressure"].reading.quality == Quality(Level.BAD, "disconnected")
        port.plug()


@on_uvloop()
async def test_a_device_that_is_no_longer_configured_is_not_known(tmp_path: Path) -> None:
    """Its past is in the journal; its last value would stand there for ever."""
    with (
        FakePort(tmp_path / "boiler") as boiler,
        FakePort(tmp_path / "meter") as meter,
        Daemon(tmp_path, config(tmp_path, "boiler", "meter")) as daemon,
    ):
        async with Client(daemon.url) as client:
            for port in (boiler, meter):
                readings = await follow(client, port.path.name)
                port.feed(b'{"temperature": 21.5}\n')
                await readings.count(1)
        await in_thread(daemon.stop)
        daemon.configure(config(tmp_path, "meter"))
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            assert list(await last_by_topic(client, "#")) == ["meter/temperature"]
            past = Follower(client.subscribe("boiler/#", start="-1h"))
            await past.value(21.5)
