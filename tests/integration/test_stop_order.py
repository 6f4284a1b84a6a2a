"""The daemon's stop commits what was read, whatever else fails on the way."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from sensord.log.journal import Batch, Reader
from tests.kit.daemon import Daemon, in_thread, on_uvloop, sensord
from tests.kit.monitor import monitor

CONFIG = """
journal.folder = "{folder}"
journal.commit_interval = "60s"

[devices.boiler]
reader = "simulated"
interval = "10ms"
signals.temperature = {{ low = 18, high = 24, period = "1s" }}
"""
"""So seldom are readings committed that without the stop's there are none."""

ENOUGH = 10

STEPS = [
    "sensord.host.systemd:Notifier.stopping raises",
    "sensord.server.listener:Server.refuse raises",
    "sensord.device.device:Device.close raises",
    "sensord.control.dispatch:Dispatch.close raises",
    "sensord.server.live.group:Group.flush raises",
    "sensord.server.connection:Connection.close raises",
    "sensord.sharing.post:Post.close raises",
    "sensord.server.listener:Server.close hangs",
    "sensord.log.archive:JournalArchive.close raises",
    "sensord.log.archive:JournalArchive.close hangs",
]


class Victim(Daemon):
    """A daemon in which something fails from the moment on in which it is to stop."""

    def __init__(self, folder: Path, fault: str) -> None:
        command = [sys.executable, "-m", "tests.kit.stop_victim", *fault.split()]
        super().__init__(folder, CONFIG.format(folder=folder / "journal"), command=command)


def journalled(folder: Path, topics: str = "boiler/#") -> int:
    steps = Reader(folder / "journal").scan(topics=[topics])
    return sum(len(step) for step in steps if isinstance(step, Batch))


@pytest.mark.parametrize("fault", STEPS)
@on_uvloop()
async def test_a_step_that_fails_skips_no_other(tmp_path: Path, fault: str) -> None:
    """The commit above all; and the daemon ends with an error that names the step."""
    with Victim(tmp_path, fault) as victim:
        async with monitor(victim.url, "json") as looker:
            story = await looker.subscribe("boiler/#", start="now")
            await looker.until(lambda: len(story.readings) >= ENOUGH)
            status, _ = await in_thread(victim.stop)
        assert status == 1
        assert any("a step of the stop failed" in line for line in victim.log)
    assert journalled(tmp_path) >= ENOUGH


def test_a_task_that_fails_stops_the_daemon_in_order(tmp_path: Path) -> None:
    """The task group would end everything else at once."""
    with Victim(tmp_path, "sensord.log.recorder:Recorder.run raises at-once") as victim:
        status, _ = victim.wait()
        assert status == 1
        assert any("the task recorder failed" in line for line in victim.log)
        assert any("stopped" in line for line in victim.log)
    assert journalled(tmp_path, "#")


@pytest.mark.parametrize(
    "fault",
    [
        "sensord.mcap.disk:Disk.write blocks",
        "sensord.mcap.disk:Disk.sync blocks",
        "sensord.log.journal.writer:Writer.close blocks",
    ],
)
def test_a_disk_that_hangs_at_the_stop_does_not_hold_up_the_end(tmp_path: Path, fault: str) -> None:
    """The disk has 5 s, so the test takes as long; then the daemon ends with an error."""
    with Victim(tmp_path, fault) as victim:
        status, took_s = victim.stop()
        assert status == 1
        assert took_s < 25
        assert any("the disk hangs" in line for line in victim.log)


def test_a_disk_that_hangs_at_the_start_holds_up_neither_start_nor_stop(tmp_path: Path) -> None:
    """The start gives it 10 s, so the test takes as long; then it streams without a journal."""
    with Victim(tmp_path, "sensord.log.journal.writer:Writer.open blocks at-once") as victim:
        assert any("the disk does not answer" in line for line in victim.log)
        status, took_s = victim.stop()
        assert status == 1
        assert took_s < 15


@on_uvloop()
async def test_a_store_that_hangs_at_the_stop_ends_it_with_an_error(tmp_path: Path) -> None:
    """The status was 0, although what clients share was not kept."""
    with Victim(tmp_path, "sensord.sharing.store_file:StoreFile.write blocks") as victim:
        async with monitor(victim.url, "json") as looker:
            await looker.subscribe("boiler/#", start="now")  # it is away now, which is kept
            status, took_s = await in_thread(victim.stop)
        assert status == 1
        assert took_s < 15
        assert "clients' state are not kept" in victim.wait_for_log("a step of the stop failed")
    assert journalled(tmp_path)


def test_a_store_that_hangs_at_the_start_holds_up_neither_start_nor_stop(tmp_path: Path) -> None:
    """The start gives it 10 s, so the test takes as long; then it records and streams."""
    with Victim(tmp_path, "sensord.sharing.store_file:StoreFile.open blocks at-once") as victim:
        assert 'reason="the disk does not answer"' in victim.wait_for_log("is not kept")
        status, took_s = victim.stop()
        assert status == 1
        assert took_s < 15
        assert "clients' state are not kept" in victim.wait_for_log("a step of the stop failed")
    assert journalled(tmp_path)


def test_a_disk_that_hangs_in_a_reload_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """The process did not end, and nothing was reloaded any more."""
    with Victim(tmp_path, "sensord.cli.check:read blocks-again") as victim:
        os.kill(victim.pid, signal.SIGHUP)
        victim.wait_for_log("did not answer within 10 s")  # so the test takes as long
        os.kill(victim.pid, signal.SIGHUP)
        status, took_s = victim.stop()
        assert status == 0
        assert took_s < 8
    assert journalled(tmp_path)


def test_a_fifo_in_the_journal_holds_up_neither_start_nor_stop(tmp_path: Path) -> None:
    """It is named, and everything else is recorded."""
    folder = tmp_path / "journal"
    folder.mkdir()
    os.mkfifo(folder / "x.mcap")
    os.mkfifo(folder / "00000000000000000000.mcap")
    with Daemon(tmp_path, CONFIG.format(folder=folder)) as daemon:
        assert 'reason="is not a regular file"' in daemon.wait_for_log("x.mcap")
        status, took_s = daemon.stop()
        assert status == 0
        assert took_s < 10
    assert sensord("info", str(folder)).returncode == 0
    assert sensord("export", str(folder), "-o", str(tmp_path / "out.csv")).returncode == 0
