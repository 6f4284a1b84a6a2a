"""Gateways behind a hub: the same readings, at the same positions, wherever a monitor connects."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from sensord.client import Client, Gap, Update
from sensord.model.readings import Position
from tests.integration.test_uplinks import recorded, until
from tests.kit.browser import Browser
from tests.kit.daemon import Daemon, on_uvloop, sensord
from tests.kit.hub import Hub, gateway_config
from tests.kit.nats import JetStream

pytestmark = pytest.mark.timeout(240)

Ledger = list[tuple[int, object]]


async def read(
    url: str, ledger: Ledger, count: int, position: Position | int | None
) -> tuple[Position, list[Gap]]:
    """Read readings of a topic into a ledger; return the position reached, and the gaps."""
    gaps: list[Gap] = []
    start = "-1h" if position is None else position
    async with Client(url) as client:
        subscription = client.subscribe("plant/level", start=start)
        wanted = len(ledger) + count
        while (arrived := await subscription.arrived()) is not None:
            for item in arrived.items:
                if isinstance(item, Gap):
                    gaps.append(item)
                if isinstance(item, Update):
                    assert item.channel.metadata.unit == "Cel"
                    assert item.channel.metadata.decimals == 3
                    ledger.append((item.reading.time_us, item.reading.value))
            if len(ledger) >= wanted and arrived.position is not None:
                return arrived.position, gaps
    raise AssertionError("it has ended")


@on_uvloop(200)
async def test_a_monitor_moves_between_gateway_and_hubs_without_a_hole(tmp_path: Path) -> None:
    """Its position is the gateway's own, and hubs keep nothing."""
    with JetStream(tmp_path) as server:
        text = gateway_config(tmp_path / "gw", "north", server)
        with (
            Daemon(tmp_path / "gw", text) as gateway,
            Hub(tmp_path / "one", server) as one,
            Hub(tmp_path / "two", server) as two,
        ):
            await asyncio.to_thread(until, lambda: server.count("sensord_north") > 50)
            for hub in (one, two):
                await asyncio.to_thread(hub.wait_for_log, "gateway=north state=up")
            ledger: Ledger = []
            position: Position | None = None
            places = [one.of("north"), two.of("north"), gateway.url, one.of("north")]
            for url in places:
                is_first = position is None
                position, gaps = await read(url, ledger, 60, position)
                assert is_first or not gaps
                if url == two.of("north"):
                    one.kill()
                    await asyncio.to_thread(one.start)
                    await asyncio.to_thread(one.wait_for_log, "gateway=north state=up")
            held = await asyncio.to_thread(recorded, gateway)
    times = [time_us for time_us, _ in ledger]
    assert times == sorted(set(times)), "each once, in order"
    span = {t: v for t, v in held.items() if times[0] <= t <= times[-1]}
    assert dict(ledger) == span


@on_uvloop(200)
async def test_what_has_left_the_memory_of_a_hub_is_read_from_the_stream(tmp_path: Path) -> None:
    """A small ring: nearly all is history."""
    with JetStream(tmp_path) as server:
        text = gateway_config(tmp_path / "gw", "north", server, interval="2ms")
        with Daemon(tmp_path / "gw", text) as gateway:
            await asyncio.to_thread(until, lambda: server.count("sensord_north") > 6000)
            first = json.loads(await asyncio.to_thread(server.first, "sensord_north"))["offset"]
            with Hub(tmp_path / "hub", server, hub="ring = 1024") as hub:
                await asyncio.to_thread(hub.wait_for_log, "gateway=north state=up")
                ledger: Ledger = []
                _, gaps = await read(hub.of("north"), ledger, 6000, None)
                held = await asyncio.to_thread(recorded, gateway)
    # What the gateway logged before its first message may have been anything.
    assert [(gap.reason, gap.stop) for gap in gaps] == [("expired", first)]
    times = [time_us for time_us, _ in ledger]
    assert times == sorted(set(times))
    assert dict(ledger) == {t: v for t, v in held.items() if times[0] <= t <= times[-1]}
    assert times[0] == min(held)


def test_commands_work_at_a_hub_as_at_the_gateway(tmp_path: Path) -> None:
    """Last values, devices, history, and the page's files; acting is refused."""
    with JetStream(tmp_path) as server:
        text = gateway_config(tmp_path / "gw", "north", server)
        with Daemon(tmp_path / "gw", text), Hub(tmp_path / "hub", server) as hub:
            hub.wait_for_log("gateway=north state=up")
            url = hub.of("north")
            until(lambda: "plant/level" in sensord("get", "plant/#", "--url", url).stdout)
            devices = sensord("devices", "--url", url)
            assert devices.returncode == 0, devices.stderr
            assert "sim" in devices.stdout
            past = sensord("history", "plant/level", "--from", "-1h", "--limit", "5", "--url", url)
            assert len(past.stdout.splitlines()) >= 5, past.stderr
            known = sensord("get", "$sys/gateways/#", "--json", "--url", hub.url)
            assert '"state": "up"' in known.stdout
            refused = sensord("put", "state/x", "1", "--url", url)
            assert refused.returncode == 4, refused.stderr


