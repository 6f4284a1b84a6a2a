"""What clients are promised to be kept is kept, or refused with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sensord.client import Client, Control, SharedState, Update
from sensord.errors import ProtocolError, SensordError
from sensord.sharing.store import FILE_NAME
from sensord.wire.ops.messages import Send
from tests.kit.daemon import Daemon, in_thread, on_uvloop

DEVICE = """
    [devices.tank]
    reader = "simulated"
    signals.pump = { shape = "constant" }
    channels.pump = { type = "bool" }
    [devices.tank.writable.pump]
"""


def config(folder: Path) -> str:
    return f"""
        journal = {{ folder = "{folder}", min_free = 0 }}
        {DEVICE}
    """


async def refusals(client: Client) -> dict[str, str]:
    """Ask for each thing that would have to be kept; return what refuses it."""
    found: dict[str, str] = {}
    control = Control(client)
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "put": lambda: SharedState(client).put("state/a", 1),
        "set": lambda: control.set("tank/pump", True, key="k"),
        "take": lambda: control.take("tank"),
        "send": lambda: client.ask(
            Send(client.number(), "client", client.key.partition(".")[0], 1)
        ),
    }
    for what, ask in asked.items():
        try:
            await ask()
        except ProtocolError as exc:
            found[what] = f"{exc.code}: {exc.message}"
        except SensordError as exc:
            found[what] = str(exc)
    return found


@on_uvloop()
async def test_a_file_that_cannot_be_written_refuses_what_it_should_keep(tmp_path: Path) -> None:
    """All of it was answered as done, and forgotten by the next start: a key acted again."""
    folder = tmp_path / "journal"
    (folder / FILE_NAME).mkdir(parents=True)
    with Daemon(tmp_path, config(folder)) as daemon:
        await in_thread(daemon.wait_for_log, "clients' state is not kept")
        async with Client(daemon.url) as client:
            found = await refusals(client)
            assert set(found) == {"put", "set", "take", "send"}
            assert all("Is a directory" in reason for reason in found.values())


@on_uvloop()
async def test_a_damaged_file_is_set_aside_and_the_daemon_starts(tmp_path: Path) -> None:
    """It says so, and what is kept from then on is kept."""
    folder = tmp_path / "journal"
    folder.mkdir()
    (folder / FILE_NAME).write_bytes(b"\xa5" * 10_000)
    with Daemon(tmp_path, config(folder)) as daemon:
        assert "file is not a database" in daemon.wait_for_log("clients' state is damaged")
        async with Client(daemon.url) as client:
            await SharedState(client).put("state/a", 1)
        await in_thread(daemon.kill)
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            entry = await SharedState(client).get("state/a")
            assert entry is not None
            assert entry.value == 1
    assert (folder / f"{FILE_NAME}.damaged").stat().st_size == 10_000


@pytest.mark.parametrize("suffix", ["", "-wal"])
@on_uvloop()
async def test_a_file_that_is_removed_while_the_daemon_runs_loses_nothing(
    tmp_path: Path, suffix: str
) -> None:
    """SQLite goes on writing to what has no name any more."""
    folder = tmp_path / "journal"
    with Daemon(tmp_path, config(folder)) as daemon:
        async with Client(daemon.url) as client:
            await SharedState(client).put("state/a", 1)
            (folder / f"{FILE_NAME}{suffix}").unlink()
            await SharedState(client).put("state/b", 2)
        await in_thread(daemon.kill)
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            for topic, value in (("state/a", 1), ("state/b", 2)):
                entry = await SharedState(client).get(topic)
                assert entry is not None
                assert entry.value == value


@on_uvloop()
async def test_a_disk_that_comes_late_keeps_what_clients_share_from_then_on(tmp_path: Path) -> None:
    """Refused meanwhile, with the reason; kept as soon as the journal is there."""
    place = tmp_path / "card"
    place.write_text("no folder")
    with Daemon(tmp_path, config(place / "journal")) as daemon:
        async with Client(daemon.url) as client:
            found = await refusals(client)
            assert set(found) == {"put", "set", "take", "send"}
            assert all("is not there yet" in reason for reason in found.values()), found
            place.unlink()
            await in_thread(daemon.wait_for_log, "recording")
            while "put" in await refusals(client):  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.1)  # the store is opened after the journal
        await in_thread(daemon.kill)
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            assert await SharedState(client).get("state/a")
        status, _ = await in_thread(daemon.stop)
        assert status == 0


LATE = """
[clients.topics."lab/#"]
retain = true
[derived."count/total"]
from = "lab/energy"
total = true
[alarms.energy]
topic = "lab/energy"
above = 100
"""


async def promised(daemon: Daemon, keys: dict[str, str]) -> None:
    """Have much promised by a daemon whose store is there."""
    async with Client(daemon.url, name="Anna") as anna, Client(daemon.url, name="Bert") as bert:
        state, control = SharedState(anna), Control(anna)
        keys["anna"], keys["bert"], keys["bert id"] = anna.key, bert.key, bert.id
        keys["version"] = str(await state.put("state/a", "first"))
        await anna.publish("lab/energy", 90)
        await anna.publish("lab/energy", 30)  # the counter began again: the total is 120
        await anna.publish("lab/energy", 130)
        await anna.publish("lab/label", 1.5)
        await control.call("alarms", {"alarm": "energy", "act": "acknowledge"})
        await control.set("tank/pump", True, key="once")
        await bert.bye()
        await anna.ask(Send(anna.number(), "client", bert.id, "for Bert"))


async def alarm(client: Client) -> dict[str, object]:
    (found,) = await client.get("$sys/alarms/energy")
    assert isinstance(found.reading.value, dict)
    return dict(found.reading.value)


async def last(client: Client, topic: str) -> object:
    found: list[Update] = await client.get(topic)
    return found[0].reading.value if found else None


async def both_sides(daemon: Daemon, keys: dict[str, str]) -> None:
    """Check what was promised before the disk was away, and what was made while it was."""
    async with (
        Client(daemon.url, key=keys["anna"]) as anna,
        Client(daemon.url, key=keys["late"]) as late,
    ):
        assert anna.key == keys["anna"]
        assert late.id == keys["late id"]
        entry = await SharedState(late).get("state/a")
        assert entry is not None
        assert (entry.value, entry.version) == ("first", int(keys["version"]))
        with pytest.raises(ProtocolError, match="another version"):
            await SharedState(late).put("state/a", "second", version=0)
        assert await last(late, "lab/label") == 1.5
        assert await last(late, "lab/note") == 2.5
        # The counter began again twice: at 90 before the disk was away, at 140 meanwhile.
        assert await last(late, "count/total") == 90 + 140 + 10
        assert (await alarm(late))["acknowledged"]


@on_uvloop(60.0)
async def test_a_disk_that_comes_late_with_rows_is_joined(tmp_path: Path) -> None:
    """All was refused until a restart; now neither side is lost, nor at the next start."""
    place, keys = tmp_path / "card", dict[str, str]()
    with Daemon(tmp_path, config(place / "journal") + LATE) as daemon:
        await promised(daemon, keys)
        await in_thread(daemon.stop)
        place.rename(tmp_path / "away")
        place.write_text("no folder")
        await in_thread(daemon.start)
        async with Client(daemon.url, name="Late") as late:
            keys["late"], keys["late id"] = late.key, late.id
            for value in (140, 10):
                await late.publish("lab/energy", value)
            await late.publish("lab/note", 2.5)
            assert "is not there yet" in (await refusals(late))["put"]
            place.unlink()
            (tmp_path / "away").rename(place)
            await in_thread(daemon.wait_for_log, "came late and is joined")
            await both_sides(daemon, keys)
            await SharedState(late).put("state/b", 1)
        await in_thread(daemon.kill)
        await in_thread(daemon.start)
        await both_sides(daemon, keys)
        async with Client(daemon.url, key=keys["bert"]) as bert:
            assert bert.id == keys["bert id"]
            message = await asyncio.wait_for(anext(aiter(bert.messages())), 30)
            assert message.body == "for Bert"
        async with Client(daemon.url, key=keys["anna"]) as anna:
            with pytest.raises(ProtocolError, match="it was used for another act"):
                await Control(anna).set("tank/pump", False, key="once")
        status, _ = await in_thread(daemon.stop)
        assert status == 0
