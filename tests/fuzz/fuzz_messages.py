"""Send mutated messages to the server, by the million.

    python -m tests.fuzz.fuzz_messages --messages 1000000 --seed 1

Most go straight into connections with made-up transports, at many thousands a second; the rest
over real sockets. The transports clog and drain at random, as those of slow clients do. Meanwhile
readings are published and one good monitor of each kind looks on: it must get every one of them,
in order, once. No exception may escape, no session may fail, and memory must stay flat.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import msgpack
import uvloop
from websockets.frames import Opcode

from sensord.device.calls import Call, PromptQueue
from sensord.errors import ProtocolError
from sensord.model.readings import Value, ValueType
from sensord.server import listener
from sensord.server.connection import Connection
from sensord.server.shared import Limits
from tests.fuzz.mutation import Mutator
from tests.kit.monitor import Monitor, Story, monitor
from tests.kit.standing import StandingTime
from tests.kit.station import Station

__all__ = ["Outcome", "fuzz"]

SOCKET_SHARE = 0.02
"""Of the messages; they cost ten times as much."""

ATTACKERS = 24
PUBLISH_EVERY = 25
"""Messages between two readings."""

TURN_EVERY = 8
"""Messages between two turns of the event loop."""

HASTY = replace(
    Limits(), outbox_bytes=16_384, hello_timeout_s=0.5, silence_s=0.7, lag_timeout_s=0.4
)
"""So that every time-out comes to its turn."""

MESSAGE_S = 0.0002
"""Time that the server sees pass with each message: a slow machine sends nobody away."""

SWEEP_S = 0.1

CHECK_EVERY = 2000

STUCK_S = 0.5
"""How long an attacker that does not read waits for its own bytes to leave."""

SETTLE = 0.2
"""Part of the run after which memory is measured first: all tables have their size by then."""


class Machine:
    """What the attackers set and call: it is done at once, or later, or never, or refuses."""

    timeout_s = 0.5

    def __init__(self, station: Station, mutator: Mutator) -> None:
        self._loop = station.server.shared.loop
        self._chance = mutator.chance
        self.queue = PromptQueue(self._start)

    def check(self, args: Mapping[str, Value]) -> Mapping[str, Value]:
        if self._chance.random() < 0.1:
            raise ProtocolError("unavailable", "the machine is down")
        return args

    def _start(self, call: Call) -> None:
        match self._chance.randrange(4):
            case 0:
                call.done(call.args.get("value"))
            case 1:
                call.acting()
                self._loop.call_later(0.01, call.failed, "rejected", "no")
            case 2:
                self._loop.call_soon(call.done)
            case _:
                call.acting()


def _add_machine(station: Station, mutator: Mutator) -> None:
    control, machine = station.server.shared.control, Machine(station, mutator)
    control.sets.register("plant/a", machine)
    control.calls.register("plant/b", machine)
    control.leases.declare("plant")
    for part in ("plant/a", "plant/b"):
        control.leases.declare(part, within="plant")


@dataclass(frozen=True)
class Outcome:
    """What a run has shown."""

    messages: int
    seconds: float
    connections: int
    answered_bytes: int
    readings: int
    rss_before: int
    rss_after: int
    failures: int
    answers: Counter[str]
    """What a quarter of the connections were answered, by kind."""

    def __str__(self) -> str:
        megabytes = [size / 1e6 for size in (self.rss_before, self.rss_after, self.answered_bytes)]
        before, after, answered = megabytes
        answers = ", ".join(f"{kind} {count}" for kind, count in self.answers.most_common())
        return (
            f"{self.messages} messages in {self.seconds:.1f} s over {self.connections} connections,"
            f" {answered:.1f} MB of answers, {self.readings} readings to the good monitors;"
            f" failures {self.failures};"
            f" RSS {before:.1f} MB after a fifth, {after:.1f} MB at the end\n{answers}"
        )


class Checker:
    """Reads what a connection writes after its handshake, as a strict client would."""

    def __init__(self, encoding: str, answers: Counter[str]) -> None:
        self._is_text = encoding == "json"
        self._answers = answers
        self._data = bytearray()
        self._is_closed = False

    def take(self, data: bytes) -> None:
        self._data += data
        while len(self._data) >= 2 and self._take_frame():
            pass

    def _take_frame(self) -> bool:
        data = self._data
        first, size, start = data[0], data[1], 2
        assert size < 128, "masked by the server"
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            return False
        payload = bytes(data[start : start + size])
        del data[: start + size]
        self._note(Opcode(first & 15), payload, is_final=bool(first & 128))
        return True

    def _note(self, opcode: Opcode, payload: bytes, *, is_final: bool) -> None:
        assert is_final
        # Pings may be answered to the last.
        assert not self._is_closed or opcode is Opcode.PONG, f"{opcode.name} after the close frame"
        if opcode is Opcode.CLOSE:
            self._is_closed = True
            self._answers[f"close {int.from_bytes(payload[:2], 'big')}"] += 1
        elif opcode in {Opcode.TEXT, Opcode.BINARY}:
            assert (opcode is Opcode.TEXT) is self._is_text
            message = json.loads(payload) if self._is_text else msgpack.unpackb(payload)
            kind = "frame" if isinstance(message, list) else message["op"]
            detail = "" if kind == "frame" else message.get("code") or message.get("reason") or ""
            self._answers[f"{kind} {detail}".strip()] += 1


class MadeUpTransport(asyncio.Transport):
    """Takes what is written, and tells of full and empty buffers as a real one does."""

    def __init__(self, protocol: Connection, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__({"peername": ("192.0.2.1", 4711)})
        self.taken = 0
        self.is_over = False
        self.reads = True
        self.checker: Checker | None = None
        self._protocol = protocol
        self._loop = loop
        self._unsent = 0
        self._low, self._high = 16_384, 65_536
        self._is_paused = False
        self._is_closing = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high is not None
        assert low is not None
        self._low, self._high = low, high

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self._is_closing:
            return
        self.taken += len(data)
        self._unsent += len(data)
        if self.checker is not None:
            self.checker.take(bytes(data))
        if self._unsent > self._high and not self._is_paused:
            self._is_paused = True
            self._protocol.pause_writing()

    def write_eof(self) -> None:
        """End what is sent; this client hangs up when it has read the end."""
        self.close()

    def drain(self, size: int) -> None:
        """Let the client read so many bytes."""
        self._unsent = max(0, self._unsent - size)
        if self._is_closing and not self._unsent:
            self._end()
        elif self._is_paused and self._unsent <= self._low:
            self._is_paused = False
            self._protocol.resume_writing()

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            if not self._unsent:
                self._end()

    def abort(self) -> None:
        self._is_closing = True
        self._unsent = 0
        self._end()

    def _end(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._loop.call_soon(self._protocol.connection_lost, None)


class Attacker:
    """One connection after another; feeds each with what the mutator makes."""

    def __init__(self, station: Station, mutator: Mutator, number: int) -> None:
        self.answers: Counter[str] = Counter()
        self.connections = 0
        self.taken = 0
        self._station = station
        self._mutator = mutator
        self._chance = mutator.chance
        self._encoding = "msgpack" if number % 2 else "json"
        self._is_checked = number % 8 < 2
        self._loop = asyncio.get_running_loop()
        self._connect()

    def _connect(self) -> None:
        self.connections += 1
        self._connection = Connection(self._station.server)
        self._transport = MadeUpTransport(self._connection, self._loop)
        self._connection.connection_made(self._transport)
        if self._chance.random() < 0.02:
            self._send(self._mutator.page())
            return
        self._send(self._mutator.upgrade(self._encoding))
        if self._is_checked and self._connection.session is not None:
            self._transport.checker = Checker(self._encoding, self.answers)
        if self._chance.random() < 0.97:
            self._say(self._mutator.hello())

    def _say(self, message: object) -> None:
        is_text = self._encoding == "json"
        payload = self._mutator.payload(message, is_text=is_text)
        self._send(self._mutator.frames(payload, is_text=is_text))

    def _send(self, data: bytes) -> None:
        if self._chance.random() < 0.1:  # in two packets
            at = self._chance.randrange(len(data) + 1)
            self._arrive(data[:at])
            data = data[at:]
        self._arrive(data)

    def _arrive(self, data: bytes) -> None:
        if data and not self._transport.is_closing():
            self._connection.data_received(data)

    def step(self) -> None:
        """Send one more message, or do what else clients do."""
        transport, chance = self._transport, self._chance
        if transport.is_over:
            self.taken += transport.taken
            self._connect()
        elif transport.is_closing() or not transport.reads:
            # A slow one: it sends nothing that would be read, and takes what it likes.
            if chance.random() < 0.1:
                transport.drain(chance.choice((100, 5_000, 10**9)))
        else:
            self._say(self._mutator.message())
            self._do_else(chance.random())

    def _do_else(self, draw: float) -> None:
        if draw < 0.3:
            self._transport.drain(self._chance.choice((100, 5_000, 10**9)))
        elif draw < 0.301:
            if self._connection.eof_received() is False:
                self._transport.close()
        elif draw < 0.302:
            self._transport.abort()

    def leave(self) -> None:
        """Cut the connection."""
        self._transport.abort()
        self.taken += self._transport.taken


class Readings:
    """Published numbers and events, and the good monitors that must get every one of them.

    Each value is the count of those before it.
    """

    def __init__(
        self, station: Station, escaped: list[dict[str, Any]], of_server: StandingTime
    ) -> None:
        self.count = 0
        self.time = of_server
        self._station = station
        self._escaped = escaped
        self._channels = [
            station.state("plant/a"),
            station.state("plant/b", ValueType.INT),
            station.event("plant/c", ValueType.INT),
        ]
        self._followed: list[tuple[Monitor, Story]] = []
        self._seen = 0

    async def follow(self, good: Monitor) -> None:
        """Have a monitor look on."""
        story = await good.subscribe("plant/#", start="now")
        await good.live(story)
        self._followed.append((good, story))

    def publish(self) -> None:
        """Publish one more."""
        channel = self._channels[self.count % len(self._channels)]
        of_float = channel.metadata.type is ValueType.FLOAT
        self._station.publish(channel, float(self.count) if of_float else self.count)
        self.count += 1

    async def check(self) -> None:
        """Have the monitors read, and compare; see whether anything failed."""
        for good, story in self._followed:
            await self._read_all(good, story)
            assert story.values == list(range(self._seen, self.count)), "lost or doubled"
            assert story.gaps == []
            story.told.clear()
        self._seen = self.count
        assert not self._escaped, self._escaped[0]
        assert self._station.server.statistics().failures == 0

    async def _read_all(self, good: Monitor, story: Story) -> None:
        await good.until(lambda: self._seen + len(story.readings) >= self.count)


def rss_bytes() -> int:
    """Return this process's memory."""
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * resource.getpagesize()