@on_uvloop(200)
async def test_a_hub_outlives_its_servers_and_the_gateway(tmp_path: Path) -> None:
    """A monitor that stays connected gets each reading once, though everything is killed."""
    with JetStream(tmp_path) as server:
        text = gateway_config(tmp_path / "gw", "north", server)
        with Daemon(tmp_path / "gw", text) as gateway, Hub(tmp_path / "hub", server) as hub:
            await asyncio.to_thread(until, lambda: server.count("sensord_north") > 20)
            await asyncio.to_thread(hub.wait_for_log, "gateway=north state=up")
            ledger: Ledger = []
            gaps: list[Gap] = []
            async with Client(hub.of("north")) as client:
                subscription = client.subscribe("plant/level", start="now")

                async def follow(count: int) -> None:
                    wanted = len(ledger) + count
                    while len(ledger) < wanted:
                        item = await anext(subscription)
                        if isinstance(item, Gap):
                            gaps.append(item)
                        if isinstance(item, Update) and not item.reading.quality.level:
                            ledger.append((item.reading.time_us, item.reading.value))

                await follow(20)
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
                await follow(40)
                gateway.kill()
                await asyncio.to_thread(gateway.start)
                await follow(40)
                hub.kill()
                await asyncio.to_thread(hub.start)
                await follow(40)
            held = await asyncio.to_thread(recorded, gateway)
    assert not gaps
    times = [time_us for time_us, _ in ledger]
    assert times == sorted(set(times)), "each once, in order"
    assert dict(ledger) == {t: v for t, v in held.items() if times[0] <= t <= times[-1]}


def test_the_page_of_a_gateway_is_at_its_name(tmp_path: Path) -> None:
    """In a browser: its values, over a connection of the gateway's own."""
    with JetStream(tmp_path) as server:
        text = gateway_config(tmp_path / "gw", "north", server)
        with Daemon(tmp_path / "gw", text), Hub(tmp_path / "hub", server) as hub:
            hub.wait_for_log("gateway=north state=up")
            with Browser(tmp_path) as browser, browser.open(f"http://{hub.address}/north") as page:
                page.until_there("document.body.innerText.includes('plant/level')")
                assert page.eval("location.pathname") == "/north/"


def test_a_set_at_a_hub_acts_at_the_gateway_once(tmp_path: Path) -> None:
    """Its own range, leases and audit decide; a key acts once, through whichever hub it comes."""
    with JetStream(tmp_path) as server:
        text = gateway_config(tmp_path / "gw", "north", server)
        text = text.replace('"100s" } }', '"100s" }, valve = { shape = "constant", low = 20 } }')
        text = text.replace("channels.level", "channels.valve.range = [0, 50]\nchannels.level", 1)
        text = text.replace("[uplinks.hub]", "writable.valve = {}\n[uplinks.hub]")
        text += "commands = true\n"
        with (
            Daemon(tmp_path / "gw", text) as gateway,
            Hub(tmp_path / "one", server) as one,
            Hub(tmp_path / "two", server) as two,
        ):
            for hub in (one, two):
                hub.wait_for_log("gateway=north state=up")
            until(lambda: "uplink is up" in "".join(gateway.log))
            for hub in (one, two):
                own = ("--key", "k1", "--identity", str(tmp_path / f"id-{hub.address[-5:]}"))
                done = sensord("set", "plant/valve", "31", *own, "--url", hub.of("north"))
                assert done.returncode == 0, done.stderr
            refused = sensord("set", "plant/valve", "99", "--url", one.of("north"))
            assert refused.returncode == 4, refused.stderr
            assert "50" in refused.stderr
            audit = sensord(
                "history", "$audit/set", "--from", "-1h", "--json", "--url", gateway.url
            )
            rows = [json.loads(line)["value"] for line in audit.stdout.splitlines()]
            assert [row["result"] for row in rows if row.get("key") == "k1"] == ["pending", "done"]
            gateway.kill()
            gone = sensord("set", "plant/valve", "32", "--url", one.of("north"))
            assert gone.returncode != 0
            assert "accepts no orders" in gone.stderr, gone.stderr
