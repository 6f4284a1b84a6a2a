"""A serial adapter that is pulled out and put in again, as the running daemon sees it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sensord.client import Client, Update
from sensord.model.readings import Level, Quality
from tests.kit.daemon import Daemon, on_uvloop
from tests.kit.fakeport import FakePort
from tests.kit.follower import Follower

TIMES = 5

IDLE_CPU = 0.05
"""Of one processor, while the device is away; what spins takes all of it."""


def state(update: Update) -> object:
    value = update.reading.value
    assert isinstance(value, dict)
    return value["state"]


@pytest.mark.slow  # the wait before each attempt grows to five seconds
@on_uvloop()
async def test_a_port_that_comes_back_under_another_number_is_read_again(tmp_path: Path) -> None:
    """Five times, without a descriptor left behind or a busy wait; monitors are told of each."""
    config = f"""
[devices.boiler]
reader = "serial"
port = "{tmp_path / "ttyUSB0"}"
decoder = "json"
publish = {{ policy = "every" }}
"""
    with FakePort(tmp_path / "ttyUSB0") as port, Daemon(tmp_path, config) as daemon:
        async with Client(daemon.url) as client:
            status = Follower(client.subscribe("$sys/devices/boiler"))
            readings = Follower(client.subscribe("boiler/#"))
            await status.update(lambda update: state(update) == "up")
            port.feed(b'{"temperature": 0.5}\n')
            await readings.value(0.5)
            descriptors = daemon.descriptors()
            for i in range(1, TIMES + 1):
                before = port.device
                port.unplug()
                gone = await readings.update(lambda update: update.reading.quality.level)
                assert gone.reading.quality == Quality(Level.BAD, "disconnected")
                assert gone.reading.value == i - 0.5
                assert gone.reading.restates
                await status.update(lambda update: state(update) == "absent")
                began_s, cpu_s = time.monotonic(), daemon.cpu_s()
                port.plug()
                assert port.device != before
                await status.update(lambda update: state(update) == "up")
                away_s = time.monotonic() - began_s
                assert daemon.cpu_s() - cpu_s < 0.05 + IDLE_CPU * away_s
                port.feed(b'{"temperature": %.1f}\n' % (i + 0.5))
                back = await readings.value(i + 0.5)
                assert back.reading.quality == Quality(Level.GOOD)
                assert daemon.descriptors() == descriptors
    good = [update.reading.value for update in readings.updates if not update.reading.restates]
    assert good == [i + 0.5 for i in range(TIMES + 1)]
    assert readings.gaps == []


@pytest.mark.slow  # it must be away for a while
@on_uvloop()
async def test_a_port_that_is_away_costs_nothing(tmp_path: Path) -> None:
    """A hang-up that is not noticed makes an event loop spin; four seconds would show it."""
    config = f"""
[devices.boiler]
reader = "serial"
port = "{tmp_path / "ttyUSB0"}"
decoder = "json"

[devices.clock]
reader = "simulated"
interval = "1s"
publish = {{ policy = "every" }}
"""
    with FakePort(tmp_path / "ttyUSB0") as port, Daemon(tmp_path, config) as daemon:
        async with Client(daemon.url) as client:
            status = Follower(client.subscribe("$sys/devices/boiler"))
            await status.update(lambda update: state(update) == "up")
            port.unplug()
            await status.update(lambda update: state(update) == "absent")
            ticks = Follower(client.subscribe("clock/#", start="now"))
            await ticks.count(1)
            cpu_s = daemon.cpu_s()
            await ticks.count(5)
            assert daemon.cpu_s() - cpu_s < 4 * IDLE_CPU
        port.plug()
