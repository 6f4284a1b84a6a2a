"""Shared state and publishing through the real wire: the client, the commands, the daemon."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from sensord.client import Client, SharedState, Update
from sensord.errors import ProtocolError
from sensord.model.readings import Level, Value
from tests.kit.daemon import Daemon, in_thread, on_uvloop, sensord
from tests.kit.follower import Follower
from tests.kit.loops import on_each_loop
from tests.kit.station import Station


def version_of(update: Update) -> int:
    """Return the version in a reading of shared state."""
    value = update.reading.value
    assert isinstance(value, dict)
    assert isinstance(value["version"], int)
    return value["version"]


@pytest.mark.parametrize("encoding", ["msgpack", "json"])
@on_each_loop
async def test_two_clients_that_edit_at_once_lose_no_update(encoding: str) -> None:
    """Each adds its own entries to one list; all of them are there."""
    async with (
        Station() as station,
        Client(station.url, name="Anna", encoding=encoding) as anna,
        Client(station.url, name="Bert") as bert,
    ):

        async def add(client: Client, name: str) -> None:
            for number in range(20):

                def added(value: Value, entry: str = f"{name}{number}") -> Value:
                    return [*value, entry] if isinstance(value, list) else [entry]

                await SharedState(client).update("state/list", added)

        watched = Follower(anna.subscribe("state/#"))
        await asyncio.gather(add(anna, "a"), add(bert, "b"))
        entry = await SharedState(bert).get("state/list")
        assert entry is not None
        assert isinstance(entry.value, list)
        assert sorted(map(str, entry.value)) == sorted(
            [f"{who}{n}" for who in "ab" for n in range(20)]
        )
        await watched.update(lambda update: version_of(update) == entry.version)
        versions = [version_of(update) for update in watched.updates]
        assert versions == sorted(set(versions))


@on_each_loop
async def test_what_is_commonly_kept_there_has_methods() -> None:
    """Alarms, notes and views."""
    async with Station() as station, Client(station.url, name="Anna") as client:
        state = SharedState(client)
        station.publish("plant/pump", 1.0, time_us=77)
        await state.acknowledge("plant/pump", "is being mended")
        entry = await state.get("state/alarms/plant/pump")
        assert entry is not None
        assert entry.value == {"reading_us": 77, "text": "is being mended"}
        assert entry.by["name"] == "Anna"
        topic = await state.note(["plant/#"], 1, 2, "cleaning")
        note = await state.get(topic)
        assert note is not None
        assert note.value == {"topics": ["plant/#"], "from_us": 1, "to_us": 2, "text": "cleaning"}
        assert await state.view("night") is None
        await state.save_view("night", {"topics": ["plant/#"]}, 0)
        with pytest.raises(ProtocolError, match="conflict"):
            await state.save_view("night", {"topics": []}, 0)
        view = await state.view("night")
        assert view is not None
        await state.delete(topic, note.version)
        assert await state.get(topic) is None


@on_uvloop()
async def test_commands_write_and_a_kill_loses_nothing(tmp_path: Path) -> None:
    """What was answered stands after kill -9; what a client published turns bad when it is gone."""
    config = f"""
[journal]
folder = "{tmp_path / "journal"}"

[clients]
grace = "100ms"

[clients.topics."lab/+"]
decimals = 1
"""
    with Daemon(tmp_path, config) as daemon:
        url = ("--url", daemon.url)

        async def command(*arguments: str) -> str:
            done = await in_thread(lambda: sensord(*arguments, *url))
            return f"{done.returncode} {done.stdout}{done.stderr}"

        async with Client(daemon.url) as client:
            watched = Follower(client.subscribe("lab/#", "state/#"))
            assert (await command("publish", "lab/x", "1.25")).startswith("0 ")
            await watched.update(lambda u: u.reading.quality.level is Level.BAD)
            assert watched.values[-2:] == [1.2, 1.2]
        version = (await command("put", "state/a", '{"x": 1}', "--version", "0"))[2:].strip()
        refused = await command("put", "state/a", "2", "--version", "0")
        assert refused.startswith("4 conflict: ")
        assert json.loads(refused.splitlines()[-1])["value"] == {"x": 1}
        assert (await command("publish", "plant/x", "1")).startswith("3 not_found: ")
        await in_thread(daemon.kill)
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            state = SharedState(client)
            entry = await state.get("state/a")
            assert entry is not None
            assert (str(entry.version), entry.value) == (version, {"x": 1})
        assert (await command("delete", "state/a", "--version", version)).startswith("0 ")
        assert (await command("delete", "state/a")).startswith("3 not_found: ")
