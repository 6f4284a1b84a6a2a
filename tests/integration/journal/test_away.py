"""The real daemon, whose journal is not there at the start, or goes while it runs."""

from __future__ import annotations

import itertools
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from sensord.client import Client, Update
from sensord.log.journal import Reader
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.fakeport import FakePort
from tests.kit.follower import Follower
from tests.kit.journal import found_in
from tests.kit.mounts import Namespace, make_image, needs_loop, needs_mount, run_mounted
from tests.kit.shiftedclock import ShiftedClock, needs_compiler

COUNTER = """
[devices.counter]
reader = "serial"
port = "{port}"
decoder = "number"
publish = {{ policy = "every" }}
"""


def config(port: Path, folder: Path) -> str:
    journal = f'{{ folder = "{folder}", commit_interval = "50ms", min_free = 0 }}'
    return f"journal = {journal}\n" + COUNTER.format(port=port)


class Plant:
    """A device that counts, and a monitor that must miss no number without being told."""

    def __init__(self, port: FakePort, daemon: Daemon) -> None:
        self.port, self.daemon = port, daemon
        self.sent = 0

    async def send(self, follower: Follower, count: int = 20) -> None:
        """Send some numbers and wait until the last one has come."""
        for _ in range(count):
            self.sent += 1
            self.port.feed(b"%d\n" % self.sent)
        await follower.value(float(self.sent))


async def until_state(status: Follower, state: str, reason: str = "") -> dict[str, Any]:
    """Wait until ``$sys/journal`` tells a state and a reason."""

    def fits(update: Update) -> bool:
        told = update.reading.value
        assert isinstance(told, dict)
        return told["state"] == state and reason in str(told["reason"])

    update = await status.update(fits)
    assert isinstance(update.reading.value, dict)
    return update.reading.value


def recorded(folder: Path) -> list[int]:
    """Read the numbers in a journal."""
    rows, _ = found_in(Reader(folder).scan())
    return [int(float(row.value)) for row in rows if row.topic == "counter/value"]


@on_uvloop()
async def test_a_journal_that_comes_late_records_what_came_before(tmp_path: Path) -> None:
    """The state says why, a monitor notices nothing, and a restart finds all of it."""
    place = tmp_path / "card"
    place.write_text("no folder")
    port = FakePort(tmp_path / "ttyUSB0")
    with port, Daemon(tmp_path, config(port.path, place / "journal")) as daemon:
        async with Client(daemon.url) as client:
            plant = Plant(port, daemon)
            status = Follower(client.subscribe("$sys/journal"))
            await until_state(status, "failed", "Not a directory")
            await in_thread(daemon.wait_for_log, "device is up")
            monitor = Follower(client.subscribe("counter/#"))
            await monitor.live()
            await plant.send(monitor)
            epoch = client.server.epoch
            place.unlink()
            told = await until_state(status, "ok")
            assert told["dropped"] == 0
            await plant.send(monitor)
            await in_thread(daemon.kill)
            await in_thread(daemon.start)
            await in_thread(daemon.wait_for_log, "device is up")
            await plant.send(monitor)
            assert client.server.epoch == epoch
    # What the kill took was seen by the monitor: it was there.
    assert monitor.values == list(range(1, plant.sent + 1))
    assert {gap.reason for gap in monitor.gaps} <= {"missing"}
    kept = recorded(place / "journal")
    assert kept[:20] == list(range(1, 21))
    assert all(one < two for one, two in itertools.pairwise(kept))


