"""A daemon that is killed loses no message of QoS 1: the broker has it until it is recorded."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from pathlib import Path

import pytest

from sensord.log.journal import Reader
from tests.kit.broker import Broker, Publisher
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.journal import found_in


def config(broker: Broker, folder: Path) -> str:
    return f"""
journal = {{ folder = "{folder}", commit_interval = "1s", min_free = 0 }}
[devices.plant]
reader = "mqtt"
host = "{broker.host}"
port = {broker.port}
client_id = "gateway"
session_expiry = "1h"
decoder = "number"
topic = "plant/{{1}}"
topics = [{{ filter = "in/+", qos = 1 }}]
publish = {{ policy = "every" }}
"""


async def run(tmp_path: Path, kills: int, seed: int) -> None:
    rng, folder, ending = random.Random(seed), tmp_path / "journal", threading.Event()
    sent = 0

    def publish(broker: Broker) -> int:
        count = 0
        with Publisher(broker) as publisher:
            while not ending.is_set() and count < 500_000:
                publisher.publish("in/a", *(b"%d" % i for i in range(count, count + 5)), qos=1)
                count += 5
                ending.wait(0.005)
        return count

    # As brokers are by default: 20 unacknowledged, and all that waits is kept.
    with (
        Broker(tmp_path, "max_inflight_messages 20") as broker,
        Daemon(tmp_path, config(broker, folder)) as daemon,
    ):
        await in_thread(daemon.wait_for_log, "device is up")
        publishing = asyncio.ensure_future(asyncio.to_thread(publish, broker))
        for _ in range(kills):
            # Not for something to happen: the moment is what is tried.
            await asyncio.sleep(rng.uniform(0.2, 1.2))
            await in_thread(daemon.kill)
            await in_thread(daemon.start)
        ending.set()
        sent = await publishing
        with Publisher(broker) as publisher:
            await in_thread(publisher.publish, "in/end", b"-1")
        await in_thread(lambda: daemon.wait_for_log("device is up"))
        while not _has_all(folder, sent):  # noqa: ASYNC110  # a file tells nobody
            await asyncio.sleep(0.1)
    sys.stderr.write(f"{kills} kills, {sent} messages sent, none lost\n")


def _has_all(folder: Path, sent: int) -> bool:
    rows, _ = found_in(Reader(folder).scan(0, 2**62))
    found = {row.value for row in rows if row.topic == "plant/a"}
    return found >= {repr(float(i)) for i in range(sent)}


@on_uvloop(100.0)
async def test_a_few_kills_lose_no_message(tmp_path: Path) -> None:
    """Those that were under way come again."""
    await run(tmp_path, 3, seed=1)


@pytest.mark.trial
@pytest.mark.timeout(900)
@on_uvloop(800.0)
async def test_fifty_kills_lose_no_message(tmp_path: Path) -> None:
    """At random moments, with some hundreds of messages a second."""
    await run(tmp_path, 50, seed=2)
