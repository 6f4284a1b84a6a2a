"""The real daemon on a clock that is set while it runs, or that was never set."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sensord.client import Client, Summary, Update
from sensord.log.journal import Reader
from sensord.model.readings import GOOD, Level, Quality
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.fakeport import FakePort
from tests.kit.follower import Follower
from tests.kit.journal import found_in, oracle_rows
from tests.kit.shiftedclock import ShiftedClock, needs_compiler

HOUR_S = 3600.0
PERIOD_S = 0.02
DAY_S = 24 * HOUR_S

UNCERTAIN_CLOCK = Quality(Level.UNCERTAIN, "clock")
CORRECTED = Quality(Level.UNCERTAIN, "clock_corrected")

pytestmark = needs_compiler


def config(port: Path, folder: Path) -> str:
    """Configure a device that counts when it is told to, and one that speaks all the time."""
    return f"""
journal = {{ folder = "{folder}", commit_interval = "50ms", max_age = "30d" }}
[devices.counter]
reader = "serial"
port = "{port}"
decoder = "number"
publish = {{ policy = "every" }}
[devices.steady]
reader = "simulated"
interval = "{PERIOD_S}s"
signals.x = {{ high = 10 }}
publish = {{ policy = "on_change", deadband = 100, max_period = "{PERIOD_S}s" }}
"""


class Plant:
    """A daemon that is watched while its clock is set."""

    def __init__(self, port: FakePort, client: Client) -> None:
        self.port = port
        self.client = client
        self.sent = 0
        self.began = time.monotonic()
        self.numbers = Follower(client.subscribe("counter/#"))
        self.steady = Follower(client.subscribe("steady/#"))
        self.clock = Follower(client.subscribe("$sys/clock"))

    async def count(self, up_to: int = 10) -> None:
        for _ in range(up_to):
            self.sent += 1
            self.port.feed(b"%d\n" % self.sent)
        await self.numbers.value(float(self.sent))

    async def is_steady(self) -> None:
        """See that the steady device goes on, and has not sent more than it should by now."""
        now = Follower(self.client.subscribe("steady/#", start="now"))
        async with asyncio.timeout(60.0):
            await now.count(25)
        # All that was sent before these has arrived by now, in the other subscription.
        await self.steady.until(lambda item: item == now.items[-1])
        elapsed_s = time.monotonic() - self.began
        assert len(self.steady.updates) <= elapsed_s / PERIOD_S + 10

    async def step_told(self) -> float:
        told: Any = (await self.clock.update(lambda update: "step_s" in told_of(update))).reading
        return float(told.value["step_s"])


async def past(client: Client, start: str) -> list[float]:
    """Return what a history from some place on gives."""
    items = await items_of(client, start)
    return [number_of(item.reading.value) for item in items if isinstance(item, Update)]


async def items_of(client: Client, start: str) -> list[Any]:
    return [item async for item in client.history("counter/#", start=start)]


def number_of(value: object) -> float:
    assert isinstance(value, float)
    return value


def check_corrected(items: list[Any], set_s: float) -> None:
    """See that what was taken before the clock was set has the right times, and says so."""
    updates = [item for item in items if isinstance(item, Update)]
    assert [number_of(item.reading.value) for item in updates] == list(range(1, 31))
    assert [item.reading.quality for item in updates[:10] + updates[20:]] == [GOOD] * 20
    assert [item.reading.quality for item in updates[10:20]] == [CORRECTED] * 10
    times = [item.reading.time_us for item in updates]
    assert times == sorted(times)
    assert set_s - 120 < times[10] / 1e6 <= times[19] / 1e6 < set_s


def exported(folder: Path, start: str) -> list[float]:
    """Return what an export from some place on gives."""
    return [float(row.split(",")[4]) for row in exported_rows(folder, start)]


def exported_rows(folder: Path, start: str) -> list[str]:
    options = ["export", str(folder), "--topic", "counter/#", f"--from={start}"]
    command = [sys.executable, "-m", "sensord", *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[1:]


def told_of(update: Update) -> dict[str, Any]:
    assert isinstance(update.reading.value, dict)
    return update.reading.value


def check_files(folder: Path) -> None:
    """See that offsets rise over all, and log times within each file."""
    for path in folder.glob("*.mcap"):
        times = [row[1] for row in oracle_rows(path)]
        assert times == sorted(times)
    rows, holes = found_in(Reader(folder).scan())
    assert all(one.offset < two.offset for one, two in pairwise(rows))
    assert holes == []


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
@on_uvloop()
async def test_a_step_of_an_hour_disturbs_nobody(tmp_path: Path, step_s: float) -> None:
    """No stall, no flood, order kept; what follows has the new time, and is found by it."""
    clock, port = ShiftedClock(tmp_path), FakePort(tmp_path / "ttyUSB0")
    folder = tmp_path / "journal"
    with port, Daemon(tmp_path, config(port.path, folder), under=clock.under) as daemon:
        async with Client(daemon.url) as client:
            await in_thread(daemon.wait_for_log, "device is up device=counter")
            plant = Plant(port, client)
            await plant.numbers.live()
            await plant.count()
            await plant.is_steady()
            clock.set(step_s)
            await plant.is_steady()
            await plant.count()
            assert await plant.step_told() == pytest.approx(step_s, abs=1.0)
            since = Follower(client.subscribe("counter/#", start="-1m"))
            await since.value(20.0)
            assert await past(client, "-1m") == list(range(1, 21))
            await in_thread(daemon.stop)
            logged = list(daemon.log)
            await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            assert await past(client, "-1m") == list(range(1, 21))
            after = Follower(client.subscribe("counter/#", start="-1m"))
            await after.value(20.0)
            status, _ = await in_thread(daemon.stop)
            assert status == 0
    assert exported(folder, "-1m") == list(range(1, 21))
    assert plant.numbers.values == list(range(1, 21))
    assert plant.numbers.gaps == []
    last_us = plant.numbers.updates[-1].reading.time_us
    assert last_us / 1e6 == pytest.approx(time.time() + step_s, abs=20)
    # What came before the step is an hour old by the new clock, or an hour ahead of it.
    assert since.values == list(range(1, 21))
    assert after.values == list(range(1, 21))
    assert len(list(folder.glob("*.mcap"))) >= 2
    check_files(folder)
    assert sum("the clock was set" in line for line in logged) == 1


@on_uvloop()
async def test_a_boot_in_1970_loses_nothing(tmp_path: Path) -> None:
    """What stands there from before stays; when the clock is set, all goes on."""
    clock, port = ShiftedClock(tmp_path), FakePort(tmp_path / "ttyUSB0")
    folder = tmp_path / "journal"
    with port, Daemon(tmp_path, config(port.path, folder), under=clock.under) as daemon:
        async with Client(daemon.url) as client:
            await in_thread(daemon.wait_for_log, "device is up device=counter")
            plant = Plant(port, client)
            await plant.numbers.live()
            await plant.count()
            await in_thread(daemon.stop)
            clock.set(5.0 - time.time())
            await in_thread(daemon.start)
            await in_thread(daemon.wait_for_log, "device is up device=counter")
            await plant.count()
            assert plant.numbers.updates[-1].reading.time_us < 60 * 10**6
            assert plant.numbers.updates[-1].reading.quality == UNCERTAIN_CLOCK
            set_s = time.time()
            await plant.is_steady()
            clock.set(0.0)
            await plant.is_steady()
            await plant.count()
            assert await plant.step_told() > 50 * 365 * 24 * HOUR_S
            assert plant.numbers.updates[-1].reading.time_us / 1e6 > time.time() - 60
            assert plant.numbers.updates[-1].reading.quality == GOOD
            since = Follower(client.subscribe("counter/#", start="-1m"))
            await since.value(30.0)
            check_corrected(
                [item async for item in client.history("counter/#", start="-1h")], set_s
            )
            hour = client.summaries(
                "counter/#", start=int((set_s - HOUR_S) * 1e6), interval_s=DAY_S
            )
            assert sum([item.count async for item in hour if isinstance(item, Summary)]) == 30
            await in_thread(daemon.stop)
            await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            check_corrected(
                [item async for item in client.history("counter/#", start="-1h")], set_s
            )
            await in_thread(daemon.stop)
    reasons = [row.split(",")[7] for row in exported_rows(folder, "-1h")]
    assert reasons == [""] * 10 + ["clock_corrected"] * 10 + [""] * 10
    assert plant.numbers.values == list(range(1, 31))
    assert plant.numbers.gaps == []
    assert since.values[-10:] == list(range(21, 31))
    check_files(folder)
    rows, _ = found_in(Reader(folder).scan(topics=["counter/#"]))
    assert [float(row.value) for row in rows] == list(range(1, 31))
