"""Messages that a restart of the real daemon finds."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sensord.client import Client
from tests.kit.daemon import Daemon, in_thread, on_uvloop


@on_uvloop()
async def test_the_daemon_starts_when_a_message_expired_while_it_was_down(tmp_path: Path) -> None:
    """Beside one with a key that was delivered, and is remembered."""
    config = f"""
        journal.folder = "{tmp_path / "journal"}"
        clients.inbox_age = "1s"
    """
    with Daemon(tmp_path, config) as daemon:
        async with Client(daemon.url) as away:
            pass
        async with Client(daemon.url) as here, Client(daemon.url) as sender:
            waiting = sender.send_to(1, client=away.id, wait_s=0.0)
            assert [receipt.status async for receipt in waiting] == ["away"]
            reading = asyncio.create_task(read(here))
            sending = sender.send_to(2, client=here.id, key="k")
            # It may be on its way before the other one receives.
            assert [receipt.status async for receipt in sending][-1] == "delivered"
            reading.cancel()
        await in_thread(daemon.kill)
        await asyncio.sleep(1.1)  # the time is what is tried
        await in_thread(daemon.start)


async def read(client: Client) -> None:
    async for _ in client.messages():
        pass


@on_uvloop()
async def test_messages_with_keys_that_expire_together_all_end(tmp_path: Path) -> None:
    """Nothing is logged, for nothing is wrong."""
    with Daemon(tmp_path, 'clients.inbox_age = "1s"') as daemon:
        async with Client(daemon.url) as away:
            pass
        async with Client(daemon.url) as sender:
            sendings = [sender.send_to(n, client=away.id, key=f"k{n}") for n in range(3)]
            for sending in sendings:
                told = [receipt.status async for receipt in sending]
                assert told == ["away", "expired"]
        assert not [line for line in daemon.log if "Exception" in line]
