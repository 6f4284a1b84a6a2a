"""ReplayApp through the real wire: the client, the server, and the daemon with its journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensord.client import Client, Update
from sensord.errors import ProtocolError
from sensord.model.readings import Position
from tests.kit.daemon import Daemon, in_thread, on_uvloop, sensord
from tests.kit.fakeport import FakePort
from tests.kit.follower import Follower
from tests.kit.loops import on_each_loop
from tests.kit.station import EPOCH, Station

FAST = 1e9


@pytest.mark.parametrize("encoding", ["msgpack", "json"])
@on_each_loop
async def test_a_program_replays_pauses_steps_and_seeks(encoding: str) -> None:
    """All that can be done with a replay, by way of the client."""
    async with Station() as station, Client(station.url, encoding=encoding) as client:
        station.publish("plant/a", *(n + 0.5 for n in range(10)))
        replay = client.replay("plant/#", start=Position(EPOCH, 0), paused=True)
        seen = Follower(replay)
        await replay.step(3)
        await seen.value(2.5)
        await replay.seek(Position(EPOCH, 8))
        await replay.step()
        await seen.value(8.5)
        assert replay.position == Position(EPOCH, 9)
        await replay.pause()
        await replay.go(FAST)
        values = [i.reading.value async for i in replay if isinstance(i, Update)]
        assert seen.values + values == [0.5, 1.5, 2.5, 8.5, 9.5]
        with pytest.raises(ProtocolError, match="not_found"):
            await replay.pause()


@on_each_loop
async def test_a_replay_goes_on_after_the_connection_was_lost() -> None:
    """Where it was, without a hole and without a double."""
    async with Station() as station, Client(station.url) as client:
        station.publish("plant/a", *(float(n) for n in range(6)))
        replay = client.replay("plant/#", start=Position(EPOCH, 0), paused=True)
        seen = Follower(replay)
        await replay.step(3)
        await seen.value(2.0)
        await station.restart()
        await seen.until(lambda item: not isinstance(item, Update))  # opened again
        await replay.go(FAST)
        values = [i.reading.value async for i in replay if isinstance(i, Update)]
    assert seen.values + values == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


@on_each_loop
async def test_a_replay_from_another_log_ends_with_the_reason() -> None:
    """There is nothing to come back to."""
    async with Station() as station, Client(station.url) as client:
        with pytest.raises(ProtocolError, match="epoch"):
            async for _ in client.replay("#", start=Position("another", 0)):
                pass


@on_uvloop()
async def test_what_was_recorded_before_a_restart_is_replayed(tmp_path: Path) -> None:
    """By the daemon from its journal, to `sensord tail`."""
    config = f"""
[journal]
folder = "{tmp_path / "journal"}"

[devices.boiler]
reader = "serial"
port = "{tmp_path / "ttyUSB0"}"
decoder = "json"
topic = "plant/{{field}}"
publish = {{ policy = "every" }}
"""
    with FakePort(tmp_path / "ttyUSB0") as port, Daemon(tmp_path, config) as daemon:
        async with Client(daemon.url) as client:
            seen = Follower(client.subscribe("plant/#"))
            await in_thread(daemon.wait_for_log, "device is up")
            for value in range(20):
                port.feed(b'{"temperature": %d.5}\n' % value)
                await seen.value(value + 0.5)
        await in_thread(daemon.stop)
        await in_thread(daemon.start)
        options = ("--url", daemon.url, "--from", "-1h", "--speed", "100000", "--json")
        shown = await in_thread(lambda: sensord("tail", "plant/temperature", *options))
    assert shown.stderr == ""
    assert [f'"value": {n}.5' in line for n, line in enumerate(shown.stdout.splitlines())] == (
        [True] * 20
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "give a start"),
        (("--from", "now"), "give a start"),
        (("--from", "-1m", "--latest"), "leave out --latest and --period"),
        (("--from", "-1m", "--period", "2s"), "leave out --latest and --period"),
    ],
)
def test_tail_says_what_does_not_go_with_speed(options: tuple[str, ...], text: str) -> None:
    """Before it asks the daemon."""
    done = sensord("tail", "--speed", "2", *options)
    assert done.returncode == 2
    assert text in done.stderr
