"""Four thousand monitors at the real daemon at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from sensord.client import Client
from tests.kit.daemon import REPOSITORY, Daemon, in_thread, on_uvloop
from tests.kit.fakeport import FakePort
from tests.kit.follower import Follower

MONITORS = 4000


class Crowd:
    """The monitors; in another process, for this one must stay below `select`'s 1,024."""

    def __init__(self, address: str) -> None:
        command = [sys.executable, "-m", "tests.kit.crowd", *address.split(":"), str(MONITORS)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process as process:
            process.kill()

    def heard(self) -> dict[str, Any]:
        """Wait for the next thing that it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the crowd ended"
        told: dict[str, Any] = json.loads(line)
        return told


@pytest.mark.slow
@on_uvloop()
async def test_four_thousand_monitors_get_the_snapshot_and_the_same_next_reading(
    tmp_path: Path,
) -> None:
    """All of them connected at once, and a client of ours among them that notices nothing."""
    config = f"""
[devices.boiler]
reader = "serial"
port = "{tmp_path / "ttyUSB0"}"
decoder = "json"
topic = "plant/{{field}}"
publish = {{ policy = "every" }}
"""
    with FakePort(tmp_path / "ttyUSB0") as port, Daemon(tmp_path, config) as daemon:
        async with Client(daemon.url) as client:
            ours = Follower(client.subscribe("plant/#"))
            await in_thread(daemon.wait_for_log, "device is up")
            port.feed(b'{"temperature": 1.5}\n')
            await ours.value(1.5)
            before = daemon.rss_bytes()
            with Crowd(daemon.address) as crowd:
                assert await in_thread(crowd.heard) == {"snapshots": ["[1.5]"]}
                assert (await client.get("plant/#"))[0].reading.value == 1.5
                assert daemon.descriptors() > MONITORS
                port.feed(b'{"temperature": 2.5}\n')
                # The very same bytes for all.
                assert await in_thread(crowd.heard) == {"frames": [[2.5]]}
                await ours.value(2.5)
                each = (daemon.rss_bytes() - before) / MONITORS
                assert each < 40_000, f"{each:.0f} bytes for each monitor"
            await client.ping()
    assert ours.values == [1.5, 2.5]
