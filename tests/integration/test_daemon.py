"""The whole daemon as a process: from a serial line to a monitor, and its life and death."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from sensord.client import Client, Update
from sensord.model.readings import Level, Quality
from tests.kit.daemon import REPOSITORY, SENSORD, Daemon, in_thread, on_uvloop, sensord
from tests.kit.fakeport import FakePort
from tests.kit.follower import Follower
from tests.kit.monitor import monitor

STOP_S = 6.0
"""An operator is promised two seconds; this machine may be busy."""


def boiler(port: Path) -> str:
    """Configure a device that sends JSON lines."""
    return f"""
[devices.boiler]
reader = "serial"
port = "{port}"
decoder = "json"
topic = "plant/boiler/{{field}}"
publish = {{ policy = "every" }}
channels.temperature = {{ unit = "Cel", decimals = 2 }}
"""


def line(temperature: float) -> bytes:
    return json.dumps({"temperature": temperature}).encode() + b"\r\n"


SIMULATED = """
[devices.weather]
reader = "simulated"
interval = "10ms"
signals.wind = { high = 10 }
signals.rain = { high = 100 }
publish = { policy = "every" }
"""


def told(update: Update) -> dict[str, Any]:
    """Read what is told of a device."""
    assert isinstance(update.reading.value, dict)
    return update.reading.value


async def is_up(client: Client, device: str) -> Follower:
    """Wait until a device is up; return what goes on telling how it fares."""
    status = Follower(client.subscribe(f"$sys/devices/{device}"))
    await status.update(lambda update: told(update)["state"] == "up")
    return status


@on_uvloop()
async def test_lines_on_a_serial_port_reach_a_client(tmp_path: Path) -> None:
    """Decoded, with unit and time, good bytes and bad."""
    with FakePort(tmp_path / "ttyUSB0") as port, Daemon(tmp_path, boiler(port.path)) as daemon:
        async with Client(daemon.url, name="test") as client:
            await is_up(client, "boiler")
            readings = Follower(client.subscribe("plant/#"))
            await readings.live()
            for i in range(100):
                port.feed(line(20 + i / 100))
                port.feed(b"\xff garbage {]\r\n")
            await readings.count(100)
            update = readings.updates[-1]
            last = {each.topic: each for each in await client.get("plant/#", "$sys/#")}
    assert readings.values == [20 + i / 100 for i in range(100)]
    assert update.topic == "plant/boiler/temperature"
    assert update.channel.metadata.unit == "Cel"
    assert update.channel.metadata.device == "boiler"
    assert update.reading.quality == Quality(Level.GOOD)
    assert last["plant/boiler/temperature"].reading == update.reading
    assert "$sys/devices/boiler" in last


@pytest.mark.slow  # counts are told every ten seconds
@on_uvloop()
async def test_every_fault_of_a_device_is_counted(tmp_path: Path) -> None:
    """Under $sys/devices, soon enough for somebody who is looking."""
    with FakePort(tmp_path / "ttyUSB0") as port, Daemon(tmp_path, boiler(port.path)) as daemon:
        async with Client(daemon.url) as client:
            status = await is_up(client, "boiler")
            port.feed(line(1) + 5 * b"garbage\n" + line(2))
            counted = told(await status.update(lambda update: told(update)["faults"]))
    assert counted["messages"] == 7
    assert counted["readings"] == 2
    assert list(counted["faults"].values()) == [5]
    assert sum("bad data" in line for line in daemon.log) == 1  # the others are only counted


@on_uvloop()
async def test_a_missing_device_is_no_reason_not_to_start(tmp_path: Path) -> None:
    """It is told as down, and why; the others run; plugged in later it is found."""
    port = FakePort(tmp_path / "ttyUSB0")
    with Daemon(tmp_path, boiler(port.path) + SIMULATED) as daemon:
        async with Client(daemon.url) as client:
            status = Follower(client.subscribe("$sys/devices/boiler"))
            down = await status.update(lambda update: told(update)["state"] == "absent")
            assert "no such port" in told(down)["detail"]
            assert str(port.path) in told(down)["detail"]
            weather = Follower(client.subscribe("weather/wind"))
            await weather.count(3)
            with port:
                await status.update(lambda update: told(update)["state"] == "up")
                port.feed(line(21.5))
                await Follower(client.subscribe("plant/#")).value(21.5)


@on_uvloop()
async def test_sigterm_stops_in_time_and_says_good_bye(tmp_path: Path) -> None:
    """Exit status 0, monitors told with 1001, with readers at work and nothing left unsent."""
    with (
        FakePort(tmp_path / "ttyUSB0") as port,
        Daemon(tmp_path, boiler(port.path) + SIMULATED) as daemon,
    ):
        async with (
            monitor(daemon.url) as one,
            monitor(daemon.url, "json") as two,
            monitor(daemon.url) as idle,
        ):
            stories = [await each.subscribe("#") for each in (one, two)]
            port.feed(line(21.5))
            await one.until(lambda: 21.5 in stories[0].values)
            closing = [asyncio.ensure_future(each.closed()) for each in (one, two, idle)]
            status, took_s = await in_thread(daemon.stop)
            closed = await asyncio.gather(*closing)
    assert status == 0, daemon.log
    assert took_s < STOP_S
    assert [each.code for each in closed] == [1001] * 3
    assert stories[0].values[-1] == stories[1].values[-1]  # both had the very last reading
    assert "stopped" in daemon.log[-1]
    assert not [text for text in daemon.log if "warning" in text or "error" in text]


@on_uvloop()
async def test_sigterm_does_not_wait_for_a_monitor_that_does_not_answer(tmp_path: Path) -> None:
    """Neither to a good-bye nor at all; nor for one that never said hello."""
    with Daemon(tmp_path, SIMULATED) as daemon:
        host, port = daemon.address.split(":")
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
        async with monitor(daemon.url) as stopped:
            await stopped.subscribe("#")
            stopped.connection.transport.pause_reading()
            status, took_s = await in_thread(daemon.stop)
            stopped.connection.transport.resume_reading()
        for reader, writer in silent:
            assert await reader.read() == b""
            writer.close()
    assert status == 0, daemon.log
    assert took_s < STOP_S


@on_uvloop()
async def test_a_second_daemon_on_the_same_port_says_so(tmp_path: Path) -> None:
    """And ends with 1; the first one does not notice."""
    with Daemon(tmp_path, SIMULATED) as daemon:
        second = tmp_path / "second.toml"
        second.write_text(f'server.listen = ["{daemon.address}"]\n')
        done = await in_thread(sensord, "run", str(second))
        assert done.returncode == 1
        assert "cannot listen" in done.stderr
        assert "another sensord" in done.stderr
        assert daemon.address.split(":")[1] in done.stderr
        assert "Traceback" not in done.stderr
        async with Client(daemon.url) as client:
            await Follower(client.subscribe("weather/#")).count(5)


@on_uvloop()
async def test_a_client_survives_kill_and_restart(tmp_path: Path) -> None:
    """It comes back by itself, learns that the log is another one, and gets the last values."""
    with FakePort(tmp_path / "ttyUSB0") as port, Daemon(tmp_path, boiler(port.path)) as daemon:
        async with Client(daemon.url) as client:
            await is_up(client, "boiler")
            readings = Follower(client.subscribe("plant/#"))
            await readings.live()  # from here on it has a position to resume from
            port.feed(line(1.5))
            await readings.value(1.5)
            before = client.server.epoch
            await in_thread(daemon.kill)
            await in_thread(daemon.start)
            await in_thread(daemon.wait_for_log, "device is up")
            port.feed(line(2.5))
            update = await readings.value(2.5)
            assert client.server.epoch != before
            port.feed(line(3.5))
            await readings.value(3.5)
    [gap] = readings.gaps
    assert (gap.reason, gap.count, gap.lost) == ("epoch_changed", None, None)
    assert readings.values == [1.5, 2.5, 3.5]
    assert readings.items.index(gap) < readings.items.index(update)
    assert "snapshot" in readings.phases[readings.phases.index("live") + 1 :]


@on_uvloop()
async def test_a_client_that_was_away_gets_the_snapshot_of_a_new_log(tmp_path: Path) -> None:
    """Values that were published before it came back are marked as last values."""
    with FakePort(tmp_path / "ttyUSB0") as port, Daemon(tmp_path, boiler(port.path)) as daemon:
        async with Client(daemon.url) as client:
            position = client.server.epoch, client.server.offset
        await in_thread(daemon.kill)
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            await is_up(client, "boiler")
            first = Follower(client.subscribe("plant/#"))
            port.feed(line(2.5))
            await first.value(2.5)
        command = [*SENSORD, "tail", "--url", daemon.url, "--json", "--count", "1", "plant/#"]
        command += ["--from", f"{position[0]}:{position[1]}"]
        done = await in_thread(lambda: subprocess.run(command, capture_output=True, check=True))
    gap, reading = (json.loads(text) for text in done.stdout.splitlines())
    assert gap == {"gap": "epoch_changed", "count": None, "lost": None}
    assert (reading["value"], reading["snapshot"]) == (2.5, True)


# -- the commands ----------------------------------------------------------------------------------


@on_uvloop()
async def test_tail_shows_so_many_readings_and_ends(tmp_path: Path) -> None:
    """As JSON lines, complete and in order."""
    with FakePort(tmp_path / "ttyUSB0") as port, Daemon(tmp_path, boiler(port.path)) as daemon:
        async with Client(daemon.url) as client:
            await is_up(client, "boiler")
            for i in range(50):
                port.feed(line(i / 4))
            await Follower(client.subscribe("plant/#", start="-10m")).count(50)
        tail = ("tail", "--url", daemon.url, "plant/#", "--from", "-10m", "--count", "40")
        as_json = await in_thread(sensord, *tail, "--json")
        as_lines = await in_thread(sensord, *tail)
        newest = await in_thread(sensord, "tail", "--url", daemon.url, "plant/#", "--count", "1")
        shown = [json.loads(text) for text in as_json.stdout.splitlines()]
        assert as_json.returncode == as_lines.returncode == newest.returncode == 0
        assert [each["value"] for each in shown] == [i / 4 for i in range(40)]
        assert {each["topic"] for each in shown} == {"plant/boiler/temperature"}
        assert {(each["unit"], each["quality"]) for each in shown} == {("Cel", "good")}
        assert set(shown[0]) == {"topic", "time_us", "time", "value", "unit", "quality"}
        lines = as_lines.stdout.splitlines()
        assert len(lines) == 40
        assert lines[7].split()[1:] == ["plant/boiler/temperature", "1.75", "Cel"]
        assert newest.stdout.split()[1:] == ["plant/boiler/temperature", "12.25", "Cel"]


def test_tail_says_when_nobody_listens() -> None:
    """In one line, with the address."""
    done = sensord("tail", "--url", "ws://127.0.0.1:1", "--count", "1")
    assert done.returncode == 5
    assert done.stdout == ""
    [text] = done.stderr.splitlines()
    assert "cannot connect to ws://127.0.0.1:1" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a//b",), "a//b: no level may be empty"),
        (("--from", "yesterday"), "--from yesterday: expected snapshot, now, -10m"),
    ],
)
def test_tail_refuses_what_it_does_not_understand(arguments: tuple[str, ...], said: str) -> None:
    """Before it connects."""
    done = sensord("tail", "--url", "ws://127.0.0.1:1", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(said)


def test_tail_ends_quietly_when_its_reader_goes(tmp_path: Path) -> None:
    """As in `sensord tail | head -3`."""
    with Daemon(tmp_path, SIMULATED) as daemon:
        command = " ".join(SENSORD) + f" tail --url {daemon.url} | head -3"
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=REPOSITORY,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 3


def test_tail_says_when_its_output_is_full(tmp_path: Path) -> None:
    """As in `sensord tail > log` on a full disk: one line, no traceback."""
    with Daemon(tmp_path, SIMULATED) as daemon, Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*SENSORD, "tail", "--url", daemon.url],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
            cwd=REPOSITORY,
        )
    assert (done.returncode, done.stderr) == (
        1,
        "cannot write the output: No space left on device\n",
    )


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0"])
def test_the_demo_runs_for_a_while_and_ends(listen: str) -> None:
    """It shows readings of all three devices and says what to try next."""
    done = sensord("demo", "--for", "2s", "--listen", listen)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for topic in ("plant/boiler/temperature", "boat/latitude", "weather/wind_speed"):
        assert topic in done.stdout
    url = f"--url ws://{listen[:-2]}:"
    assert url in done.stdout


def test_the_demo_says_when_its_port_is_taken(tmp_path: Path) -> None:
    """It ends with 1 and without a traceback."""
    with Daemon(tmp_path, SIMULATED) as daemon:
        done = sensord("demo", "--for", "2", "--listen", daemon.address)
    assert done.returncode == 1
    assert "cannot listen" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_sample_configuration_has_no_faults() -> None:
    """The one that every README command names."""
    done = sensord("check", "config.toml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("config.toml: no faults\nlistens on 127.0.0.1:8765\n")
    devices = tomllib.loads((REPOSITORY / "config.toml").read_text())["devices"]
    assert done.stdout.count("\ndevice ") == len(devices)


SIX_FAULTS = """\
[server]
listen = ["0.0.0.0:8765"]

