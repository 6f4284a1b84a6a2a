"""Who is there, over real sockets and across restarts: `docs/protocol.md`, section 3.2."""

from __future__ import annotations

import sqlite3
import time
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from sensord.client import Client, Update
from sensord.config.tree import Clients
from sensord.sharing.presence import Member, Presence
from sensord.sharing.store import FILE_NAME
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.follower import Follower
from tests.kit.loops import on_each_loop
from tests.kit.monitor import Story, monitor
from tests.kit.station import Station

each_encoding = pytest.mark.parametrize("encoding", ["msgpack", "json"])


def last(story: Story) -> dict[str, dict[str, Any]]:
    """Return the last that was told of each client, by id."""
    told: dict[str, dict[str, Any]] = {}
    for reading in story.readings:
        told[reading.value["id"]] = reading.value
    return told


def wait_until_kept(folder: Path, clients: set[str]) -> None:
    """Wait until the daemon's file has them; there is nobody who would tell."""
    deadline = time.monotonic() + 60
    while True:
        with closing(sqlite3.connect(folder / FILE_NAME)) as reader:
            rows = reader.execute("SELECT key FROM entries WHERE kind = 'client'").fetchall()
        if clients <= {key for (key,) in rows}:
            return
        assert time.monotonic() < deadline
        time.sleep(0.01)


@on_each_loop
@each_encoding
async def test_others_see_who_is_there_and_what_it_watches(encoding: str) -> None:
    """As soon as it is so; and that it has left."""
    async with (
        Station(clients=Clients(grace=0.05)) as station,
        monitor(station.url, encoding, says_hello=False) as looker,
    ):
        mine = (await looker.hello("looker"))["client"]["id"]
        story = await looker.subscribe("$sys/clients/+")
        async with monitor(station.url, encoding, says_hello=False) as other:
            theirs = (await other.hello("Anna"))["client"]["id"]
            await other.subscribe("plant/#", "$sys/+")
            await looker.until(lambda: last(story).get(theirs, {}).get("watches"))
            seen = last(story)[theirs]
            assert (seen["name"], seen["state"]) == ("Anna", "here")
            assert seen["watches"] == ["$sys/+", "plant/#"]
            assert set(seen["permissions"]) >= {"read", "send"}
            port = other.connection.local_address[1]
            assert seen["address"] == f"127.0.0.1:{port}"
        await looker.until(lambda: last(story)[theirs]["state"] == "gone")
        assert last(story)[mine]["state"] == "here"
        states = [r.value["state"] for r in story.readings if r.value["id"] == theirs]
        assert list(dict.fromkeys(states)) == ["here", "away", "gone"]


@on_each_loop
async def test_coming_and_going_is_an_event_with_history() -> None:
    """Under $audit, which must be asked for by name."""
    # On a busy machine the client must be back within it.
    async with Station(clients=Clients(grace=1.5)) as station, monitor(station.url) as looker:
        async with monitor(station.url, says_hello=False) as other:
            client = (await other.hello("Anna"))["client"]
        async with monitor(station.url, says_hello=False) as other:
            answer = await other.ask("hello", client="Anna", key=client["key"])
            assert answer["client"] == client
        story = await looker.subscribe("$audit/#", start={"epoch": "m3x9", "offset": 0})

        def acts() -> list[str]:
            return [r.value["result"] for r in story.readings if r.value["subject"] == client["id"]]

        await looker.until(lambda: "leave" in acts())
        assert acts() == ["join", "away", "back", "away", "leave"]
        who = story.readings[-1].value["who"]
        assert (who["id"], who["name"]) == (client["id"], "Anna")


@on_each_loop
async def test_two_connections_with_one_key_are_one_client() -> None:
    """It is away when both have ended."""
    async with Station(clients=Clients()) as station, monitor(station.url) as looker:
        story = await looker.subscribe("$sys/clients/+")

        def seen(field: str) -> str | None:
            value: str | None = last(story).get(client["id"], {}).get(field)
            return value

        async with AsyncExitStack() as both:
            first = await both.enter_async_context(monitor(station.url, says_hello=False))
            client = (await first.hello("first"))["client"]
            async with monitor(station.url, says_hello=False) as second:
                await second.ask("hello", client="second", key=client["key"])
                await looker.until(lambda: seen("name") == "second")
            await looker.until(lambda: seen("name") == "first")
            assert seen("state") == "here"
        await looker.until(lambda: seen("state") == "away")


