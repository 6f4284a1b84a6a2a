"""The benchmarks run, say what they found or could not run, and their meter can see a loss.

Nothing here is timed: on a busy machine figures mean nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from bench.load import Load, Pattern
from bench.report import Figure, from_json, render
from bench.subscribers import Subscribers, compiled, sensord
from sensord.config.load import parse
from sensord.decode import registry as decoders
from sensord.readers import registry as readers

KEYS = {"bench", "figure", "value", "unit", "goal", "goal_of", "peer", "ratio", "missing", "met"}


def run(*arguments: str, path: str | None = None) -> list[dict[str, Any]]:
    """Run a benchmark with ``--json`` and return its figures."""
    environment = dict(os.environ)
    if path is not None:
        environment["PATH"] = path
    done = subprocess.run(
        [sys.executable, "-m", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            "fanout --rate 1000 --monitors 5 --seconds 0.2",
            ["CPU per delivered reading", "bytes per delivered", "lost or doubled"],
        ),
        ("sending --turns 1", ["next monitor"]),
        (
            "latency --seconds 0.3",
            ["simulated: source to client p99", "serial: source to client p50"],
        ),
        (
            "ingest --seconds 0.2",
            ["policy (every) + bus + group", "through a pty", "MQTT QoS 0"],
        ),
        (
            "slow --rate 20000 --monitors 5 --stopped 10 --seconds 0.2",
            ["beside 10 stopped monitors", "growth per stopped", "lost or doubled"],
        ),
        ("idle --seconds 0.3", ["start to listening", "memory, idle", "per idle monitor"]),
        ("matching", ["subscribe", "publish"]),
        (
            "modbus --count 100 --seconds 0.3",
            ["stray bytes before", "echo", "late answer", "all alive", "right after one died"],
        ),
        (
            "catch_up --monitors 5 --count 5000 --seconds 0.3",
            ["beside 5 monitors that catch up", "caught up with", "lost or doubled"],
        ),
        (
            "page --seconds 0.3 --many 300",
            ["first value", "transferred", "renderer, 200 topics", "heap, 300 topics"],
        ),
        ("page_clicks --many 300", ["slowest click", "slowest key of a search, 300 topics"]),
        ("page_year", ["20 days of one topic"]),
        (
            "page_fanout --rate 1000 --monitors 5 --pages 2 --seconds 0.3",
            ["no page: latency p99", "2 pages: latency p99", "lost or doubled"],
        ),
        (
            "floods --rate 1000 --monitors 5 --seconds 0.2 --flood pages",
            ["live p99", "slowest /healthz", "growth", "lost or doubled"],
        ),
    ],
)
def test_a_benchmark_says_what_it_found(command: str, expected: list[str]) -> None:
    """Every figure has its keys, every expected one is there, and no reading is lost.

    However short it is measured: this takes as long as some twenty daemons take to start.
    """
    name, *arguments = command.split()
    figures = run(f"bench.{name}", "--brief", *arguments)
    for figure in figures:
        assert figure.keys() >= KEYS
        assert figure["bench"] == name
        assert (figure["value"] is None) == bool(figure["missing"])
        if "lost or doubled" in figure["figure"]:
            assert figure["value"] == 0
    told = [figure["figure"] for figure in figures]
    for part in expected:
        assert any(part in figure for figure in told), f"nothing of {part} in {told}"


def test_all_run_as_one_command_and_can_be_chosen() -> None:
    """``python -m bench NAME`` runs what is named and passes its figures on."""
    figures = run("bench", "matching")
    assert {figure["bench"] for figure in figures} == {"matching"}


def test_what_is_not_installed_is_said(tmp_path: Path) -> None:
    """Without a compiler there is no subscriber: the figure says so, and how to get one."""
    figures = run("bench.sending", "--brief", path=str(tmp_path))
    assert [figure["value"] for figure in figures] == [None]
    assert "cc is missing: install a C compiler" in figures[0]["missing"]


def test_a_table_shows_goals_and_misses() -> None:
    """A missed goal and a figure that could not be run stand out in the table."""
    table = render(
        [
            Figure("b", "met", 1.0, "ms", 2.0),
            Figure("b", "not met", 0.5, "µs", 0.2, "ratio", "nats", 1.0, 0.5),
            Figure("b", "not run", None, "ms", missing="it is not here"),
        ]
    )
    met, not_met, not_run = table.splitlines()[2:]
    assert "yes" in met
    assert "NO" in not_met
    assert "≤ 0.2 of its" in not_met
    assert "not run: it is not here" in not_run


def test_figures_of_other_benchmarks_are_read() -> None:
    """A line with fewer or more keys makes a figure all the same."""
    figure = from_json({"figure": "x", "value": 1, "unit": "s", "goal": 2, "extra": 3})
    assert figure.met is True


@pytest.mark.parametrize("pattern", ["burst", "spread"])
@pytest.mark.parametrize("rate", [1_000.0, 10_000.0])
def test_a_load_is_the_same_for_the_daemon_and_its_peers(rate: float, pattern: Pattern) -> None:
    """What the configuration says is what the publisher runs, at the wanted rate."""
    load = Load(rate, 200, pattern)
    config = parse(load.config(), "load", readers, decoders)
    devices = load.devices()
    assert {device.name: device.reader_config for device in config.devices} == devices
    assert sum(d.copies for d in devices.values()) == 200
    assert sum(d.copies / d.interval for d in devices.values()) == pytest.approx(rate, rel=0.01)


# -- the meter -------------------------------------------------------------------------------------


@contextmanager
def telling(*messages: object) -> Iterator[int]:
    """Serve these messages to whoever says hello and subscribes; yield the port."""
    ports: list[int] = []
    ready, ended = threading.Event(), threading.Event()

    async def tell(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.recv()
        for message in messages:
            await connection.send(msgpack.packb(message))
        await connection.wait_closed()

    async def main() -> None:
        subprotocols = [Subprotocol("sensord.v1.msgpack")]
        async with serve(tell, "127.0.0.1", 0, subprotocols=subprotocols) as server:
            ports.append(next(iter(server.sockets)).getsockname()[1])
            ready.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(main(),), name="server")
    thread.start()
    try:
        assert ready.wait(60.0)
        yield ports[0]
    finally:
        ended.set()
        thread.join()


LIVE = {"op": "stream", "id": 2, "stream": 1, "phase": "live", "cursor": 10}


def test_the_meter_counts_what_is_lost_and_what_is_doubled(tmp_path: Path) -> None:
    """A cursor that advances by more than its readings tells a loss, by fewer a double."""
    frames = [
        [1, 11, 1000, [0, 0, 2150]],
        [1, 14, 1000, [0, 0, 2150, 200, 5, -3, 70_000, 0, 21.5]],
        [1, 20, 1000, [0, 0, msgpack.ExtType(1, b"\x93\x02\xa0\xc0"), 1, 0, True, 2, 0, "text"]],
        [1, 21, 1000, [0, 0, {"a": [1, None]}, 1, 0, 3, 1, -300, 4]],
    ]
    with (
        telling(*frames, LIVE) as port,
        Subscribers(compiled(tmp_path), sensord(port), 3) as subscribers,
    ):
        window = subscribers.tell()
    assert window.alive == 3
    assert window.frames == 3 * 4
    assert window.readings == 3 * 10
    assert (window.total_least, window.total_most) == (10, 10)
    assert window.missing == 3 * 3
    assert window.doubled == 3 * 2


def test_the_meter_counts_from_its_last_mark(tmp_path: Path) -> None:
    """A mark forgets the window but not the totals."""
    with (
        telling([1, 11, 1000, [0, 0, 2150]], LIVE) as port,
        Subscribers(compiled(tmp_path), sensord(port), 1) as subscribers,
    ):
        assert subscribers.tell().readings == 1
        subscribers.mark()
        window = subscribers.tell()
    assert window.readings == 0
    assert window.total == 1
