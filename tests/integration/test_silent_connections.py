"""Connections that say nothing take no descriptor that the journal needs."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from sensord.log.journal import Batch, Reader
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.monitor import monitor

CONFIG = """
journal.folder = "{folder}"
journal.commit_interval = "50ms"
journal.segment_bytes = "1MiB"

[devices.boiler]
reader = "simulated"
interval = "1ms"
signals.temperature = {{ low = 18, high = 24, period = "1s" }}
signals.pressure = {{ low = 1, high = 3, period = "1s" }}
"""

LIMIT, SILENT = 64, 200


@on_uvloop()
async def test_two_hundred_silent_connections_cost_no_reading(tmp_path: Path) -> None:
    """With 64 descriptors: it records, it serves who says hello, and a stop commits all."""
    under = ("prlimit", f"--nofile={LIMIT}:{LIMIT}")
    with (
        Daemon(tmp_path, CONFIG.format(folder=tmp_path / "journal"), under=under) as daemon,
        contextlib.ExitStack() as silent,
    ):
        host, _, port = daemon.address.rpartition(":")
        for _ in range(SILENT):
            one = silent.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex((host, int(port)))
        daemon.wait_for_log("too many connections")
        async with monitor(daemon.url, "json") as looker:
            # Two seconds: many commits, each of which may have to open a file.
            story = await looker.subscribe("boiler/#", "$sys/journal", "$sys/connections")
            await looker.until(lambda: len(story.readings) >= 4000)
            told = {seen.topic: seen.value for seen in story.readings if seen.topic[0] == "$"}
        assert told["$sys/connections"]["state"] == "full"
        assert told["$sys/journal"]["state"] == "ok"
        status, _ = await in_thread(daemon.stop)
        assert status == 0
        assert not any("not recording" in line for line in daemon.log)
    offsets = [
        record.offset
        for step in Reader(tmp_path / "journal").scan(0)
        if isinstance(step, Batch)
        for record in step.records()
    ]
    assert offsets == list(range(len(offsets)))
    assert len(offsets) >= 4000
