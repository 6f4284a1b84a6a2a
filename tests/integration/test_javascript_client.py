"""The JavaScript client in Node, at real daemons, through links that are cut."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from sensord.access.tokens import Token
from sensord.device.lens import Lens
from sensord.model.readings import Level, Quality
from tests.integration.test_page import PLANT
from tests.integration.test_tokens import Keys
from tests.kit.cutter import Cutter, How
from tests.kit.daemon import Daemon, in_thread, on_uvloop, sensord
from tests.kit.javascript import Program, program
from tests.kit.loops import DEADLINE_S
from tests.kit.station import Station

pytestmark = pytest.mark.slow


async def after(node: Program, count: int) -> Any:
    """Return what a program tells when it has received so many more readings."""
    node.tell(str(count))
    return await node.told()


async def history(daemon: Daemon) -> set[tuple[int, float]]:
    """Return all that the journal has of the temperature."""
    command = ("history", "plant/temperature", "--from", "-1h", "--json", "--url", daemon.url)
    done = await in_thread(sensord, *command)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {
        (one["time_us"], one["value"])
        for one in rows
        if one.get("quality") == "good" and "restated_us" not in one
    }


@on_uvloop(240)
async def test_nothing_is_missing_or_double_though_the_link_is_cut_at_any_byte(
    tmp_path: Path,
) -> None:
    """Thirty times, in the middle of frames and answers; in between the daemon is killed."""
    dice = random.Random(7)
    ways: list[How] = ["close", "reset", "half"]
    with Daemon(tmp_path, PLANT.format(folder=tmp_path)) as daemon:
        async with (
            Cutter(lambda: daemon.address) as cutter,
            program(tmp_path, cutter.url, "ledger") as node,
        ):
            await after(node, 5)
            number = 0
            while cutter.cuts < 30:
                number += 1
                cutter.cut_after("down", dice.randrange(1, 600), dice.choice(ways))
                if number in {10, 20}:
                    daemon.kill()
                    await in_thread(daemon.start)
                await after(node, 15)
            cutter.release()
            held = await history(daemon)
            told = await after(node, 40)
    ledger, gaps = [(time, value) for time, value in told["ledger"]], told["gaps"]
    assert max(ledger) >= max(held)
    assert len(set(ledger)) == len(ledger), "none came twice"
    assert held <= set(ledger), "all that the journal has was received"
    assert set(gaps) <= {"missing"}, "what a kill lost, and nothing else"


@on_uvloop(DEADLINE_S)
async def test_a_slow_reader_costs_no_memory_and_misses_nothing(tmp_path: Path) -> None:
    """Its request ends at a bound, and continues at its place when it reads again."""
    async with Station(ring=200_000) as station, program(tmp_path, station.url, "slow") as node:
        for number in range(70_000):
            station.publish("plant/temperature", float(number))
            if number % 500 == 0:
                await asyncio.sleep(0)
        assert await node.told() == "full"
        node.tell()
        told = await node.told()
    first = int(told["values"][0])
    assert told["values"][:60_000] == [float(one) for one in range(first, first + 60_000)]
    assert told["opened"] > 1
    assert told["most"] <= 20_000 + 4096


@on_uvloop(120)
async def test_a_command_acts_once_though_the_link_is_cut_around_it(tmp_path: Path) -> None:
    """Before it is sent, on its way, and before its outcome; the audit has each once."""
    with Daemon(tmp_path, PLANT.format(folder=tmp_path)) as daemon:
        async with (
            Cutter(lambda: daemon.address) as cutter,
            program(tmp_path, cutter.url, "acts") as node,
        ):
            outcomes = {}
            for number in range(12):
                node.tell(str(20 + number))
                if number % 3 == 0:
                    cutter.cut_after("down", 1, "reset")
                elif number % 3 == 1:
                    cutter.cut_after("up", 40, "reset")
                told = await node.told()
                outcomes[told["value"]] = told["outcome"]
            while "lost" in outcomes.values():  # nothing was sent: there was no connection
                value = next(one for one, outcome in outcomes.items() if outcome == "lost")
                node.tell(str(value))
                outcomes[value] = (await node.told())["outcome"]
        done = await in_thread(
            sensord, "history", "$audit/set", "--from", "-1h", "--json", "--url", daemon.url
        )
        acts = [json.loads(line)["value"] for line in done.stdout.splitlines()]
    assert set(outcomes.values()) == {"done"}
    accepted = sorted(one["after"] for one in acts if one["result"] == "pending")
    assert accepted == [20 + number for number in range(12)]


@on_uvloop(DEADLINE_S)
async def test_a_client_whose_token_is_revoked_does_not_come_back(tmp_path: Path) -> None:
    """Its iterations end with an error, and it does not knock for ever."""
    keys = Keys(tmp_path)
    text, token = keys.make()
    assert isinstance(token, Token)
    async with Station(gate=keys.gate()) as station:
        station.publish("plant/a", 1.5)
        async with program(tmp_path, station.url, "revoked") as node:
            node.tell(text)
            assert await node.told() == ["plant/a"]
            keys.revoke(token)
            assert await node.told() in {"closed", "unauthorized"}
            told = await node.told()
            assert (told["state"], told["more"]) == ("closed", 0)
            assert told["ask"] in {"closed", "unauthorized"}


@on_uvloop(DEADLINE_S)
async def test_a_link_that_is_silent_is_given_up(tmp_path: Path) -> None:
    """A server that has stopped closes nothing; when it is there again, so is the client."""
    with Daemon(tmp_path, PLANT.format(folder=tmp_path)) as daemon:
        async with program(tmp_path, daemon.url, "stopped") as node:
            assert await node.told() == "ready"
            os.kill(daemon.pid, signal.SIGSTOP)
            try:
                assert await node.told() == "down"
            finally:
                os.kill(daemon.pid, signal.SIGCONT)
            assert await node.told() == "up"


@on_uvloop(DEADLINE_S)
async def test_a_history_comes_in_pages_as_it_is_read(tmp_path: Path) -> None:
    """Whole, to a limit, and as summaries whose counts add up."""
    async with Station(ring=200_000) as station:
        for number in range(25_000):
            station.publish("plant/temperature", float(number))
            if number % 500 == 0:
                await asyncio.sleep(0)
        async with program(tmp_path, station.url, "past") as node:
            assert await node.told() == [float(one) for one in range(25_000)]
            assert await node.told() == 12_345
            rows = await node.told()
    assert sum(count for _, _, count, _ in rows) == 25_000
    assert {(op, topic) for op, topic, _, _ in rows} == {("row", "plant/temperature")}
    times = [time for *_, time in rows]
    assert times == sorted(set(times)), "each interval once"


@on_uvloop(DEADLINE_S)
async def test_clients_serve_hold_share_and_write_to_each_other(tmp_path: Path) -> None:
    """Everything that clients do together, from one program."""
    with Daemon(tmp_path, PLANT.format(folder=tmp_path)) as daemon:
        async with program(tmp_path, daemon.url, "together") as node:
            told = await node.told()
    assert told == {
        "called": 42,
        "parts": [21],
        "refused": ["rejected", False],
        "nobody": "not_found",
        "holder": "Anna",
        "held": ["held", False],
        "set": "done",
        "nothing": None,
        "plan": [1, 2, 3, 4],
        "conflict": ["conflict", 4],
        "deleted": None,
        "fate": "delivered",
        "got": [["Bert", {"text": "hello"}]],
        "people": ["Anna", "Bert"],
        "type": ["plant/setpoint", "plant/temperature"],
    }


@on_uvloop(120)
async def test_a_service_and_an_inbox_are_there_again_after_a_kill(tmp_path: Path) -> None:
    """Each message is handled once."""
    with Daemon(tmp_path, PLANT.format(folder=tmp_path)) as daemon:
        async with program(tmp_path, daemon.url, "again") as node:
            assert await node.told() == "begun"
            daemon.kill()
            await in_thread(daemon.start)
            node.tell()
            told = [await node.told(), await node.told()]
    assert {"got": ["before", "after"]} in told
    assert {"value": 1} in told


@on_uvloop(DEADLINE_S)
async def test_a_replay_is_stepped_sought_and_played(tmp_path: Path) -> None:
    """From the beginning again, to its end."""
    async with Station() as station:
        for number in range(50):
            station.publish("plant/temperature", float(number))
        async with program(tmp_path, station.url, "replay") as node:
            first, everything = await node.told()
    assert first == [0.0, 1.0, 2.0]
    assert everything == [float(one) for one in range(50)]


@on_uvloop(DEADLINE_S)
async def test_a_client_looks_at_a_connection_and_forgets_topics(tmp_path: Path) -> None:
    """Each sight as it comes, until it is cancelled; a topic that there is not is refused."""
    async with Station() as station:
        station.publish("plant/old", 1.5)
        used = asyncio.Event()
        lens = Lens("boiler", station.bus, lambda: used.set() if lens.is_used else used.clear())
        station.server.shared.lenses.add(lens)
        async with program(tmp_path, station.url, "sniff") as node:
            assert await node.told() == "not_found"
            await used.wait()
            lens.received(b"T=21.5")
            sight = await node.told()
            assert (sight["what"], bytes.fromhex(sight["hex"])) == ("received", b"T=21.5")
            lens.on_value("plant/t", 21.5, Quality(Level.GOOD))
            value = await node.told()
            assert (value["what"], value["topic"], value["value"]) == ("value", "plant/t", 21.5)
            node.tell()
            code, message = await node.told()
            assert (code, message) == ("not_found", "not_found: there is no topic plant/a")
            assert await node.told() == ["plant/old"]
            assert await node.told() == "ended"
            assert not lens.is_used


@on_uvloop(DEADLINE_S)
async def test_a_subscription_is_sent_without_waiting_for_the_answer_to_hello(
    tmp_path: Path,
) -> None:
    """So a page has its first values one round trip earlier."""
    asked: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

    async def receive(socket: ServerConnection) -> None:
        first, second = json.loads(await socket.recv()), json.loads(await socket.recv())
        asked.set_result([first["op"], second["op"]])

    protocol = Subprotocol("sensord.v1.json")
    async with serve(receive, "127.0.0.1", 0, subprotocols=[protocol]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with program(tmp_path, f"ws://127.0.0.1:{port}", "early"):
            assert await asked == ["hello", "subscribe"]


@on_uvloop(DEADLINE_S)
async def test_a_subscription_sent_with_hello_is_answered(tmp_path: Path) -> None:
    """By the real server."""
    async with Station() as station:
        station.publish("plant/temperature", 1.5)
        async with program(tmp_path, station.url, "early") as node:
            assert await node.told() == "a value"