@asynccontextmanager
async def _hurried() -> AsyncIterator[None]:
    """Have time-outs looked at often, and only errors logged."""
    log = logging.getLogger("sensord.server")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with mock.patch.object(listener, "SWEEP_S", SWEEP_S):
            yield
    finally:
        log.setLevel(level)


async def fuzz(messages: int, seed: int) -> Outcome:
    """Send so many messages; raises what it finds."""
    escaped: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: escaped.append(context))
    began = time.monotonic()
    by_socket = int(messages * SOCKET_SHARE)
    mutator = Mutator(seed)
    async with (
        _hurried(),
        Station(HASTY, ring=4096) as station,
        monitor(station.url) as first,
        monitor(station.url, "json") as second,
    ):
        _add_machine(station, mutator)
        time_of_server = StandingTime(station.server)
        readings = Readings(station, escaped, time_of_server)
        for good in (first, second):
            await readings.follow(good)
        settling = int(messages * SETTLE)
        attackers = await _made_up(station, mutator, settling, readings)
        before = rss_bytes()
        attackers += await _made_up(station, mutator, messages - by_socket - settling, readings)
        sockets = await _over_sockets(station, mutator, by_socket, readings)
        while station.server.statistics().sessions > 2:
            time_of_server.now_s += 0.05
            await first.ask("ping")
        assert len(station.server.shared.groups) == 1 + 1  # JSON and msgpack
        return Outcome(
            messages=messages,
            seconds=time.monotonic() - began,
            connections=sum(attacker.connections for attacker in attackers) + sockets,
            answered_bytes=sum(attacker.taken for attacker in attackers),
            readings=readings.count,
            rss_before=before,
            rss_after=rss_bytes(),
            failures=station.server.statistics().failures,
            answers=sum((attacker.answers for attacker in attackers), Counter()),
        )