@on_each_loop
async def test_who_is_back_before_its_old_connection_ends_is_sent_what_it_watches() -> None:
    """As one that is back after it: in between it watches what it did."""
    async with (
        Station(clients=Clients()) as station,
        Client(station.url) as sender,
        monitor(station.url, says_hello=False) as new,
    ):
        async with monitor(station.url, says_hello=False) as old:
            client = (await old.hello("Anna"))["client"]
            await old.subscribe("plant/#")
            await new.ask("hello", client="Anna", key=client["key"])
        presence = station.server.shared.sharing.presence
        looker = Follower(sender.subscribe("$sys/clients/+"))
        await looker.update(lambda _: len(member_of(presence, client["id"]).sessions) == 1)
        sending = sender.send_to(1, watching="plant/a", wait_s=0.0)
        assert [receipt.client async for receipt in sending] == [client["id"]]


def member_of(presence: Presence, client: str) -> Member:
    member = presence.find(client)
    assert member is not None
    return member


@on_each_loop
@pytest.mark.parametrize("key", ["nonsense", "", "\ud800.a", "0123456789ab." + "0" * 32])
async def test_a_wrong_key_makes_a_new_client(key: str) -> None:
    """Nobody is refused for it: the server may have lost its state."""
    async with Station() as station, monitor(station.url, "json", says_hello=False) as guest:
        answer = await guest.ask("hello", key=key)
        assert answer["client"]["key"] != key


@on_each_loop
async def test_the_python_client_stays_the_same_when_it_reconnects(tmp_path: Path) -> None:
    """Also after a restart of the server that kept its state."""
    async with (
        Station(clients=Clients(), folder=tmp_path) as station,
        Client(station.url, name="Anna") as client,
    ):
        before = client.id
        followed = Follower(client.subscribe("$sys/clients/+"))
        await followed.live()
        await station.restart()

        def is_me(update: Update) -> bool:
            value = update.reading.value
            assert isinstance(value, dict)
            return value["id"] == before and value["state"] == "here" and not update.is_last_value

        await followed.update(is_me)
        assert client.id == before
        assert len(station.server.shared.sharing.presence) == 1


@on_uvloop()
async def test_after_a_kill_nobody_stands_as_there_who_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes back is the same; who does not is away and then gone."""
    # So that it is back within the grace time, however long the daemon takes to start.
    monkeypatch.setattr("sensord.client.client.LONGEST_PAUSE_S", 0.1)
    config = f"""
journal.folder = "{tmp_path / "journal"}"
clients.grace = "3s"
"""
    daemon = Daemon(tmp_path, config)
    with daemon:
        async with (
            Client(daemon.url, name="stays") as stays,
            Client(daemon.url, name="goes") as goes,
        ):
            followed = Follower(stays.subscribe("$sys/clients/+", "$audit/presence"))
            await followed.live()
            gone, mine = goes.id, stays.id

            await in_thread(wait_until_kept, tmp_path / "journal", {gone, mine})

            def tells(client: str, **fields: str) -> Any:
                def is_told(update: Update) -> bool:
                    value = update.reading.value
                    assert isinstance(value, dict)
                    subject = value.get("id", value.get("subject"))
                    return subject == client and fields.items() <= value.items()

                return is_told

            await goes.__aexit__(None, None, None)
            await followed.update(tells(gone, result="away"))
            await in_thread(daemon.kill)
            await in_thread(daemon.start)
            await followed.update(tells(mine, result="back"))
            await followed.update(tells(gone, result="leave"))
            states = {
                u.reading.value["id"]: u.reading.value["state"]  # type: ignore[index, call-overload]  # a map
                for u in await stays.get("$sys/clients/+")
            }
            assert states == {mine: "here", gone: "gone"}
            assert stays.id == mine
