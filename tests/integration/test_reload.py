"""Reloading the configuration of a running daemon: by a signal, and by a command."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from sensord.client import Client, Control, Update
from sensord.errors import ProtocolError
from tests.kit.daemon import Daemon, in_thread, on_uvloop, sensord
from tests.kit.follower import Follower
from tests.kit.instrument import Instrument

STEADY = """
[devices.steady]
reader = "simulated"
interval = "20ms"
topic = "steady/{field}"
publish = { policy = "every" }
signals.n = { shape = "ramp", low = 0, high = 1000000, period = "1000000s", decimals = 3 }
"""


def pump(speed: int, name: str = "pump") -> str:
    return f"""
[devices.{name}]
reader = "simulated"
interval = "20ms"
topic = "plant/{name}/{{field}}"
signals.speed = {{ shape = "constant", low = {speed} }}
channels.speed = {{ unit = "/min" }}
writable.speed = {{}}
"""


def reload(daemon: Daemon, *more: str) -> tuple[int, str]:
    """Run the command; return its exit status and what it printed."""
    done = sensord("reload", "--url", daemon.url, *more)
    return done.returncode, done.stdout + done.stderr


@on_uvloop()
async def test_only_what_changed_restarts(tmp_path: Path) -> None:
    """A subscriber stays, and gets every reading of the device that stands as before."""
    with Daemon(tmp_path, STEADY + pump(5) + pump(7, "old")) as daemon:
        async with Client(daemon.url) as client:
            seen = Follower(client.subscribe("#"))
            await seen.value(5.0)
            await seen.value(7.0)
            daemon.rewrite(STEADY + pump(6) + pump(8, "new"))
            status, text = await in_thread(reload, daemon)
            assert (status, text) == (0, "devices: added new; changed pump; removed old\n")
            await seen.value(6.0)
            await seen.value(8.0)
            topics = [one.topic for one in await client.get("plant/#")]
            assert sorted(topics) == ["plant/new/speed", "plant/pump/speed"]
            last = await client.get("$sys/devices/+")
            assert sorted(one.topic.split("/")[2] for one in last) == ["new", "pump", "steady"]
            assert await Control(client).set("plant/new/speed", 9) == 9.0
            steady = [one for one in seen.updates if one.topic == "steady/n"]
            gone = [one for one in seen.updates if one.topic == "plant/old/speed"]
            recorded = client.history("steady/n", start="-1h")
            kept = [one async for one in recorded if isinstance(one, Update)]
    assert seen.gaps == []
    first = [one.reading.time_us for one in kept].index(steady[1].reading.time_us)
    assert [one.reading for one in kept[first : first + len(steady) - 1]] == [
        one.reading for one in steady[1:]
    ]
    assert gone[-1].reading.quality.reason == "disconnected"


def test_a_faulty_file_changes_nothing_and_says_why(tmp_path: Path) -> None:
    """To the command, in the log, and under $sys."""
    with Daemon(tmp_path, STEADY + pump(5)) as daemon:
        daemon.rewrite(STEADY.replace('"20ms"', '"soon"') + pump(6))
        status, text = reload(daemon)
        assert status == 1
        assert "nothing has changed" in text
        assert "devices.steady.interval" in text
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.wait_for_log("not reloaded")
        found = sensord("get", "$sys/configuration", "--json", "--url", daemon.url).stdout
        assert "devices.steady.interval" in json.loads(found)["value"]["error"]
        listed = sensord("get", "plant/pump/speed", "--json", "--url", daemon.url).stdout
        assert json.loads(listed)["value"] == 5.0
        daemon.rewrite(STEADY + pump(6))
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.wait_for_log("reloaded devices=")


def test_what_needs_a_restart_is_named_and_the_rest_is_done(tmp_path: Path) -> None:
    """Each time, until it is restarted."""
    with Daemon(tmp_path, STEADY) as daemon:
        more = 'server.max_sessions = 7\nlogging.level = "debug"\n'
        daemon.rewrite(more + STEADY)
        for level in ("logging.level: debug\n", "nothing has changed\n"):
            status, text = reload(daemon)
            assert (status, text) == (0, f"{level}only a restart changes server.max_sessions\n")
        assert reload(daemon, "--json")[1] == '{"needs_restart": ["server.max_sessions"]}\n'


LINE = """
[devices.oven]
reader = "serial"
port = "{port}"
decoder = "key_value"
stall = 0
topic = "{topic}/{{field}}"
[devices.oven.writable.setpoint]
send = "SET {{value:g}}\\r\\n"
answer = "^OK (?P<value>.*)"
"""


@on_uvloop()
async def test_a_line_is_given_back_and_opened_again(tmp_path: Path) -> None:
    """Under other topics; what it can be set by is there again, and the old topics are free."""
    port = tmp_path / "ttyUSB0"
    with (
        Instrument(port, lambda line: f"OK {line[4:]}\r\n") as instrument,
        Daemon(tmp_path, LINE.format(port=port, topic="oven")) as daemon,
    ):
        async with Client(daemon.url) as client:
            control = Control(client)
            await in_thread(daemon.wait_for_log, "device is up")
            assert await control.set("oven/setpoint", 20) == 20
            daemon.rewrite(LINE.format(port=port, topic="kiln"))
            assert (await in_thread(reload, daemon))[1] == "devices: changed oven\n"
            with pytest.raises(ProtocolError, match="cannot be set"):
                await control.set("oven/setpoint", 21)
            devices = Follower(client.subscribe("$sys/devices/oven"))
            await devices.update(lambda update: state_of(update) == "up")
            assert await control.set("kiln/setpoint", 22) == 22
    assert instrument.lines == ["SET 20", "SET 22"]


RULES = """
[alarms.{alarm}]
topic = "plant/pump/speed"
above = {above}
[derived."plant/pump/{derived}"]
from = "plant/pump/speed"
{kind} = "10s"
"""


@on_uvloop()
async def test_alarms_and_derived_channels_change(tmp_path: Path) -> None:
    """An alarm that stays keeps its state, one that is removed is gone."""
    rules = RULES.format(alarm="fast", above=3, derived="most", kind="max")
    with Daemon(tmp_path, pump(5) + rules) as daemon:
        async with Client(daemon.url) as client:
            alarms = Follower(client.subscribe("$sys/alarms/+"))
            await alarms.update(lambda update: state_of(update) == "raised")
            await Control(client).call("alarms", {"act": "acknowledge", "alarm": "fast"})
            await alarms.update(lambda update: state_of(update) == "acknowledged")
            changed = RULES.format(alarm="fast", above=4, derived="least", kind="min")
            daemon.rewrite(pump(5) + changed)
            status, text = await in_thread(reload, daemon)
            assert (status, text.splitlines()) == (
                0,
                [
                    "alarms: changed fast",
                    "derived: added plant/pump/least; removed plant/pump/most",
                ],
            )
            (alarm,) = await client.get("$sys/alarms/+")
            assert state_of(alarm) == "acknowledged"
            least = Follower(client.subscribe("plant/pump/least"))
            await least.value(5.0)
            assert await client.get("plant/pump/most") == []
            daemon.rewrite(pump(5))
            await in_thread(reload, daemon)
            assert await client.get("$sys/alarms/+") == []


def state_of(update: Update) -> Any:
    value = update.reading.value
    return value["state"] if isinstance(value, dict) else None


def test_many_reloads_leave_nothing_behind(tmp_path: Path) -> None:
    """No descriptor, no device, and the steady one has sent all along."""
    with Daemon(tmp_path, STEADY + pump(0)) as daemon:
        counts = []
        for speed in range(1, 13):
            daemon.rewrite(STEADY + pump(speed) + (pump(1, "extra") if speed % 2 else ""))
            assert reload(daemon)[0] == 0
            counts.append(daemon.descriptors())
        assert max(counts[2::2]) <= min(counts[2::2]) + 2
        listed = sensord("devices", "--json", "--url", daemon.url).stdout
        rows = {row["device"]: row for row in map(json.loads, listed.splitlines())}
        assert sorted(rows) == ["pump", "steady"]
        assert rows["steady"]["connects"] == 1
        assert rows["steady"]["state"] == "up"
        assert daemon.stop()[0] == 0


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    """With a fifo in its place nothing was reloaded any more, and the process did not end."""
    with Daemon(tmp_path, STEADY) as daemon:
        file = tmp_path / "config.toml"
        content = file.read_text()
        file.unlink()
        match kind:
            case "fifo":
                os.mkfifo(file)
            case "device":
                file.symlink_to("/dev/zero")
            case _:
                file.mkdir()
        status, text = reload(daemon)
        assert status != 0
        assert "not a regular file" in text or "Is a directory" in text
        file.rmdir() if kind == "folder" else file.unlink()
        file.write_text(content + pump(5))
        assert reload(daemon) == (0, "devices: added pump\n")
        ended, _ = daemon.stop()
    assert ended == 0


@pytest.mark.parametrize("kind", ["fifo", "device"])
@on_uvloop()
async def test_a_tokens_file_that_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    """It is looked at again while the daemon serves: a fifo would stop everything."""
    tokens = tmp_path / "tokens"
    await in_thread(sensord, "token", "create", "all", "--read", "#", "--file", str(tokens))
    with Daemon(tmp_path, f'server.tokens = "{tokens}"\n{STEADY}') as daemon:
        tokens.unlink()
        os.mkfifo(tokens) if kind == "fifo" else tokens.symlink_to("/dev/zero")
        with pytest.raises(Exception, match=r"token|401|unauthorized|rights"):
            async with Client(daemon.url, token="sd_x"):
                pass
        status, _ = await in_thread(daemon.stop)
    assert status == 0
