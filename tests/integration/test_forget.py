"""`forget`: topics that will not come back, at a running server and across restarts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sensord.access.rights import EVERYTHING, Rights
from sensord.client import Client, ProtocolError, Row, Update
from sensord.config.tree import Clients, OpenTopic
from sensord.model.readings import ValueType
from tests.integration.test_last_values import follow, until_recorded
from tests.integration.test_tokens import Keys
from tests.kit.daemon import Daemon, in_thread, on_uvloop, sensord
from tests.kit.fakeport import FakePort
from tests.kit.follower import Follower
from tests.kit.loops import on_each_loop
from tests.kit.monitor import monitor
from tests.kit.station import Station


async def listed(client: Client, *topics: str) -> set[str]:
    return {row.fields["topic"] async for row in client.topics(*topics) if isinstance(row, Row)}


async def past(client: Client, topic: str) -> list[Any]:
    history = client.history(topic, start=0)
    return [item.reading.value async for item in history if isinstance(item, Update)]


@on_each_loop
async def test_a_forgotten_topic_is_in_no_list_and_no_snapshot() -> None:
    """Its history stays; it is back with its next reading, and again among the live ones."""
    async with Station() as station, Client(station.url) as client:
        station.publish("house/attic/t", 21.5)
        station.publish("house/hall/t", 19.5)
        assert await client.forget("house/attic/#") == ["house/attic/t"]
        assert await listed(client) == {"house/hall/t"}
        assert {one.topic for one in await client.get("#")} == {"house/hall/t"}
        assert await past(client, "house/attic/t") == [21.5]
        following = Follower(client.subscribe("#"))
        await following.live()
        assert following.values == [19.5]
        station.publish("house/attic/t", 22.5)
        await following.count(2)
        assert {one.topic for one in await client.get("#")} == {"house/attic/t", "house/hall/t"}
        assert await past(client, "house/attic/t") == [21.5, 22.5]


@on_each_loop
async def test_who_follows_the_list_gets_the_news() -> None:
    """That it is forgotten, and that it is back."""
    async with Station() as station, monitor(station.url) as client:
        station.publish("a", 1.0)
        listing = await client.ask("topics", follow=True)
        rows: list[dict[str, Any]] = []

        async def next_rows() -> list[dict[str, Any]]:
            story = client.story_of(listing["id"])
            await client.until(lambda: len(story.rows) > len(rows))
            new = story.rows[len(rows) :]
            rows.extend(new)
            return new

        assert [one["topic"] for one in await next_rows()] == ["a"]
        await client.ask("forget", topics=["a"])
        assert await next_rows() == [{"topic": "a", "forgotten": True}]
        station.publish("a", 2.0)
        assert await next_rows() == [{"topic": "a"}]


@on_each_loop
async def test_only_a_holder_of_admin_may_forget(tmp_path: Path) -> None:
    """The refusal shows nothing of what exists; what was done is in the audit."""
    keys = Keys(tmp_path)
    reader, _ = keys.make(Rights(read=("#", "$audit/#"), write=("#",)))
    admin, _ = keys.make(EVERYTHING)
    async with Station(gate=keys.gate()) as station:
        station.publish("a", 1.0)
        async with Client(station.url, token=reader) as client:
            for topic in ("a", "b"):
                with pytest.raises(ProtocolError, match=r"^forbidden: forget needs a token with"):
                    await client.forget(topic)
            async with Client(station.url, token=admin) as other:
                with pytest.raises(ProtocolError, match="there is no topic b"):
                    await other.forget("b")
                await other.forget("a")
            (entry,) = await past(client, "$audit/forget")
    assert (entry["subject"], entry["after"], entry["result"]) == ("a", ["a"], "done")


@on_each_loop
async def test_what_a_client_publishes_is_fed_until_it_has_gone(tmp_path: Path) -> None:
    """Then nothing is kept of it, and another client may publish it."""
    opened = Clients(topics={"lab/#": OpenTopic(ValueType.FLOAT, retain=True)})
    async with Station(clients=opened, folder=tmp_path) as station:
        async with Client(station.url, name="panel", is_ephemeral=True) as panel:
            await panel.publish("lab/t", 21.5)
            async with Client(station.url) as client:
                with pytest.raises(ProtocolError, match="lab/t: panel publishes it"):
                    await client.forget("lab/t")
        async with Client(station.url, name="other") as client:
            presence = Follower(client.subscribe("$sys/clients/#"))
            await presence.update(
                lambda u: isinstance(u.reading.value, dict) and u.reading.value["state"] == "gone"
            )
            assert await client.forget("lab/t") == ["lab/t"]
            assert await listed(client, "lab/#") == set()
            await client.publish("lab/t", 22.5)
            assert await listed(client, "lab/#") == {"lab/t"}


OLD = """
[devices.boiler]
reader = "serial"
port = "{folder}/boiler"
decoder = "json"
publish = {{ policy = "every" }}
[devices.old]
reader = "serial"
port = "{folder}/old"
decoder = "json"
publish = {{ policy = "every" }}
"""


@on_uvloop()
async def test_a_device_that_was_taken_away_stays_forgotten(tmp_path: Path) -> None:
    """Across restarts, with its status; what is fed or may be fed is refused by name."""
    journal = f'journal = {{ folder = "{tmp_path}/journal", commit_interval = "50ms" }}\n'
    both = journal + OLD.format(folder=tmp_path)
    with (
        FakePort(tmp_path / "boiler") as boiler,
        FakePort(tmp_path / "old") as old,
        Daemon(tmp_path, both) as daemon,
    ):
        async with Client(daemon.url) as client:
            await follow(client, "old")
            await follow(client, "boiler")
            old.feed(b'{"t": 1}\n')
            boiler.feed(b'{"t": 2}\n')
            await until_recorded(client, tmp_path / "journal", 2)
            for topic, why in (
                ("old/t", "old feeds it"),
                ("#", "feeds it"),
                ("$sys/devices/old", "it is the state of old, which is configured"),
                ("$sys/journal", "it is the daemon's own"),
            ):
                with pytest.raises(ProtocolError, match=f"^in_use: .*{why}"):
                    await client.forget(topic)
        await in_thread(daemon.stop)
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            with pytest.raises(ProtocolError, match="old has sent nothing since the start"):
                await client.forget("old/t")
        await in_thread(daemon.stop)
        daemon.configure(both[: both.index("[devices.old]")])
        await in_thread(daemon.start)
        done = await in_thread(sensord, "forget", "old/#", "$sys/devices/old", "--url", daemon.url)
        assert (done.returncode, done.stdout) == (0, "$sys/devices/old\nold/t\n")
        for _ in range(2):
            await in_thread(daemon.stop)
            await in_thread(daemon.start)
            async with Client(daemon.url) as client:
                assert await listed(client, "+/t") == {"boiler/t"}
                assert await listed(client, "$sys/devices/+") == {"$sys/devices/boiler"}
                assert await past(client, "old/t") == [1]
        await in_thread(daemon.stop)
        daemon.configure(both)
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            await follow(client, "old")
            old.feed(b'{"t": 3}\n')
            back = Follower(client.subscribe("old/t"))
            await back.update(lambda update: update.reading.value == 3)
            assert await listed(client, "+/t") == {"boiler/t", "old/t"}
        await in_thread(daemon.stop)
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            assert await listed(client, "+/t") == {"boiler/t", "old/t"}


RENAMED = """
[devices.boiler]
reader = "serial"
port = "{folder}/boiler"
decoder = "json"
publish = {{ policy = "every" }}
"""


@on_uvloop()
async def test_a_renamed_channel_stays_forgotten_though_its_device_is_there(tmp_path: Path) -> None:
    """Also across restarts, before the device has sent anything."""
    journal = f'journal = {{ folder = "{tmp_path}/journal", commit_interval = "50ms" }}\n'
    config = journal + RENAMED.format(folder=tmp_path)
    with FakePort(tmp_path / "boiler") as boiler, Daemon(tmp_path, config) as daemon:
        async with Client(daemon.url) as client:
            await follow(client, "boiler")
            boiler.feed(b'{"temp": 1}\n')
            await until_recorded(client, tmp_path / "journal", 1)
        await in_thread(daemon.stop)
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            readings = await follow(client, "boiler")
            boiler.feed(b'{"temperature": 2}\n')
            await readings.value(2)
            assert await client.forget("boiler/temp") == ["boiler/temp"]
        for _ in range(2):
            await in_thread(daemon.stop)
            await in_thread(daemon.start)
            async with Client(daemon.url) as client:
                assert await listed(client, "boiler/+") == {"boiler/temperature"}