async def _made_up(
    station: Station, mutator: Mutator, messages: int, readings: Readings
) -> list[Attacker]:
    """Send so many over made-up transports."""
    attackers = [Attacker(station, mutator, number) for number in range(ATTACKERS)]
    for number in range(messages):
        attackers[number % ATTACKERS].step()
        readings.time.now_s += MESSAGE_S
        if number % PUBLISH_EVERY == 0:
            readings.publish()
        if number % TURN_EVERY == 0:
            await asyncio.sleep(0)
        if number % CHECK_EVERY == 0:
            await readings.check()
    for attacker in attackers:
        attacker.leave()
    await readings.check()
    return attackers


async def _over_sockets(
    station: Station, mutator: Mutator, messages: int, readings: Readings
) -> int:
    """Send so many over real sockets; return over how many connections."""
    left, connections = messages, 0
    while left > 0:
        connections += 1
        count = min(left, mutator.chance.randint(1, 200))
        left -= count
        with suppress(ConnectionError, TimeoutError):
            await _one_socket(station, mutator, count, readings)
        await readings.check()
    return connections


async def _one_socket(station: Station, mutator: Mutator, count: int, readings: Readings) -> None:
    is_text = mutator.chance.random() < 0.5
    host, port = station.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=4096)
    # One in five never reads.
    reading = asyncio.ensure_future(_read(reader) if mutator.chance.random() < 0.8 else _wait())
    try:
        writer.write(mutator.upgrade("json" if is_text else "msgpack"))
        for message in (mutator.hello(), *(mutator.message() for _ in range(count))):
            readings.time.now_s += MESSAGE_S
            payload = mutator.payload(message, is_text=is_text)
            writer.write(mutator.frames(payload, is_text=is_text))
            if mutator.chance.random() < 1 / PUBLISH_EVERY:
                readings.publish()
                async with asyncio.timeout(STUCK_S):
                    await writer.drain()
    finally:
        writer.transport.abort()
        reading.cancel()
        await asyncio.wait((reading,))


async def _read(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while await reader.read(65_536):
            pass


async def _wait() -> None:
    await asyncio.Event().wait()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Send mutated messages to the server.")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(fuzz(options.messages, options.seed))
    sys.stdout.write(f"seed {options.seed}: {outcome}\n")


if __name__ == "__main__":
    main()
