"""Readers of other systems lose nothing when either side is killed, and double what they must."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sensord.log.journal import Reader
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.journal import found_in
from tests.kit.sources import NatsSource, NatsWorkSource, Source

SOURCES: dict[str, Callable[[Path], Source]] = {
    "nats": NatsSource,
    "nats workqueue": NatsWorkSource,
}


def config(source: Source, folder: Path) -> str:
    return f"""
journal = {{ folder = "{folder}", commit_interval = "200ms", min_free = 0 }}
[devices.plant]
decoder = "number"
topic = "plant/{{1}}"
publish = {{ policy = "every" }}
{source.device}
"""


async def run(make: Callable[[Path], Source], folder: Path, count: int, kills: int) -> None:
    """Send ``count`` messages while either side or both are killed; compare with the journal."""
    rng, journal = random.Random(kills), folder / "journal"
    source = make(folder)
    await in_thread(source.prepare)
    with closing(source), Daemon(folder, config(source, journal)) as daemon:
        sent = 0
        for number in range(kills):
            await in_thread(daemon.wait_for_log, "device is up")
            part = count // kills
            await in_thread(source.send, sent, sent + part)
            sent += part
            # Not for something to happen: the moment is what is tried.
            await asyncio.sleep(rng.uniform(0.0, 0.4))
            if number % 3 != 1:
                await in_thread(daemon.kill)
            if number % 3 != 0:
                await in_thread(source.kill)
                await asyncio.sleep(rng.uniform(0.0, 0.2))
                await in_thread(source.start)
            if number % 3 != 1:
                await in_thread(daemon.start)
        await in_thread(source.send, sent, count)
        wanted = {float(i) for i in range(count)}
        async with asyncio.timeout(120 + count / 200):
            while wanted - values(journal).keys():  # noqa: ASYNC110  # a file has no event
                await asyncio.sleep(0.2)
        await in_thread(daemon.stop)
    found = values(journal)
    doubled = sum(found.values()) - count
    sys.stderr.write(f"{count} messages, {kills} kills: lost 0, doubled {doubled}\n")
    assert found.keys() == wanted
    if source.numbers:
        assert doubled == 0


def values(journal: Path) -> Counter[float]:
    rows, _ = found_in(Reader(journal).scan(0, 2**62))
    good = [row for row in rows if row.topic == "plant/a" and not row.restates]
    return Counter(float(row.value) for row in good)


@pytest.mark.parametrize("name", SOURCES)
@on_uvloop(180.0)
async def test_a_few_kills_lose_no_message(name: str, tmp_path: Path) -> None:
    """Of the daemon, of the system, and of both."""
    await run(SOURCES[name], tmp_path, 3_000, 3)


@pytest.mark.trial
@pytest.mark.parametrize("name", SOURCES)
@on_uvloop(1200.0)
async def test_many_kills_lose_no_message(name: str, tmp_path: Path) -> None:
    """A hundred thousand messages."""
    await run(SOURCES[name], tmp_path, 100_000, 24)
