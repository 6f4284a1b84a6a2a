"""What clients are promised to be kept is kept, or refused with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sensord.client import Client, Control, SharedState
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
