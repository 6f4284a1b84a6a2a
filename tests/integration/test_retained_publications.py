"""What clients published stands after a restart as it did before."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensord.client import Client, Update
from sensord.log.journal import Reader
from sensord.model.readings import GOOD, Level, Value
from tests.kit.daemon import Daemon, in_thread, on_uvloop, sensord
from tests.kit.follower import Follower
from tests.kit.journal import found_in


def config(folder: Path, grace: str = "10m") -> str:
    return f"""
        journal = {{ folder = "{folder}", commit_interval = "50ms", min_free = 0 }}
        clients.grace = "{grace}"
        [clients.topics."keep/#"]
        type = "bool"
        retain = true
        [clients.topics."lab/#"]
    """


async def last(client: Client, topic: str) -> Update:
    (update,) = await client.get(topic)
    return update


async def until_recorded(client: Client, folder: Path, topic: str, value: Value) -> None:
    """Wait until the journal has a reading: a kill may take what was not committed."""
    found: list[tuple[str, str]] = []
    while (topic, repr(value)) not in found:
        await client.ping()
        rows, _ = await in_thread(found_in, Reader(folder).scan(topics=["#"]))
        found = [(row.topic, row.value) for row in rows]


@pytest.mark.parametrize("end", ["stop", "kill"])
@on_uvloop()
async def test_what_stays_is_there_after_a_restart(tmp_path: Path, end: str) -> None:
    """`get` had nothing, although history had it."""
    with Daemon(tmp_path, config(tmp_path / "journal")) as daemon:
        await in_thread(sensord, "publish", "keep/x", "true", "--url", daemon.url)
        async with Client(daemon.url) as client:
            before = await last(client, "keep/x")
            await client.publish("keep/y", True)
            await client.publish("keep/y", False)
            await until_recorded(client, tmp_path / "journal", "keep/y", False)
        await in_thread(getattr(daemon, end))
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            after = await last(client, "keep/x")
            assert (after.reading.value, after.reading.quality) == (True, GOOD)
            assert after.reading.time_us == before.reading.time_us
            assert after.channel.metadata == before.channel.metadata
            assert (await last(client, "keep/y")).reading.value is False


@on_uvloop()
async def test_what_stays_outlives_what_the_journal_removes(tmp_path: Path) -> None:
    """It was published long ago, and still stands."""
    folder = tmp_path / "journal"
    with Daemon(tmp_path, config(folder)) as daemon:
        async with Client(daemon.url) as client:
            await client.publish("keep/x", True)
            await client.publish("keep/x", False)
        await in_thread(daemon.stop)
        for file in folder.glob("*.mcap"):
            file.unlink()
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            after = await last(client, "keep/x")
            assert (after.reading.value, after.reading.quality) == (False, GOOD)


@pytest.mark.parametrize("grace", ["10m", "200ms"])
@on_uvloop()
async def test_what_a_client_published_that_was_there_stands_until_it_is_gone(
    tmp_path: Path, grace: str
) -> None:
    """As when only its connection had ended; it is still the topic's publisher."""
    with Daemon(tmp_path, config(tmp_path / "journal", grace)) as daemon:
        async with Client(daemon.url) as client:
            await client.publish("lab/t", 21.5)
            await until_recorded(client, tmp_path / "journal", "lab/t", 21.5)
            await in_thread(daemon.kill)
        await in_thread(daemon.start)
        async with Client(daemon.url) as other:
            seen = Follower(other.subscribe("lab/t"))
            first = await seen.update(lambda _: True)
            if grace == "10m":
                assert (first.reading.value, first.reading.quality) == (21.5, GOOD)
            else:
                gone = await seen.update(lambda u: u.reading.quality.level is Level.BAD)
                assert gone.reading.quality.reason == "disconnected"
                await other.publish("lab/t", 22.0)
