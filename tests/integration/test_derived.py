"""Derived channels in the real daemon."""

from __future__ import annotations

from pathlib import Path

from sensord.client import Client
from sensord.model.readings import Level, Value
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.follower import Follower


def _ends(value: Value) -> tuple[Value, Value]:
    assert isinstance(value, dict)
    return value["from"], value["to"]


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


@on_uvloop()
async def test_a_silent_source_is_replaced_and_comes_back(tmp_path: Path) -> None:
    """A silent source is bad, the next one takes over, and each switch is an event."""
    config = """
[clients.topics."lab/+"]
retain = true

[derived."best/level"]
from = "lab/first"
fallback = ["lab/second"]
timeout = "1s"
"""
    with Daemon(tmp_path, config) as daemon:
        async with Client(daemon.url) as client:
            best = Follower(client.subscribe("best/level"))
            switches = Follower(client.subscribe("$sys/sources/best/level"))
            await client.publish("lab/first", 1.0)
            await best.update(lambda u: u.reading.value == 1.0)
            gone = await best.update(lambda u: u.reading.quality.level is Level.BAD)
            assert gone.reading.quality.reason == "no_source"
            await client.publish("lab/second", 2.0)
            await best.update(lambda u: u.reading.value == 2.0)
            await client.publish("lab/first", 3.0)
            back = await best.update(lambda u: u.reading.value == 3.0)
            assert back.reading.quality.level is Level.GOOD
            await switches.update(lambda u: _ends(u.reading.value) == (None, "lab/second"))
            await switches.update(lambda u: _ends(u.reading.value)[1] == "lab/first")
