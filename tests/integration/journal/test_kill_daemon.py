"""A monitor that resumes across kills of the real daemon has every reading, or a gap names it."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from sensord.log.journal import Batch, Hole, Reader
from sensord.model.readings import Record
from tests.kit.account import Account
from tests.kit.daemon import Daemon, in_thread, on_uvloop

RATE = 5000
INTERVAL_S = 0.05


def config(folder: Path) -> str:
    return f"""
journal = {{ folder = "{folder}", commit_interval = "{INTERVAL_S}s", min_free = 0 }}
[devices.plant]
reader = "simulated"
interval = "20ms"
copies = {RATE // 50}
signals.x = {{ high = 100, noise = 0.5, decimals = 2 }}
publish = {{ policy = "every" }}
channels."x*" = {{ decimals = 2 }}
"""


def told(record: Record) -> tuple[str, int, Any]:
    """Say of a record what a monitor sees of it."""
    reading = record.reading
    at_us = record.log_us if reading.restates else reading.time_us
    return record.channel.topic, at_us, repr(reading.value)


async def run(tmp_path: Path, kills: int, seed: int) -> None:
    rng, monitor, folder = random.Random(seed), Account(), tmp_path / "journal"
    with Daemon(tmp_path, config(folder)) as daemon:
        for kill in range(kills):
            if kill:
                await in_thread(daemon.start)
            following = asyncio.ensure_future(monitor.follow(daemon.url))
            # Not for something to happen: the moment is what is tried.
            await asyncio.wait({following}, timeout=rng.uniform(0.0, 1.0))
            await in_thread(daemon.kill)
            await following
        # Once more, to be told what the last kill took, and to end in order.
        await in_thread(daemon.start)
        following = asyncio.ensure_future(monitor.follow(daemon.url))
        await asyncio.wait({following}, timeout=1.0)
        await in_thread(daemon.stop)
        await following
    compare(monitor, folder, kills)


def compare(monitor: Account, folder: Path, kills: int) -> None:
    """Compare what the monitor saw with what the journal has: by offset, to the bit."""
    lost = sum(stop - start for start, stop in monitor.gaps)
    taken = recorded = 0
    for item in Reader(folder).scan(0, monitor.offset):
        if isinstance(item, Hole):
            taken += sum(item.first <= offset < item.end for offset in monitor.seen)
            continue
        assert isinstance(item, Batch)
        for record in item.records():
            recorded += 1
            assert monitor.seen[record.offset] == told(record)
    assert len(monitor.seen) + lost == monitor.offset
    # What the journal has not was seen live, and a kill took it within its interval; twice that,
    # and more, as a machine that is busy commits late.
    assert taken == len(monitor.seen) - recorded
    assert taken <= kills * RATE * INTERVAL_S * 10
    text = f"{kills} kills, {len(monitor.seen)} readings seen, {recorded} recorded, "
    sys.stderr.write(f"{text}{taken} taken before they were committed, {len(monitor.gaps)} gaps\n")


@on_uvloop(60.0)
async def test_a_monitor_survives_a_few_kills(tmp_path: Path) -> None:
    """Its books are complete."""
    await run(tmp_path, 3, seed=1)


@pytest.mark.trial
@pytest.mark.timeout(1800)
@on_uvloop(1700.0)
async def test_a_monitor_survives_two_hundred_kills(tmp_path: Path) -> None:
    """At 5,000 readings a second, at random moments."""
    await run(tmp_path, 200, seed=2)
