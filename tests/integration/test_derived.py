"""Derived channels in the real daemon."""

from __future__ import annotations

from pathlib import Path

from sensord.client import Client
from sensord.model.readings import Level
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.follower import Follower


@on_uvloop()
async def test_totals_survive_a_restart_and_results_have_units(tmp_path: Path) -> None:
    """A counter that was reset is continued after a restart, and its rate follows."""
    config = f"""
[journal]
folder = "{tmp_path / "journal"}"

[clients.topics."lab/+"]
retain = true
unit = "L"

[derived."made/total"]
from = "lab/count"
total = true

[derived."made/rate"]
from = "made/total"
rate = "10s"
"""
    with Daemon(tmp_path, config) as daemon:
        async with Client(daemon.url) as client:
            totals = Follower(client.subscribe("made/total"))
            rates = Follower(client.subscribe("made/rate"))
            key = client.key
            for value in (100.0, 110.0, 5.0):
                await client.publish("lab/count", value)
            reset = await totals.update(lambda u: u.reading.value == 115.0)
            assert reset.reading.quality == (Level.UNCERTAIN, "counter_reset")
            assert reset.channel.metadata.unit == "L"
            rate = await rates.update(lambda u: u.reading.value is not None)
            assert rate.channel.metadata.unit == "L/s"
            assert rate.reading.quality == (Level.UNCERTAIN, "incomplete")
        await in_thread(daemon.stop)
        await in_thread(daemon.start)
        async with Client(daemon.url, key=key) as client:
            totals = Follower(client.subscribe("made/total"))
            await client.publish("lab/count", 7.0)
            await totals.update(
                lambda u: u.reading.value == 117.0 and u.reading.quality.level is Level.GOOD
            )
