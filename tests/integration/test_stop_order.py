"""The daemon's stop commits what was read, whatever else fails on the way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sensord.log.journal import Batch, Reader
from tests.kit.daemon import Daemon, in_thread, on_uvloop
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
    "sensord.log.archive:Archive.close raises",
    "sensord.log.archive:Archive.close hangs",
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
