"""Commands through a real daemon, killed in the middle of them; and from the command line."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sensord.cli import main
from sensord.client import Client, CommandError, Control, Update
from sensord.errors import ProtocolError
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.follower import Follower
from tests.kit.instrument import Instrument

KILLS = 3


def valve(port: Path, folder: Path | None) -> str:
    journal = "" if folder is None else f'journal.folder = "{folder}"\n'
    return f"""{journal}
        [devices.valve]
        reader = "serial"
        port = "{port}"
        decoder = "key_value"
        stall = 0
        [devices.valve.writable.position]
        send = "POS {{value:d}}\\n"
        type = "int"
        answer = "^OK"
        timeout = "30s"
    """


@asynccontextmanager
async def started(daemon: Daemon) -> AsyncIterator[None]:
    """Run a daemon without stopping the loop, in which its instrument lives."""
    await in_thread(daemon.start)
    try:
        yield
    finally:
        await in_thread(daemon.kill)


async def up(client: Client, device: str) -> None:
    """Wait until a device is there."""
    following = Follower(client.subscribe("$sys/devices/+"))
    await following.update(
        lambda update: (
            isinstance(update.reading.value, dict)
            and update.reading.value["state"] == "up"
            and update.topic.endswith(device)
        )
    )


@pytest.mark.parametrize("is_kept", [True, False], ids=["journal", "no journal"])
@on_uvloop()
async def test_a_command_in_which_the_daemon_is_killed_is_unknown_and_not_repeated(
    tmp_path: Path, is_kept: bool
) -> None:
    """The client asks again by itself, and is told; without a journal it finds out by its id."""
    folder = tmp_path / "journal" if is_kept else None
    with Instrument(tmp_path / "tty", lambda _: None) as instrument:
        daemon = Daemon(tmp_path, valve(instrument.path, folder))
        async with started(daemon), Client(daemon.url, name="panel") as client:
            await up(client, "valve")
            control, me = Control(client), client.id
            moving = asyncio.ensure_future(control.set("valve/position", 7, key="k1"))
            await instrument.lines_are(1)
            await in_thread(daemon.kill)
            await in_thread(daemon.start)
            with pytest.raises(CommandError) as caught:
                await moving
            assert (caught.value.reason, caught.value.may_have_acted) == ("unknown", True)
            assert (client.id == me) is is_kept
            await up(client, "valve")
            again = asyncio.ensure_future(control.set("valve/position", 8))
            await instrument.lines_are(2)
            instrument.feed(b"OK\n")
            assert await again == 8
            if is_kept:
                history = Follower(client.subscribe("$audit/set", start="-1h"))
                await history.update(lambda update: result_of(update) == ("k1", "unknown"))
    assert instrument.lines == ["POS 7", "POS 8"]


def result_of(update: Update) -> tuple[object, object]:
    value = update.reading.value
    assert isinstance(value, dict)
    return value.get("key"), value.get("detail")


@on_uvloop()
async def test_an_outcome_that_was_told_is_in_the_audit_after_a_kill(tmp_path: Path) -> None:
    """The daemon says it again, for the log had not been committed; the retry gets the same."""
    folder = tmp_path / "journal"
    with Instrument(tmp_path / "tty", lambda _: "OK\n") as instrument:
        daemon = Daemon(
            tmp_path, f'journal.commit_interval = "60s"\n{valve(instrument.path, folder)}'
        )
        async with started(daemon), Client(daemon.url, name="panel") as client:
            await up(client, "valve")
            assert await Control(client).set("valve/position", 7, key="k1") == 7
            await in_thread(daemon.kill)
            await in_thread(daemon.start)
            history = Follower(client.subscribe("$audit/set", start="-1h"))
            event = await history.update(lambda update: result_of(update)[0] == "k1")
            assert isinstance(event.reading.value, dict)
            assert (event.reading.value["result"], event.reading.value["after"]) == ("done", 7)
            assert await Control(client).set("valve/position", 7, key="k1") == 7
    assert instrument.lines == ["POS 7"]


@pytest.mark.slow  # starts four processes
@on_uvloop(deadline_s=90.0)
async def test_no_key_acts_twice_however_often_the_daemon_is_killed(tmp_path: Path) -> None:
    """And what is told is what the device saw: each command has a value of its own."""
    chance = random.Random(7)
    with Instrument(tmp_path / "tty", lambda _: "OK\n", after_s=0.01) as instrument:
        daemon = Daemon(tmp_path, valve(instrument.path, tmp_path / "journal"))
        async with started(daemon):
            ended: dict[int, str] = {}
            is_over = asyncio.Event()

            async def act(first: int) -> None:
                async with Client(daemon.url, name=f"panel {first}") as client:
                    await up(client, "valve")
                    number = first
                    while not is_over.is_set():
                        ended[number] = await outcome(Control(client), number)
                        number += 1

            acting = [asyncio.ensure_future(act(first)) for first in (1000, 5000)]
            for _ in range(KILLS):
                await instrument.more(10)
                await asyncio.sleep(chance.random() * 0.02)  # anywhere between two lines
                await in_thread(daemon.kill)
                await in_thread(daemon.start)
            await instrument.more(10)
            is_over.set()
            await asyncio.gather(*acting)
    seen = Counter(int(line.split()[1]) for line in instrument.lines)
    assert set(seen.values()) == {1}
    assert set(seen) <= set(ended)
    for number, told in ended.items():
        assert told in {"done", "unavailable", "unknown"}
        if told == "done":
            assert seen[number] == 1
        if told == "unavailable":
            assert seen[number] == 0
    assert Counter(ended.values())["done"] > 10 * KILLS


async def outcome(control: Control, number: int) -> str:
    """Ask until it is accepted; return how it ended."""
    while True:
        try:
            await control.set("valve/position", number, key=str(number))
        except CommandError as exc:
            return exc.reason if exc.may_have_acted is (exc.reason == "unknown") else f"{exc!r}"
        except ProtocolError as exc:
            if exc.code != "unavailable":
                raise
            await asyncio.sleep(0.05)  # the daemon has just begun to look for the device
        else:
            return "done"


TANK = """
    [devices.tank]
    reader = "simulated"
    interval = "50ms"
    signals = { setpoint = { shape = "constant", low = 20 } }
    channels.setpoint = { unit = "Cel", decimals = 1, range = [5, 80] }
    [devices.tank.writable.setpoint]
    [devices.tank.actions.off]
    arguments.minutes = { type = "int", default = 5 }