[devices.boiler]
reader = "serial"
port = "/dev/ttyUSB0"
baud = "9600"
decoder = "jsn"
publish = { deadbnd = 0.5 }

[devices.boat]
reader = "seriel"

[devices.house]
reader = "mqtt"
host = "127.0.0.1"
decoder = "number"
[[devices.house.topics]]
filter = "house/#/temperature"
"""


def test_check_tells_six_faults_in_one_go(tmp_path: Path) -> None:
    """Each with its line, its path and what to do."""
    file = tmp_path / "config.toml"
    file.write_text(SIX_FAULTS)
    done = sensord("check", str(file))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.replace(f"{file}", "config.toml") == "".join(
        f"config.toml:{text}\n"
        for text in (
            (
                "2 server.listen: 0.0.0.0 is reachable from other machines; set tokens to a file"
                " of tokens, listen on 127.0.0.1, or set insecure = true if everybody there may"
                " read everything and act: set, call, publish"
            ),
            '7 devices.boiler.baud: expected an integer, got "9600"',
            '8 devices.boiler.decoder: there is no decoder "jsn"; did you mean json?',
            "9 devices.boiler.publish.deadbnd: unknown key; did you mean deadband?",
            '12 devices.boat.reader: there is no reader "seriel"; did you mean serial?',
            "19 devices.house.topics[0].filter: # may only be the last level of a filter",
        )
    )


def test_run_tells_the_same_faults_and_does_not_start(tmp_path: Path) -> None:
    """A daemon never runs on a configuration that it did not understand."""
    file = tmp_path / "config.toml"
    file.write_text(SIX_FAULTS)
    checked, done = sensord("check", str(file)), sensord("run", str(file))
    assert done.returncode == 1
    assert done.stderr == checked.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "No such file"), ("[server", "1"), ("\xff", "UTF-8")],
)
def test_check_says_what_is_wrong_with_the_file(
    tmp_path: Path, text: str | None, said: str
) -> None:
    """One that is missing, is not TOML, or is not text."""
    file = tmp_path / "config.toml"
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    done = sensord("check", str(file))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(file) in done.stderr
    assert said in done.stderr
