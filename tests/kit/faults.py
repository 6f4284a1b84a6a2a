"""The faults that devices and their lines have, each played against a running daemon.

`CASES` is the table: what to do, and what must be seen of it. A real pseudo-terminal, a real
mosquitto and real files; `python -m tests.kit.faults` plays all and prints the table with the time
that each recovery took.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from sensord.client import Client, Update
from tests.kit.broker import Broker, Publisher, needed
from tests.kit.daemon import Daemon
from tests.kit.fakeport import FakePort
from tests.kit.modbus import ModbusLine, ModbusServer, Slave

__all__ = ["CASES", "Case", "Outcome", "play", "row"]

PATIENCE_S = 60.0
"""For anything to be seen; the longest wait before an attempt is 30 s."""


class Outcome(NamedTuple):
    """What was seen."""

    states: list[str]
    """Of the device, each that differs from the one before."""
    detail: str
    """Of the state that the fault led to."""
    faults: list[str]
    """The reasons of what was counted."""
    quality: str
    """The reason that a monitor was given for the last value; empty if that stayed good."""
    lost: int
    """Values that the device sent whole, and no reading shows."""
    wrong: int
    """Good readings of values that it did not send."""
    recovery_s: float | None
    """From the mend to the first new value."""


class Plant:
    """A daemon at work, and what a monitor sees of one device."""

    def __init__(self, folder: Path, device: str, topic: str) -> None:
        self.folder = folder
        self.device = device
        self.topic = topic
        self.sent: list[float] = []
        """The values that the device has sent whole."""
        self.statuses: list[dict[str, Any]] = []
        self.updates: list[Update] = []
        self._changed = asyncio.Event()
        self._mended_s = 0.0
        self.recovery_s: float | None = None

    @asynccontextmanager
    async def running(self, config: str) -> AsyncIterator[Daemon]:
        """Run the daemon, and follow what it publishes."""
        daemon = Daemon(self.folder, config)
        await asyncio.to_thread(daemon.start)
        try:
            async with Client(daemon.url) as client:
                follower = asyncio.create_task(self._follow(client))
                try:
                    yield daemon
                finally:
                    follower.cancel()
                    await asyncio.wait([follower])
        finally:
            await asyncio.to_thread(daemon.kill)

    async def _follow(self, client: Client) -> None:
        async for item in client.subscribe(self.topic, f"$sys/devices/{self.device}"):
            if not isinstance(item, Update):
                continue
            if isinstance(item.reading.value, dict):
                self.statuses.append(item.reading.value)
            else:
                self.updates.append(item)
            self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something to be seen."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def state(self, name: str) -> None:
        """Wait until the device is in a state."""
        await self.until(lambda: self.statuses and self.statuses[-1]["state"] == name)

    async def fault(self, reason: str) -> None:
        """Wait until a fault was counted."""
        await self.until(lambda: self.statuses and reason in self.statuses[-1]["faults"])

    async def value(self, value: float) -> None:
        """Wait for a good new reading of a value."""
        await self.until(lambda: value in self.values)
        if self.recovery_s is None and self._mended_s:
            self.recovery_s = time.monotonic() - self._mended_s

    def begin(self) -> None:
        """Leave out how it came up: the fault begins."""
        self.statuses = self.statuses[-1:]

    def mended(self) -> None:
        """Note that the fault is over."""
        self._mended_s = time.monotonic()

    @property
    def values(self) -> list[float]:
        """The values of good readings that are new."""
        readings = [one.reading for one in self.updates]
        found = [one.value for one in readings if not one.quality.level and not one.restates]
        return [float(one) for one in found if isinstance(one, int | float)]

    def outcome(self) -> Outcome:
        """Return what was seen."""
        states: list[str] = []
        detail = ""
        for status in self.statuses:
            if not states or states[-1] != status["state"]:
                states.append(status["state"])
            if status["state"] in {"absent", "silent", "faulted"}:
                detail = detail or status["detail"]
        faults = sorted({name for status in self.statuses for name in status["faults"]})
        spoiled = [u.reading.quality.reason for u in self.updates if u.reading.restates]
        lost = [one for one in self.sent if one not in self.values]
        wrong = [one for one in self.values if one not in self.sent]
        quality = str(spoiled[0]) if spoiled else ""
        return Outcome(states, detail, faults, quality, len(lost), len(wrong), self.recovery_s)


Act = Callable[[Path], Awaitable[Outcome]]


@dataclass(frozen=True)
class Case:
    """A fault of one reader, and what must be seen of it."""

    fault: str
    reader: str
    act: Act = field(repr=False)
    state: str
    """The one that the fault leads to."""
    reason: str
    """How its detail begins, or the reason of what is counted."""
    quality: str = ""
    lost: int = 0
    note: str = ""

    @property
    def name(self) -> str:
        return f"{self.reader}, {self.fault}"


# -- a serial line ---------------------------------------------------------------------------------

LISTENING = """
[devices.boiler]
reader = "serial"
port = "{port}"
decoder = "json"
publish = {{ policy = "every" }}
{more}
"""


@asynccontextmanager
async def listening(folder: Path, more: str = "") -> AsyncIterator[tuple[Plant, FakePort]]:
    """Run a daemon on a port, which has read one value."""
    plant = Plant(folder, "boiler", "boiler/#")
    with FakePort(folder / "port") as port:
        async with plant.running(LISTENING.format(port=port.path, more=more)):
            await plant.state("up")
            await told(plant, port, 1)
            plant.begin()
            yield plant, port


async def told(plant: Plant, port: FakePort, value: float) -> None:
    """Have the device send a value, and wait for its reading."""
    plant.sent.append(value)
    port.feed(b'{"t": %g}\n' % value)
    await plant.value(value)


async def unplugged(folder: Path) -> Outcome:
    async with listening(folder) as (plant, port):
        before = port.device
        port.unplug()
        await plant.state("absent")
        port.plug()
        assert port.device != before, "it comes back under another number"
        plant.mended()
        await plant.state("up")
        await told(plant, port, 2)
        return plant.outcome()


async def silent(folder: Path) -> Outcome:
    async with listening(folder, 'stall = "1s"') as (plant, port):
        await plant.state("silent")
        plant.mended()
        await told(plant, port, 2)
        await plant.state("up")
        return plant.outcome()


async def garbage(folder: Path) -> Outcome:
    async with listening(folder) as (plant, port):
        port.feed(b"\xff\x00garbage {]\n" * 20)
        plant.mended()
        await told(plant, port, 2)
        await plant.fault("not JSON")
        return plant.outcome()


async def half_a_frame(folder: Path) -> Outcome:
    async with listening(folder) as (plant, port):
        port.feed(b'{"t": 12')
        port.unplug()
        await plant.state("absent")
        port.plug()
        plant.mended()
        await plant.state("up")
        port.feed(b"3}\n")  # what would complete it to another number
        await told(plant, port, 2)
        return plant.outcome()


async def held_by_another(folder: Path) -> Outcome:
    plant = Plant(folder, "boiler", "boiler/#")
    with FakePort(folder / "port") as port:
        holder = os.open(port.path, os.O_RDWR | os.O_NOCTTY)
        fcntl.flock(holder, fcntl.LOCK_EX)
        try:
            async with plant.running(LISTENING.format(port=port.path, more="")):
                await plant.state("faulted")
                fcntl.flock(holder, fcntl.LOCK_UN)
                plant.mended()
                await plant.state("up")
                await told(plant, port, 1)
                return plant.outcome()
        finally:
            os.close(holder)


FRAMED = """
[devices.boiler]
reader = "serial"
port = "{port}"
publish = {{ policy = "every" }}
framing = {{ type = "binary", start = "AA C0", length = 5, checksum = {check} }}
decoder = {{ type = "binary", byte_order = "big", fields = {{ t = {{ at = 2, type = "u16" }} }} }}
"""

SUM = '{ type = "sum8", start = 2 }'


def binary(value: int) -> bytes:
    """Return a frame with a value and its sum."""
    body = value.to_bytes(2, "big")
    return b"\xaa\xc0" + body + bytes([sum(body) & 0xFF])


async def noise_between_frames(folder: Path) -> Outcome:
    plant = Plant(folder, "boiler", "boiler/#")
    with FakePort(folder / "port") as port:
        async with plant.running(FRAMED.format(port=port.path, check=SUM)):
            await plant.state("up")
            for value in range(1, 20):
                # Beginnings of frames, and a whole one that is damaged.
                noise = [b"\xaa", b"\xaa\xc0\x12", b"\xff\x00", binary(999)[:-1] + b"\x00"]
                plant.sent.append(value)
                port.feed(noise[value % len(noise)] + binary(value))
            await plant.value(19)
            plant.begin()
            plant.mended()
            plant.sent.append(20)
            port.feed(binary(20))
            await plant.value(20)
            await plant.fault("wrong checksum")
            return plant.outcome()


async def terminal_server_restarted(folder: Path) -> Outcome:
    plant = Plant(folder, "boiler", "boiler/#")
    writers: list[asyncio.StreamWriter] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    def said_by_it(value: float) -> None:
        plant.sent.append(value)
        writers[-1].write(b'{"t": %g}\n' % value)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    number = server.sockets[0].getsockname()[1]
    try:
        config = LISTENING.format(port=f"socket://127.0.0.1:{number}", more="")
        async with plant.running(config):
            await plant.state("up")
            said_by_it(1)
            await plant.value(1)
            plant.begin()
            server.close()
            writers.pop().transport.abort()
            await plant.state("absent")
            server = await asyncio.start_server(serve, "127.0.0.1", number)
            plant.mended()
            await plant.state("up")
            said_by_it(2)
            await plant.value(2)
            return plant.outcome()
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


# -- a line that is asked --------------------------------------------------------------------------

ASKED = """
[devices.boiler]
reader = "serial"
port = "{port}"
decoder = "json"
publish = {{ policy = "every" }}
[[devices.boiler.requests]]
send = "?\\r\\n"
interval = 0.2
timeout = 0.2
retries_before_reopen = 3
"""


class Answering:
    """A device that answers each request, with the next value, as it is made to."""

    def __init__(self, plant: Plant, port: FakePort) -> None:
        self._plant = plant
        self._port = port
        self._got = b""
        self._next = 1.0
        self.before = b""
        """What comes on the line before each answer."""
        self.is_dead = False
        self.echoes = False
        self.listen()

    def listen(self) -> None:
        assert self._port._master is not None
        asyncio.get_running_loop().add_reader(self._port._master, self._readable)

    def close(self) -> None:
        if self._port._master is not None:
            asyncio.get_running_loop().remove_reader(self._port._master)

    def _readable(self) -> None:
        assert self._port._master is not None
        try:
            self._got += os.read(self._port._master, 4096)
        except OSError:
            return  # nobody has it open
        while b"\r\n" in self._got:
            request, _, self._got = self._got.partition(b"\r\n")
            if self.echoes:
                self._port.feed(request + b"\r\n")
            if not self.is_dead:
                self._plant.sent.append(self._next)
                self._port.feed(self.before + b'{"t": %g}\n' % self._next)
                self._next += 1


@asynccontextmanager
async def asked(folder: Path) -> AsyncIterator[tuple[Plant, Answering]]:
    """Run a daemon that asks a device, which has answered."""
    plant = Plant(folder, "boiler", "boiler/#")
    with FakePort(folder / "port") as port:
        device = Answering(plant, port)
        try:
            async with plant.running(ASKED.format(port=port.path)):
                await plant.value(1)
                plant.begin()
                yield plant, device
        finally:
            device.close()


async def more(plant: Plant, count: int = 3) -> None:
    """Wait for more good values than there are, so that the last ones have arrived."""
    wanted = len(plant.values) + count
    await plant.until(lambda: len(plant.values) >= wanted)
    plant.sent = [one for one in plant.sent if one <= max(plant.values)]


async def unanswered(folder: Path) -> Outcome:
    async with asked(folder) as (plant, device):
        device.is_dead = True
        await plant.state("silent")
        device.is_dead = False
        plant.mended()
        await plant.state("up")
        await plant.value(plant.sent[-1])
        await more(plant)
        return plant.outcome()


async def echoed(folder: Path) -> Outcome:
    async with asked(folder) as (plant, device):
        device.echoes = True
        plant.mended()
        await plant.value(max(plant.sent) + 1)
        await plant.fault("not JSON")
        await more(plant)
        return plant.outcome()


async def noisy(folder: Path) -> Outcome:
    async with asked(folder) as (plant, device):
        device.before = b"\xff\x81\x00\n"
        plant.mended()
        await plant.value(max(plant.sent) + 1)
        await plant.fault("not JSON")
        await more(plant)
        return plant.outcome()


# -- a bus -----------------------------------------------------------------------------------------

BUS = """
[devices.cabinet]
reader = "modbus"
port = "{port}"
interval = 0.1
timeout = {timeout}
publish = {{ policy = "every" }}
[devices.cabinet.units.oven]
unit = 1
registers.t = {{ address = 0 }}
[devices.cabinet.units.kitchen]
unit = 2
registers.t = {{ address = 0 }}
"""

OVEN, KITCHEN = 7, 4711


@asynccontextmanager
async def bus(
    folder: Path, device: str = "oven", *, timeout_s: float = 0.1
) -> AsyncIterator[tuple[Plant, ModbusLine]]:
    """Run a daemon on a bus with two units, of which both have answered."""
    plant = Plant(folder, device, f"{device}/#" if device != "cabinet" else "oven/#")
    with ModbusLine(folder / "port", {1: Slave({0: OVEN}), 2: Slave({0: KITCHEN})}) as line:
        plant.sent = [OVEN]
        async with plant.running(BUS.format(port=line.path, timeout=timeout_s)):
            await plant.value(OVEN)
            await plant.state("up")
            plant.begin()
            yield plant, line


async def bus_more(plant: Plant, count: int = 5) -> None:
    """Wait for more good values; a wrong one would be among them."""
    wanted = len(plant.values) + count
    await plant.until(lambda: len(plant.values) >= wanted)


def new_value(plant: Plant, line: ModbusLine, value: int) -> None:
    """Have the unit measure another value."""
    line.slaves[1].words[0] = value
    plant.sent.append(value)


async def bus_unplugged(folder: Path) -> Outcome:
    async with bus(folder, "cabinet") as (plant, line):
        line.unplug()
        await plant.state("absent")
        new_value(plant, line, 8)
        line.plug()
        line.listen()
        plant.mended()
        await plant.value(8)
        await plant.state("up")
        return plant.outcome()


async def dead_unit(folder: Path) -> Outcome:
    async with bus(folder) as (plant, line):
        line.slaves[1].is_dead = True
        await plant.state("silent")
        line.slaves[1].is_dead = False
        new_value(plant, line, 8)
        plant.mended()
        await plant.value(8)
        await plant.state("up")
        return plant.outcome()


async def bus_echo(folder: Path) -> Outcome:
    async with bus(folder) as (plant, line):
        line.echoes = True
        new_value(plant, line, 8)
        plant.mended()
        await plant.value(8)
        await bus_more(plant)
        return plant.outcome()


async def on_bad_line(folder: Path, spoil: Callable[[ModbusLine, bytes], bytes]) -> Outcome:
    """Spoil every second answer for a while."""
    async with bus(folder, timeout_s=0.5) as (plant, line):
        count = 0

        def deliver(frame: bytes) -> None:
            nonlocal count
            count += 1
            line.send(spoil(line, frame) if count % 2 else frame)

        line.deliver = deliver
        await bus_more(plant, 6)
        await plant.until(lambda: plant.statuses[-1]["faults"])
        line.deliver = line.send
        new_value(plant, line, 8)
        plant.mended()
        await plant.value(8)
        return plant.outcome()


async def bus_noise(folder: Path) -> Outcome:
    return await on_bad_line(folder, lambda _, frame: b"\x00\xff\x17" + frame)


async def bus_half(folder: Path) -> Outcome:
    return await on_bad_line(folder, lambda _, frame: frame[: len(frame) // 2])


async def bus_two_at_once(folder: Path) -> Outcome:
    """Two units of the same number: what is heard is the one driver against the other."""

    def collided(_: ModbusLine, frame: bytes) -> bytes:
        other = bytes(frame[:3]) + b"\x12\x34\xab\xcd"
        return bytes(a & b for a, b in zip(frame, other, strict=False))

    return await on_bad_line(folder, collided)


BUS_TCP = BUS.replace('port = "{port}"', 'host = "127.0.0.1"\nport = {port}')


@asynccontextmanager
async def bus_tcp(folder: Path, device: str) -> AsyncIterator[tuple[Plant, ModbusServer]]:
    """Run a daemon that reads two units over Modbus TCP, both of which have answered."""
    plant = Plant(folder, device, "oven/#")
    plant.sent = [OVEN]
    server = ModbusServer({1: Slave({0: OVEN}), 2: Slave({0: KITCHEN})})
    async with server, plant.running(BUS_TCP.format(port=server.port, timeout=0.1)):
        await plant.value(OVEN)
        await plant.state("up")
        plant.begin()
        yield plant, server


async def tcp_dead_unit(folder: Path) -> Outcome:
    async with bus_tcp(folder, "oven") as (plant, server):
        server.slaves[1].is_dead = True
        await plant.state("silent")
        server.slaves[1].is_dead = False
        server.slaves[1].words[0] = 8
        plant.sent.append(8)
        plant.mended()
        await plant.value(8)
        await plant.state("up")
        assert server.connections == 1
        return plant.outcome()


async def tcp_restarted(folder: Path) -> Outcome:
    async with bus_tcp(folder, "cabinet") as (plant, server):
        await server.stop()
        await plant.state("absent")
        server.slaves[1].words[0] = 8
        plant.sent.append(8)
        await server.start(server.port)
        plant.mended()
        await plant.value(8)
        await plant.state("up")
        return plant.outcome()


# -- a broker --------------------------------------------------------------------------------------

HOUSE = """
[devices.house]
reader = "mqtt"
host = "{broker.host}"
port = {broker.port}
decoder = "json"
device = "{{1}}"
topic = "{{device}}/{{field}}"
publish = {{ policy = "every" }}
keepalive = 1
{more}
[[devices.house.topics]]
filter = "z/+"
availability = {{ filter = "z/{{1}}/online", online = ["1"], offline = ["0"] }}
"""


async def said(plant: Plant, publisher: Publisher, value: float) -> None:
    """Publish a value, and wait for its reading."""
    plant.sent.append(value)
    await asyncio.to_thread(publisher.publish, "z/hall", b'{"t": %g}' % value)
    await plant.value(value)


@asynccontextmanager
async def house(folder: Path, device: str = "house") -> AsyncIterator[tuple[Plant, Broker]]:
    """Run a broker, and a daemon that has read one value of it."""
    plant = Plant(folder, device, "hall/#")
    with Broker(folder) as broker:
        async with plant.running(HOUSE.format(broker=broker, more="")) as daemon:
            await asyncio.to_thread(daemon.wait_for_log, "device is up")
            with Publisher(broker) as publisher:
                await said(plant, publisher, 1)
            await plant.state("up")
            plant.begin()
            yield plant, broker


async def broker_restarted(folder: Path) -> Outcome:
    async with house(folder) as (plant, broker):
        await asyncio.to_thread(broker.stop)
        await plant.state("absent")
        await asyncio.to_thread(broker.start)
        plant.mended()
        await plant.state("up")
        with Publisher(broker) as publisher:
            await said(plant, publisher, 2)
        return plant.outcome()


async def broker_silent(folder: Path) -> Outcome:
    async with house(folder) as (plant, broker):
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGSTOP)
        await plant.state("faulted")
        os.kill(broker.pid, signal.SIGCONT)
        plant.mended()
        await plant.state("up")
        with Publisher(broker) as publisher:
            await said(plant, publisher, 2)
        return plant.outcome()


async def last_will(folder: Path) -> Outcome:
    async with house(folder, "hall") as (plant, broker):
        with Publisher(broker) as publisher:
            publisher.publish("z/hall/online", b"0")
            await plant.state("silent")
            publisher.publish("z/hall/online", b"1")
            plant.mended()
            await said(plant, publisher, 2)
            await plant.state("up")
        return plant.outcome()


async def broker_garbage(folder: Path) -> Outcome:
    async with house(folder) as (plant, broker):
        with Publisher(broker) as publisher:
            publisher.publish("z/hall", *[b"\xff\x00{]"] * 20)
            plant.mended()
            await said(plant, publisher, 2)
        await plant.fault("not JSON")
        return plant.outcome()


async def wrong_login(folder: Path) -> Outcome:
    passwords, secret = folder / "passwords", folder / "secret"
    program = needed("mosquitto_passwd", "mosquitto")
    command = [program, "-b", "-c", str(passwords), "gateway", "right"]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    plant = Plant(folder, "house", "hall/#")
    rules = folder / "rules"
    rules.write_text("topic readwrite #\nuser gateway\ntopic readwrite #\n")
    options = ["allow_anonymous true", f"password_file {passwords}", f"acl_file {rules}"]
    with Broker(folder, *options) as broker:
        login = f'username = "gateway"\npassword_file = "{secret}"\n'
        async with plant.running(HOUSE.format(broker=broker, more=login)):
            await plant.state("faulted")
            secret.write_text("right\n")
            plant.mended()
            await plant.state("up")
            with Publisher(broker) as publisher:
                await said(plant, publisher, 1)
            return plant.outcome()


# -- a file ----------------------------------------------------------------------------------------

CHIP = """
[devices.chip]
reader = "file"
path = "{path}"
interval = 0.05
decoder = "number"
publish = {{ policy = "on_change" }}
"""


@asynccontextmanager
async def chip(folder: Path) -> AsyncIterator[tuple[Plant, Path]]:
    """Run a daemon that reads a file."""
    plant = Plant(folder, "chip", "chip/#")
    path = folder / "temp1"
    path.write_text("1\n")
    plant.sent = [1]
    async with plant.running(CHIP.format(path=path)):
        await plant.value(1)
        await plant.state("up")
        plant.begin()
        yield plant, path


async def file_gone(folder: Path) -> Outcome:
    async with chip(folder) as (plant, path):
        path.unlink()
        await plant.state("absent")
        path.write_text("2\n")
        plant.sent.append(2)
        plant.mended()
        await plant.value(2)
        return plant.outcome()


async def file_garbage(folder: Path) -> Outcome:
    async with chip(folder) as (plant, path):
        path.write_bytes(b"\xff\x00garbage\n")
        await plant.until(lambda: plant.statuses[-1]["faults"])
        path.write_text("2\n")
        plant.sent.append(2)
        plant.mended()
        await plant.value(2)
        return plant.outcome()


async def file_unreadable(folder: Path) -> Outcome:
    async with chip(folder) as (plant, path):
        path.unlink()
        path.mkdir()
        await plant.state("faulted")
        path.rmdir()
        path.write_text("2\n")
        plant.sent.append(2)
        plant.mended()
        await plant.value(2)
        return plant.outcome()


AWAY = "disconnected"

CASES = [
    Case("unplugged, back under another number", "serial", unplugged, "absent", "unplugged", AWAY),
    Case("silence", "serial", silent, "silent", "silent", AWAY),
    Case("garbage", "serial", garbage, "up", "not JSON"),
    Case("half a line, then unplugged", "serial", half_a_frame, "absent", "unplugged", AWAY),
    Case("held by another program", "serial", held_by_another, "faulted", "port is busy"),
    Case("noise between frames", "serial", noise_between_frames, "up", "wrong checksum"),
    Case(
        "the terminal server restarts",
        "serial, socket://",
        terminal_server_restarted,
        "absent",
        "connection",
        AWAY,
    ),
    Case("no answer", "serial, asked", unanswered, "silent", "no answer", AWAY),
    Case("echo", "serial, asked", echoed, "up", "not JSON"),
    Case("noise before the answer", "serial, asked", noisy, "up", "not JSON"),
    Case("unplugged", "modbus", bus_unplugged, "absent", "unplugged", AWAY),
    Case("a dead unit of two", "modbus", dead_unit, "silent", "no answer", AWAY),
    Case("echo", "modbus", bus_echo, "up", ""),
    Case("noise before the answer", "modbus", bus_noise, "up", "stray bytes"),
    Case("half an answer", "modbus", bus_half, "up", "garbled answer"),
    Case("two units answer at once", "modbus", bus_two_at_once, "up", "garbled answer"),
    Case("a dead unit of two", "modbus, TCP", tcp_dead_unit, "silent", "no answer", AWAY),
    Case("the server restarts", "modbus, TCP", tcp_restarted, "absent", "connection", AWAY),
    Case("the broker restarts", "mqtt", broker_restarted, "absent", "connection", AWAY),
    Case("the broker hangs", "mqtt", broker_silent, "faulted", "broker silent", AWAY),
    Case("a device's last will", "mqtt", last_will, "silent", "reported offline", AWAY),
    Case("garbage", "mqtt", broker_garbage, "up", "not JSON"),
    Case("wrong login", "mqtt", wrong_login, "faulted", "broker refused"),
    Case("the file is gone", "file", file_gone, "absent", "no such file", AWAY),
    Case("garbage", "file", file_garbage, "up", "bad encoding"),
    Case("no permission to read", "file", file_unreadable, "faulted", "cannot read", AWAY),
]


async def play(case: Case, folder: Path) -> Outcome:
    """Play a case, and return what was seen."""
    return await case.act(folder)


def row(case: Case) -> str:
    """Return the case's row of the table in `docs/faults.md`, without the time."""
    monitor = f"`bad: {case.quality}`" if case.quality else "the next value"
    reason = f"`{case.reason}`" if case.reason else ""
    return f"| {case.fault} | {case.reader} | `{case.state}` | {reason} | {monitor} | {case.lost} |"


def main() -> None:
    """Play all cases, and print the table with the times."""
    for case in CASES:
        with (
            tempfile.TemporaryDirectory() as folder,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            seen = runner.run(play(case, Path(folder)))
        took = "" if seen.recovery_s is None else f"{seen.recovery_s:.2f} s"
        sys.stdout.write(f"{row(case)} {took} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