@needs_compiler
@on_uvloop()
async def test_a_journal_that_is_ahead_of_a_clock_in_1970(tmp_path: Path) -> None:
    """The log goes on in it under its epoch; monitors come back and are told so."""
    place, clock = tmp_path / "card", ShiftedClock(tmp_path)
    port = FakePort(tmp_path / "ttyUSB0")
    journal = config(port.path, place / "journal")
    with port, Daemon(tmp_path, journal, under=clock.under) as daemon:
        async with Client(daemon.url) as client:
            plant = Plant(port, daemon)
            await in_thread(daemon.wait_for_log, "device is up")
            monitor = Follower(client.subscribe("counter/#"))
            await monitor.live()
            await plant.send(monitor)
            epoch = client.server.epoch
            await in_thread(daemon.stop)
            place.rename(tmp_path / "away")
            place.write_text("no folder")
            clock.set(5.0 - time.time())
            await in_thread(daemon.start)
            await in_thread(daemon.wait_for_log, "device is up")
            await monitor.live()
            await plant.send(monitor)
            assert client.server.epoch != epoch
            place.unlink()
            (tmp_path / "away").rename(place)
            await in_thread(daemon.wait_for_log, "recording")
            status = Follower(client.subscribe("$sys/journal"))
            await until_state(status, "ok")
            await monitor.live()
            await plant.send(monitor)
            assert client.server.epoch == epoch
            await in_thread(daemon.stop)
    assert {gap.reason for gap in monitor.gaps} == {"epoch_changed"}
    # Last values come again after such a gap; none is left out, and order stays.
    told = [each.reading.value for each in monitor.updates if not each.is_last_value]
    assert told == list(range(1, plant.sent + 1))
    kept = recorded(place / "journal")
    assert kept[:20] == list(range(1, 21))
    assert kept[-20:] == list(range(plant.sent - 19, plant.sent + 1))


@needs_mount
@on_uvloop()
async def test_a_disk_that_is_mounted_late_is_waited_for(tmp_path: Path) -> None:
    """Nothing is written beneath its place; the table of file systems says what to wait for."""
    place = tmp_path / "card"
    place.mkdir()
    table = tmp_path / "fstab"
    table.write_text(f"/dev/mmcblk0p3 {place} ext4 nofail 0 2\n")
    space = Namespace(table)
    port = FakePort(tmp_path / "ttyUSB0")
    folder = place / "journal"
    with port, Daemon(tmp_path, config(port.path, folder), under=space.under) as daemon:
        async with Client(daemon.url) as client:
            plant = Plant(port, daemon)
            status = Follower(client.subscribe("$sys/journal"))
            await until_state(status, "failed", f"nothing is mounted at {place}")
            await in_thread(daemon.wait_for_log, "device is up")
            monitor = Follower(client.subscribe("counter/#"))
            await monitor.live()
            await plant.send(monitor)
            space.run(daemon.pid, "mount", "-t", "tmpfs", "none", str(place))
            await until_state(status, "ok")
            await plant.send(monitor)
            copy = tmp_path / "copy"
            space.run(daemon.pid, "cp", "-r", str(folder), str(copy))
    assert list(place.iterdir()) == []
    assert recorded(copy)[:20] == list(range(1, 21))


@pytest.mark.slow  # a failed disk is tried again after five seconds
@needs_loop
@on_uvloop()
async def test_a_disk_that_is_pulled_and_put_back(tmp_path: Path) -> None:
    """Streaming goes on, nothing is written beneath, and what was in memory is recorded late."""
    image, place = tmp_path / "image", tmp_path / "card"
    place.mkdir()
    make_image(image)
    mount = ["mount", "-o", "loop", str(image), str(place)]
    under = ["unshare", "-m", "sh", "-c", f'{" ".join(mount)} && exec "$0" "$@"']
    space = Namespace()
    port = FakePort(tmp_path / "ttyUSB0")
    folder = place / "journal"
    with port, Daemon(tmp_path, config(port.path, folder), under=under) as daemon:
        async with Client(daemon.url) as client:
            plant = Plant(port, daemon)
            status = Follower(client.subscribe("$sys/journal"))
            await until_state(status, "ok")
            await in_thread(daemon.wait_for_log, "device is up")
            monitor = Follower(client.subscribe("counter/#"))
            await monitor.live()
            await plant.send(monitor)
            await in_thread(space.shut_down, daemon.pid, place)
            await plant.send(monitor)
            await until_state(status, "failed", "Input/output error")
            space.run(daemon.pid, "umount", "-l", str(place))
            await plant.send(monitor)
            await until_state(status, "failed", f"nothing is mounted at {place}")
            # As a real one does, it comes back under another device's number.
            again = await in_thread(image.replace, tmp_path / "again")
            await in_thread(shutil.copy, again, image)
            await in_thread(space.run, daemon.pid, *mount)
            await until_state(status, "ok")
            await plant.send(monitor)
            await in_thread(daemon.stop)
    assert monitor.values == list(range(1, plant.sent + 1))
    assert monitor.gaps == []
    assert list(place.iterdir()) == []
    run_mounted(mount, place, "cp", "-r", str(folder), str(tmp_path / "copy"))
    assert recorded(tmp_path / "copy") == list(range(1, plant.sent + 1))
