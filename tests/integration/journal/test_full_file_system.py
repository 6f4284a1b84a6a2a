"""Real file systems that are full; they are mounted, which takes root."""

from __future__ import annotations

import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sensord.client import Client, Update
from sensord.log.journal import Reader
from sensord.model.readings import Position
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.fakeport import FakePort
from tests.kit.follower import Follower
from tests.kit.journal import found_in
from tests.kit.mounts import Namespace, make_image, needs_loop, needs_mount

FILLER = [sys.executable, "-m", "tests.kit.journal_filler"]


def run_mounted(folder: Path, mount: str) -> None:
    """Run the filler with a file system mounted on ``folder``, in a mount namespace of its own."""
    script = f'{mount} && folder=$0 && "$@"; status=$?; umount "$0"; exit $status'
    command = [*FILLER, str(folder), "disk"]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, str(folder), *command],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@needs_mount
def test_a_small_tmpfs(tmp_path: Path) -> None:
    """Full, it keeps the newest; with room it comes back by itself."""
    run_mounted(tmp_path, 'mount -t tmpfs -o size=4m none "$0"')


@needs_loop
def test_a_small_ext4_image(tmp_path: Path) -> None:
    """The same where blocks are allocated late and metadata has a journal."""
    image, folder = tmp_path / "image", tmp_path / "mounted"
    folder.mkdir()
    make_image(image, 16 << 20)
    run_mounted(folder, f'mount -o loop "{image}" "$0"')


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    """As of a service with LimitFSIZE: failed while it holds, and not killed by a signal."""
    done = subprocess.run(
        [*FILLER, str(tmp_path), "limit"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# -- the real daemon -------------------------------------------------------------------------------

BALLAST = 'dd if=/dev/zero of="$0/ballast" bs=4096 2> /dev/null || true'


def config(port: Path, folder: Path) -> str:
    return f"""
log.ring = 2048
[journal]
folder = "{folder}"
commit_interval = "50ms"
min_free = 0
[devices.logger]
reader = "serial"
port = "{port}"
decoder = "json"
publish = {{ policy = "every" }}
"""


class Plant:
    """A device that sends long lines, and a monitor that follows them."""

    def __init__(self, port: FakePort, client: Client) -> None:
        self.port = port
        self.sent = 0
        self.status = Follower(client.subscribe("$sys/journal"))
        self.live = Follower(client.subscribe("logger/number"))
        self._random = random.Random(1)

    async def send(self, count: int) -> None:
        """Send so many lines, in fifties, and see them arrive."""
        for _ in range(count):
            self.sent += 1
            text = self._random.randbytes(1000).hex()
            line = b'{"number": %d, "text": "%b"}\n' % (self.sent, text.encode())
            self.port.feed_all(line, chunk=4096)
            if not self.sent % 50:
                await self.live.value(self.sent)

    async def state(self, state: str) -> dict[str, Any]:
        update = await self.status.update(lambda update: value_of(update)["state"] == state)
        return value_of(update)


def value_of(update: Update) -> dict[str, Any]:
    assert isinstance(update.reading.value, dict)
    return update.reading.value


async def fill_and_free(tmp_path: Path, mount: str) -> None:
    """Run a daemon on a small disk; fill that, and make room again."""
    place, port, space = tmp_path / "card", FakePort(tmp_path / "ttyUSB0"), Namespace()
    place.mkdir()
    under = ["unshare", "-m", "sh", "-c", f'{mount} "{place}" && exec "$0" "$@"']
    folder = place / "journal"
    with port, Daemon(tmp_path, config(port.path, folder), under=under) as daemon:
        async with Client(daemon.url) as client:
            await in_thread(daemon.wait_for_log, "device is up")
            plant = Plant(port, client)
            await plant.live.live()
            await plant.state("ok")
            await plant.send(100)
            space.run(daemon.pid, "sh", "-c", BALLAST, str(place))
            # More than the ring holds, so that the oldest of it must go.
            await plant.send(3000)
            told = await plant.state("full")
            assert "No space left" in told["reason"]
            space.run(daemon.pid, "rm", str(place / "ballast"))
            told = await plant.state("ok")
            assert told["dropped"] > 0
            await plant.send(100)
            start = Position(client.server.epoch, 0)
            past = Follower(client.subscribe("logger/number", start=start))
            await past.value(plant.sent)
            await in_thread(daemon.wait_for_log, "recording again")
            space.run(daemon.pid, "cp", "-r", str(folder), str(tmp_path / "copy"))
    assert plant.live.values == list(range(1, plant.sent + 1))
    assert plant.live.gaps == []
    # Who comes later is told what is missing, and why; what the ring had kept came late.
    assert past.values == sorted(past.values)
    assert past.values[-200:] == list(range(plant.sent - 199, plant.sent + 1))
    assert "dropped: No space left on device" in {gap.detail for gap in past.gaps}
    rows, holes = found_in(Reader(tmp_path / "copy").scan(0))
    dropped = [hole for hole in holes if hole.reason == "dropped: No space left on device"]
    assert sum(hole.count for hole in dropped) == told["dropped"]
    spans = [(row.offset, row.offset + 1) for row in rows]
    spans = sorted(spans + [(hole.first, hole.end) for hole in holes])
    assert all(one[1] == two[0] for one, two in pairwise(spans))


@needs_mount
@on_uvloop()
async def test_a_daemon_on_a_full_tmpfs_streams_on(tmp_path: Path) -> None:
    """It says so, and with room it records again; a full disk is tried every five seconds."""
    await fill_and_free(tmp_path, "mount -t tmpfs -o size=4m none")


@pytest.mark.slow
@needs_loop
@on_uvloop()
async def test_a_daemon_on_a_full_ext4_streams_on(tmp_path: Path) -> None:
    """The same on what cards are formatted with."""
    image = tmp_path / "image"
    make_image(image, 16 << 20)
    await fill_and_free(tmp_path, f'mount -o loop "{image}"')
