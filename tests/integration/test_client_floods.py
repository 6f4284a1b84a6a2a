"""What clients write as fast as they can takes nothing from what devices said."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from contextlib import AsyncExitStack
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from sensord.client import Client, Control, SharedState
from sensord.errors import ProtocolError
from sensord.server.log_pace import AT_ONCE, PER_S
from tests.kit.daemon import Daemon, in_thread, on_uvloop
from tests.kit.follower import Follower
from tests.kit.monitor import monitor

SHARE_BYTES = 2 << 20


def config(folder: Path) -> str:
    return f"""
        # Of hundreds at once, on a machine that does much else.
        server.hello_timeout = "120s"
        server.lag_timeout = "120s"
        [journal]
        folder = "{folder}"
        max_bytes = "8MiB"
        segment_bytes = "256KiB"
        commit_interval = "50ms"
        min_free = 0
        [devices.tank]
        reader = "simulated"
        interval = "20ms"
        signals.level = {{}}
        signals.pump = {{ shape = "constant" }}
        channels.pump = {{ type = "bool" }}
        [devices.tank.writable.pump]
    """


async def flood(url: str, seed: int, puts: int) -> tuple[int, set[str]]:
    """Put large states that do not compress; return how many were taken, and what was refused."""
    rng = random.Random(seed)
    taken, refused = 0, set()
    async with Client(url) as client:
        state = SharedState(client)
        for i in range(puts):
            value = base64.b64encode(rng.randbytes(11_800)).decode()
            try:
                await state.put(f"state/{seed}/{i % 10}", value)
                taken += 1
            except ProtocolError as exc:
                refused.add(exc.code)
    return taken, refused


async def pour(url: str, number: int) -> None:
    """Send as much as a session may ask for, and read what comes of it."""
    value = base64.b64encode(random.Random(number).randbytes(11_800)).decode()
    async with connect(url, subprotocols=[Subprotocol("sensord.v1.json")]) as socket:
        await socket.send(json.dumps({"op": "hello", "id": 1, "client": "flood"}))
        for i in range(64):
            topic = f"state/{number}/{i}"
            put = {"op": "put", "id": i + 2, "topic": topic, "value": value}
            await socket.send(json.dumps(put))
        answers = 0
        while answers < 64:
            answers += json.loads(await socket.recv())["op"] in {"result", "error"}


@on_uvloop()
async def test_what_many_sessions_send_at_once_does_not_pile_up(tmp_path: Path) -> None:
    """400 of them with a mebibyte each: their sockets are read when it is their turn."""
    with Daemon(tmp_path, config(tmp_path / "journal")) as daemon:
        before = most = daemon.rss_bytes()
        pouring = asyncio.gather(*(pour(daemon.url, i) for i in range(400)))
        while not pouring.done():
            await asyncio.wait({pouring}, timeout=0.05)
            most = max(most, daemon.rss_bytes())
        await pouring
    assert most - before < 44 << 20


@on_uvloop()
async def test_four_clients_that_put_as_fast_as_they_can_displace_no_reading(
    tmp_path: Path,
) -> None:
    """They wiped everybody's history in minutes; whoever acts is not kept from it."""
    folder = tmp_path / "journal"
    with Daemon(tmp_path, config(folder)) as daemon:
        async with Client(daemon.url) as client:
            rss_bytes = daemon.rss_bytes()
            first = await Follower(client.subscribe("tank/level")).update(lambda _: True)
            floods = await asyncio.gather(*(flood(daemon.url, i, 300) for i in range(4)))
            assert {code for _, codes in floods for code in codes} == {"too_many"}
            assert 0 < sum(taken for taken, _ in floods) * 11_800 < SHARE_BYTES / 4
            assert await Control(client).set("tank/pump", True, key="k") is True
            past = Follower(client.subscribe("tank/level", start="-1h"))
            await past.update(lambda update: update.reading.time_us <= first.reading.time_us)
            assert daemon.rss_bytes() - rss_bytes < 64 << 20
    size = sum(file.stat().st_size for file in folder.glob("*.mcap*"))
    assert size < SHARE_BYTES


@on_uvloop()
async def test_clients_that_come_and_go_do_not_fill_the_log(tmp_path: Path) -> None:
    """Each session wrote a line: 1,400 a second, which the journal's daemon had to take."""
    with Daemon(tmp_path, "") as daemon:
        began = time.monotonic()
        for _ in range(10):
            async with AsyncExitStack() as crowd:
                for _ in range(30):
                    await crowd.enter_async_context(monitor(daemon.url, "json"))
        status, _ = await in_thread(daemon.stop)
        took_s = time.monotonic() - began
        lines = [line for line in daemon.log if "session ended" in line]
    assert status == 0
    left_out = sum(int(line.rpartition("left_out=")[2]) for line in lines if "left_out" in line)
    assert AT_ONCE <= len(lines) <= AT_ONCE + PER_S * took_s + 1
    assert len(lines) + left_out <= 300
