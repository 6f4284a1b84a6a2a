"""The real daemon, killed before its journal has anything."""

from __future__ import annotations

from pathlib import Path

from sensord.client import Client, Gap
from sensord.model.readings import Position
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.follower import Follower


@on_uvloop()
async def test_what_a_kill_before_the_first_commit_took_is_missing_and_not_expired(
    tmp_path: Path,
) -> None:
    """Nothing was removed: it was never committed."""
    folder = tmp_path / "journal"
    config = f'journal = {{ folder = "{folder}", commit_interval = "60s" }}'
    with Daemon(tmp_path, config) as daemon:
        async with Client(daemon.url) as client:
            epoch = client.server.epoch
            await Follower(client.subscribe("$sys/clients/+")).update(lambda _: True)
        await in_thread(daemon.kill)
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            assert client.server.epoch == epoch
            story = Follower(client.subscribe("$sys/clients/+", start=Position(epoch, 0)))
            gap = await story.until(lambda item: isinstance(item, Gap))
            assert isinstance(gap, Gap)
            assert gap.reason == "missing"
            history = client.history("$sys/clients/+", start="-1h")
            gaps = [item async for item in history if isinstance(item, Gap)]
            assert [gap.reason for gap in gaps] == ["missing"]
        await in_thread(daemon.stop)
        await in_thread(daemon.start)
        await in_thread(daemon.stop)
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            history = client.history("$sys/clients/+", start="-1h")
            items = [item async for item in history]
            assert isinstance(items[0], Gap)
            assert [item.reason for item in items if isinstance(item, Gap)] == ["missing"]
            assert len(items) > 1
