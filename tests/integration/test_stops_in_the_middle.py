"""What clients do while the real daemon stops in order."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from sensord.client import Client, ClientError, SharedState, Subscription, Update
from sensord.log.journal import Batch, Reader
from tests.kit.daemon import Daemon, in_thread, on_uvloop


@on_uvloop()
async def test_what_is_confirmed_while_the_daemon_stops_is_in_the_audit(tmp_path: Path) -> None:
    """A stop in order takes nothing."""
    with Daemon(tmp_path, f'journal.folder = "{tmp_path / "journal"}"') as daemon:
        confirmed: list[int] = []
        async with Client(daemon.url) as client:
            is_under_way = asyncio.Event()
            writing = asyncio.create_task(write(client, confirmed, is_under_way))
            await is_under_way.wait()
            await in_thread(daemon.stop)
            await writing
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            audited = {
                version_of(item)
                async for item in client.history("$audit/state", start="-1h")
                if isinstance(item, Update)
            }
        missing = set(confirmed) - audited
        assert not missing, f"{len(missing)} of {len(confirmed)}"


@on_uvloop()
async def test_an_offset_seen_while_the_daemon_stops_is_not_given_again(tmp_path: Path) -> None:
    """Whoever resumes behind it would miss what got it the second time."""
    with Daemon(tmp_path, f'journal.folder = "{tmp_path / "journal"}"') as daemon:
        confirmed: list[int] = []
        async with Client(daemon.url) as client, Client(daemon.url) as monitor:
            subscription = monitor.subscribe("state/x", start="now")
            following = asyncio.create_task(follow(subscription))
            is_under_way = asyncio.Event()
            writing = asyncio.create_task(write(client, confirmed, is_under_way))
            await is_under_way.wait()
            await in_thread(daemon.stop)
            await writing
            following.cancel()
        position = subscription.position
        assert position is not None
        records = [
            record
            for batch in Reader(tmp_path / "journal").scan(0, position.offset)
            if isinstance(batch, Batch)
            for record in batch.records()
        ]
        # After a stop in order the log goes on behind the last one.
        assert records[-1].offset + 1 >= position.offset


def version_of(update: Update) -> int:
    value: Any = update.reading.value
    return int(value["after"]["version"])


async def write(client: Client, confirmed: list[int], is_under_way: asyncio.Event) -> None:
    """Change something until the connection is lost."""
    state = SharedState(client)
    while True:
        try:
            confirmed.append(await state.put("state/x", len(confirmed)))
        except ClientError:
            return
        if len(confirmed) > 20:
            is_under_way.set()


async def follow(subscription: Subscription) -> None:
    async for _ in subscription:
        pass
