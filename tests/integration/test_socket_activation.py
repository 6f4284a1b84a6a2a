"""A socket that systemd keeps open: monitors' connections wait while the daemon restarts."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from sensord.client import Client, Item, Update
from tests.kit.daemon import REPOSITORY, SENSORD, Daemon, in_thread, on_uvloop
from tests.kit.follower import Follower

DEVICE = """
[devices.counter]
reader = "simulated"
interval = "5ms"
signals.n = { low = 0, high = 1000000, period = "5000s", shape = "ramp" }
publish = { policy = "every" }
"""

AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Passes a descriptor as the third one to the process that it becomes."""


def as_systemd(held: socket.socket) -> list[str]:
    return [sys.executable, "-c", AS_SYSTEMD, str(held.fileno())]


@pytest.fixture
def held() -> Iterator[socket.socket]:
    """Return a listening socket, as the service manager holds it."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as made:
        yield made


class Held(Daemon):
    """A daemon that gets its listening socket from outside."""

    def __init__(self, folder: Path, config: str, held: socket.socket) -> None:
        super().__init__(folder, config, under=as_systemd(held), passes=[held.fileno()])
        name, port = held.getsockname()
        self.address = f"{name}:{port}"


def recording(folder: Path) -> str:
    return f'journal.folder = "{folder}"\njournal.commit_interval = "50ms"\n{DEVICE}'


def own(updates: Iterable[Item]) -> list[int]:
    """Return the times of the readings that the device itself sent."""
    return [
        one.reading.time_us
        for one in updates
        if isinstance(one, Update) and not one.is_last_value and not one.reading.restates
    ]


@on_uvloop()
async def test_a_restart_refuses_no_connection_and_loses_no_reading(
    tmp_path: Path, held: socket.socket
) -> None:
    """A subscribed monitor returns through the waiting socket and has each reading once."""
    with Held(tmp_path, recording(tmp_path / "journal"), held) as daemon:
        async with Client(daemon.url) as client:
            follower = Follower(client.subscribe("counter/n"))
            await follower.count(50)
            for _ in range(3):
                await in_thread(daemon.stop)
                # While no daemon runs, a connection is made and waits.
                with socket.create_connection(held.getsockname(), timeout=5):
                    await in_thread(daemon.start)
                await follower.count(len(follower.updates) + 50)
            assert not follower.gaps
            seen = own(follower.items)
            history = client.history("counter/n", start="-1h", stop="-0s")
            kept = own([item async for item in history])
            assert seen == [one for one in kept if seen[0] <= one <= seen[-1]]
        await in_thread(daemon.stop)


def test_a_socket_that_the_configuration_does_not_list_ends_the_start(
    tmp_path: Path, held: socket.socket
) -> None:
    """Nobody would answer there, and who may enter would not have been checked."""
    file = tmp_path / "config.toml"
    file.write_text('server.listen = ["127.0.0.1:0"]\njournal.enabled = false\n')
    command = [*as_systemd(held), *SENSORD, "run", str(file)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        pass_fds=[held.fileno()],
        cwd=REPOSITORY,
    )
    assert done.returncode != 0
    name, port = held.getsockname()
    assert f"systemd's socket unit listens on {name}:{port}" in done.stderr
