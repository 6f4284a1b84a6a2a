"""Sending: what one frame to one monitor costs, beside a bare ``os.write`` of the same bytes.

One process has the real server: listener, sessions, groups, uvloop. A reading with a long text is
published, which makes a frame as large as one of 200 readings, and it goes to all monitors; then
the same bytes go out with ``os.write``, to the very same sockets, from a loop that does nothing
else. Both in turn, many times. CPU time is the process's; the kernel's work is in it.

What a frame costs whatever the number of monitors (publishing, encoding, waking up the loop) is
measured with a single monitor on a topic of its own. The *next monitor* costs the difference, on
both sides; *all in* is the whole divided by the monitors.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from bench.report import Options, Report, Unavailable, main, median
from bench.subscribers import Subscribers, compiled, sensord
from sensord.bus import Bus
from sensord.log import Log
from sensord.model.clocks import SystemClock
from sensord.model.readings import Channel, Metadata, Reading, Record, ValueType
from sensord.server.connection import Connection
from sensord.server.listener import Server
from sensord.server.packets import frames
from sensord.server.shared import Limits
from sensord.wire.frames import MSGPACK

__all__ = ["measure"]

GOAL = 1.3

PAUSE_S = 0.004
"""Between two frames, so that the monitors have read the one before."""

FRAMES_A_TURN = 50

SETTLE_S = 0.1
"""For the monitors to have read everything."""


@dataclass(frozen=True, slots=True)
class Turn:
    """CPU seconds of one frame."""

    ours: float
    ours_alone: float
    bare: float
    bare_alone: float


class Listening(Server):
    """The real server, which also knows its sockets."""

    def __init__(self, bus: Bus, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(bus, loop, Limits())
        self.made: list[Connection] = []

    def connected(self, connection: Connection) -> None:
        """Learn of a connection."""
        super().connected(connection)
        self.made.append(connection)

    def descriptors(self) -> list[int]:
        """Return the descriptors of all connections, in the order in which they were made."""
        transports: list[Any] = [getattr(one.write, "__self__", None) for one in self.made]
        return [transport.get_extra_info("socket").fileno() for transport in transports]


@contextlib.asynccontextmanager
async def subscribed(
    program: Path, port: int, topic: str, count: int
) -> AsyncIterator[Subscribers]:
    """Have ``count`` monitors on a topic, to which each reading goes as one frame."""
    subscribers = Subscribers(program, sensord(port, topic, max_latency=0.001), count)
    await asyncio.to_thread(subscribers.__enter__)
    try:
        yield subscribers
    finally:
        subscribers.__exit__(None, None, None)


async def compare(monitors: int, frame_bytes: int, turns: int, folder: Path) -> list[Turn]:
    """Measure both ways, in turn."""
    bus = Bus(Log("bench", 65_536), SystemClock())
    all_, one = (bus.channel(topic, Metadata(ValueType.STRING)) for topic in ("all", "one"))
    text = "x" * (frame_bytes - 30)
    server = Listening(bus, asyncio.get_running_loop())
    await server.listen(["127.0.0.1:0"])
    port, program = int(server.addresses[0].rpartition(":")[2]), compiled(folder)
    async with (
        subscribed(program, port, "all", monitors) as many,
        subscribed(program, port, "one", 1) as single,
    ):
        record = Record(bus.log.tail, bus.now_us(), all_, Reading(bus.now_us(), text))
        [(_, data)] = frames(MSGPACK, 1, 1, [record])
        *descriptors, alone = server.descriptors()
        found = [
            Turn(
                await publishing(bus, all_, text, many, monitors),
                await publishing(bus, one, text, single, 1),
                await writing(descriptors, data),
                await writing([alone], data),
            )
            for _ in range(turns)
        ]
    await server.close(1.0)
    return found


async def publishing(
    bus: Bus, channel: Channel, text: str, subscribers: Subscribers, monitors: int
) -> float:
    """Return the CPU seconds of one frame that is published, encoded and sent."""
    await asyncio.to_thread(subscribers.tell)  # all that was sent before is read
    subscribers.mark()
    begun = time.process_time()
    for _ in range(FRAMES_A_TURN):
        bus.publish(channel, Reading(bus.now_us(), text))
        await asyncio.sleep(PAUSE_S)
    used = time.process_time() - begun
    await asyncio.sleep(SETTLE_S)
    window = await asyncio.to_thread(subscribers.tell)
    assert window.frames == FRAMES_A_TURN * monitors, "each reading must be one frame"
    return used / FRAMES_A_TURN


async def writing(descriptors: list[int], data: bytes) -> float:
    """Return the CPU seconds of writing ``data`` to every descriptor, and nothing else."""
    write, sleep = os.write, time.sleep  # nothing else may run meanwhile, so nothing is awaited
    begun = time.process_time()
    for _ in range(FRAMES_A_TURN):
        for descriptor in descriptors:
            write(descriptor, data)
        sleep(PAUSE_S)
    used = time.process_time() - begun
    await asyncio.sleep(SETTLE_S)
    return used / FRAMES_A_TURN


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--monitors", type=int, default=100)
    parser.add_argument("--bytes", type=int, default=1060, help="size of a frame (200 readings)")
    parser.add_argument("--turns", type=int, help="of 50 frames each (default 24, brief 2)")


def measure(report: Report, options: Options) -> None:
    """Measure one frame to one monitor."""
    more = options.more
    turns = more.turns or (2 if options.brief else 8 * options.repeats)
    with tempfile.TemporaryDirectory(prefix="sensord-bench-") as folder:
        try:
            compiled(Path(folder))
        except Unavailable as exc:
            report.missing("one frame to the next monitor", "µs", exc, peer="os.write")
            return
        work = compare(more.monitors, more.bytes, turns, Path(folder))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(work)
    others = (more.monitors - 1) or 1
    note = f"{more.monitors} monitors, {more.bytes} bytes"
    nexts = [((t.ours - t.ours_alone) / others, (t.bare - t.bare_alone) / others) for t in found]
    whole = [(t.ours / more.monitors, t.bare / more.monitors) for t in found]
    _tell(report, "one frame to the next monitor", nexts, GOAL, note)
    _tell(report, "one frame to one monitor, all in", whole, None, note)


def _tell(
    report: Report, figure: str, found: list[tuple[float, float]], goal: float | None, note: str
) -> None:
    report.add(
        figure,
        median(ours for ours, _ in found) * 1e6,
        "µs",
        goal=goal,
        peer="os.write",
        peer_value=median(bare for _, bare in found) * 1e6,
        ratio=median(ours / bare for ours, bare in found),
        note=note,
    )


if __name__ == "__main__":
    sys.exit(main("sending", str(__doc__).splitlines()[0], measure, configure))
