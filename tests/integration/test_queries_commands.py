"""The commands that ask a daemon: history, topics, devices, clients; and the journal behind it."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sensord.client import Client, Summary, Update
from tests.kit.daemon import REPOSITORY, SENSORD, Daemon, in_thread, on_uvloop, sensord
from tests.kit.fakeport import FakePort
from tests.kit.follower import Follower

Done = subprocess.CompletedProcess[str]


def plant(folder: Path) -> str:
    """Configure a daemon that records what a device on a line says."""
    return f"""
[journal]
folder = "{folder / "journal"}"

[devices.boiler]
reader = "serial"
port = "{folder / "ttyUSB0"}"
decoder = "json"
description = "the old one"
topic = "plant/{{field}}"
publish = {{ policy = "every" }}
channels.temperature = {{ unit = "Cel", decimals = 2 }}
"""


async def fed(daemon: Daemon, port: FakePort, lines: int) -> None:
    """Let the device say this many lines of two fields, and see them arrive."""
    async with Client(daemon.url) as client:
        seen = Follower(client.subscribe("plant/#"))
        await in_thread(daemon.wait_for_log, "device is up")
        for i in range(lines):
            port.feed(json.dumps({"temperature": i / 4, "label": f"n{i}"}).encode() + b"\n")
        await seen.count(2 * lines)


@on_uvloop()
async def test_what_was_is_shown_as_lines_json_and_csv(tmp_path: Path) -> None:
    """Readings and intervals, from memory and from the journal before a restart alike."""
    with FakePort(tmp_path / "ttyUSB0") as port, Daemon(tmp_path, plant(tmp_path)) as daemon:

        async def shown(*arguments: str) -> list[str]:
            done: Done = await in_thread(sensord, *arguments, "--url", daemon.url)
            assert (done.returncode, done.stderr) == (0, ""), done.stderr
            return done.stdout.splitlines()

        await fed(daemon, port, 40)
        history = ("history", "plant/temperature")
        lines = await shown(*history)
        assert [line.split()[2:] for line in lines] == [
            ["plant/temperature", f"{i / 4:.2f}", "Cel"] for i in range(40)
        ]
        await in_thread(daemon.stop)
        await in_thread(daemon.start)
        objects = [json.loads(line) for line in await shown(*history, "--json")]
        assert [one["value"] for one in objects] == [i / 4 for i in range(40)]
        rows = list(csv.DictReader(await shown(*history, "--csv", "--from", "-1h")))
        assert [float(row["value"]) for row in rows] == [i / 4 for i in range(40)]
        assert rows[0]["time"] == objects[0]["time"]
        assert (rows[0]["unit"], rows[0]["quality"]) == ("Cel", "good")
        intervals = ("history", "plant/#", "--interval", "366d")
        head, *rows_ = await shown(*intervals)
        assert head.split()[:6] == ["FROM", "(UTC)", "TOPIC", "COUNT", "MEAN", "LEAST"]
        [label, temperature] = sorted(rows_)
        assert label.split()[2:] == ["plant/label", "40", "n0", "…", "n39"]
        assert temperature.split()[2:] == ["plant/temperature", "40", "4.88", "0.00", "9.75", "Cel"]
        [row] = csv.DictReader(await shown(*history, "--interval", "366d", "--csv"))
        assert (row["count"], row["min"], row["max"]) == ("40", "0.0", "9.75")


@on_uvloop()
async def test_what_there_is_is_listed(tmp_path: Path) -> None:
    """Topics, devices and clients, as lines and as JSON."""
    with FakePort(tmp_path / "ttyUSB0") as port, Daemon(tmp_path, plant(tmp_path)) as daemon:

        async def shown(*arguments: str) -> list[str]:
            done: Done = await in_thread(sensord, *arguments, "--url", daemon.url)
            assert (done.returncode, done.stderr) == (0, ""), done.stderr
            return done.stdout.splitlines()

        await fed(daemon, port, 3)
        head, *lines = await shown("topics")
        assert head.startswith("TOPIC ")
        topics = [line.split() for line in lines]
        assert sorted(topics) == [
            ["plant/label", "string", "state"],
            ["plant/temperature", "Cel", "float", "state"],
        ]
        [row] = await shown("topics", "plant/temperature", "--json")
        assert json.loads(row) == {
            "topic": "plant/temperature",
            "unit": "Cel",
            "decimals": 2,
            "device": "boiler",
        }
        [head, line] = await shown("devices")
        assert head.startswith("DEVICE ")
        assert line.split()[:2] == ["boiler", "up"]
        [row] = await shown("devices", "--json")
        assert json.loads(row)["device"] == "boiler"
        rows = [json.loads(row) for row in await shown("clients", "--json")]
        assert [row["state"] for row in rows if row["name"].startswith("sensord clients,")] == [
            "here"
        ]
        assert any("sensord clients" in line for line in await shown("clients"))


def followed(
    daemon: Daemon, *arguments: str, until: Callable[[dict[str, Any]], object]
) -> list[Any]:
    """Run a command that follows until it has shown an object for which ``until`` holds."""
    command = [*SENSORD, *arguments, "--follow", "--json", "--url", daemon.url]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=REPOSITORY
    ) as process:
        assert process.stdout is not None
        shown = []
        for line in process.stdout:
            shown.append(json.loads(line))
            if until(shown[-1]):
                break
        process.terminate()
    return shown


@on_uvloop()
async def test_commands_go_on_with_what_changes(tmp_path: Path) -> None:
    """Each reading is in one interval; a new topic is told when it is new."""
    with FakePort(tmp_path / "ttyUSB0") as port, Daemon(tmp_path, plant(tmp_path)) as daemon:
        await fed(daemon, port, 10)
        port.feed(b'{"temperature": 77.0, "fresh": 1}\n')
        history = ("history", "plant/temperature", "--interval", "0.2")
        rows = await in_thread(
            lambda: followed(daemon, *history, until=lambda row: row["last"] == 77.0)
        )
        assert sum(row["count"] for row in rows) == 11
        topics = await in_thread(
            lambda: followed(
                daemon, "topics", "plant/#", until=lambda row: row["topic"] == "plant/fresh"
            )
        )
        assert len(topics) == 3


@on_uvloop()
async def test_summaries_of_the_journal_are_those_of_its_readings(tmp_path: Path) -> None:
    """What the daemon adds up is what a program adds up that reads everything."""
    with FakePort(tmp_path / "ttyUSB0") as port, Daemon(tmp_path, plant(tmp_path)) as daemon:
        await fed(daemon, port, 200)
        await in_thread(daemon.stop)
        await in_thread(daemon.start)
        async with Client(daemon.url) as client:
            past = client.history("plant/temperature", start="-1h")
            values: list[Any] = []
            async for item in past:
                assert isinstance(item, Update)
                values.append(item.reading.value)
            found = client.summaries("plant/temperature", start="-1h", interval_s=0.1)
            rows = [item async for item in found if isinstance(item, Summary)]
    assert values == [i / 4 for i in range(200)]
    assert sum(row.count for row in rows) == 200
    place = 0
    for row in rows:
        part = values[place : place + row.count]
        place += row.count
        assert (row.first, row.last, row.minimum, row.maximum) == (
            part[0],
            part[-1],
            min(part),
            max(part),
        )
        assert row.mean == sum(part) / len(part)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("history", "a//b"), "a//b: no level may be empty"),
        (("history", "--from", "now"), "--from now: expected -10m"),
        (("history", "--to", "soon"), "--to soon: expected -10m"),
        (("history", "--follow", "--limit", "3"), "--follow has no end"),
        (("topics", "a//b"), "a//b: no level may be empty"),
        (("devices",), "cannot connect to ws://127.0.0.1:1"),
    ],
)
def test_what_is_asked_wrongly_is_said_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    """Before anything is shown."""
    done = sensord(*arguments, "--url", "ws://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (5 if "connect" in said else 2, "")
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 1


def test_the_past_of_a_topic_that_is_not_there_has_a_status_of_its_own(tmp_path: Path) -> None:
    """3, as for everything that does not exist; a filter that selects nothing is no fault."""
    with Daemon(tmp_path, plant(tmp_path)) as daemon:
        for topic, status in (("plant/temprature", 3), ("nowhere/#", 0)):
            done = sensord("history", topic, "--url", daemon.url)
            assert done.returncode == status
            assert topic in done.stderr


@on_uvloop()
async def test_a_limit_says_where_to_go_on(tmp_path: Path) -> None:
    """So that the next page can be asked for."""
    with FakePort(tmp_path / "ttyUSB0") as port, Daemon(tmp_path, plant(tmp_path)) as daemon:
        await fed(daemon, port, 5)
        history = ("history", "plant/temperature", "--url", daemon.url, "--json")
        page = await in_thread(sensord, *history, "--limit", "3")
        place = page.stderr.split()[-1]
        rest = await in_thread(sensord, *history, "--from", place)
    values = [json.loads(line)["value"] for line in (page.stdout + rest.stdout).splitlines()]
    assert values == [i / 4 for i in range(5)]
    assert page.stderr.startswith("-- there may be more; continue with --from ")
    assert rest.stderr == ""