"""


def test_the_command_line_sets_calls_and_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit statuses and words, as an operator meets them."""
    with Daemon(tmp_path, TANK) as daemon:
        daemon.wait_for_log("device is up")
        there = ("--url", daemon.url)
        me = ("--identity", str(tmp_path / "me"), *there)

        def said(*arguments: str) -> tuple[int, str, str]:
            status = main(arguments)
            done = capsys.readouterr()
            return status, done.out.strip(), done.err.strip()

        assert said("set", "tank/setpoint", "21.55", *there) == (0, "21.6", "")
        assert said("set", "tank/setpoint", "99", *there) == (
            4,
            "",
            "bad_request: value: send a number from 5 to 80",
        )
        assert said("call", "tank/off", "minutes=3", *there) == (0, "", "")
        with pytest.raises(SystemExit):
            main(["call", "tank/off", "minutes", *there])
        assert "expected a name and a value" in capsys.readouterr().err
        assert said("lease", "take", "tank", *there)[0] == 2
        status, text, _ = said("lease", "take", "tank", "--for", "10m", *me)
        assert (status, text[:18]) == (0, "tank is held until")
        assert "sensord lease" in said("lease", "list", *there)[1]
        status, _, error = said("set", "tank/setpoint", "22", *there)
        assert (status, error[:33]) == (4, "held: tank is held by sensord lea")
        assert said("set", "tank/setpoint", "22", "--key", "k", *me) == (0, "22.0", "")
        assert said("lease", "give-back", "tank", *me) == (0, "", "")
        assert said("lease", "list", *there) == (0, "", "-- no leases")
        assert (tmp_path / "me").stat().st_mode & 0o777 == 0o600
