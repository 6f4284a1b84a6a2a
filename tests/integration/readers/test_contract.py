"""Every reader keeps the contract of `sensord.readers.contract`, on both loops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from sensord.device.reader import Reader
from sensord.readers import (
    file,
    modbus,
    mqtt,
    nats,
    registry,
    replay,
    serial,
    simulated,
    template,
    udp,
)
from sensord.readers.contract import Bench, BrokenContractError, RecordedLink, checks
from sensord.readers.modbus import options as modbus_options
from sensord.readers.mqtt_options import Config, TopicMap
from sensord.readers.sources import SourceMap
from tests.integration.readers.test_template import free_udp_port
from tests.kit.broker import Broker, Publisher
from tests.kit.fakeport import FakePort
from tests.kit.journal import START_US, open_writer, walk_readings
from tests.kit.loops import run
from tests.kit.modbus import ModbusLine, Slave
from tests.kit.sources import NatsSource


class ClosableBench(Bench, Protocol):
    """One that the test closes."""

    def close(self) -> None: ...


class SerialBench:
    """A pseudo-terminal."""

    vanishes = True

    def __init__(self, folder: Path) -> None:
        self.port = FakePort(folder / "ttyUSB0")
        self._is_there = False

    def reader(self) -> Reader:
        return serial.Reader(serial.Config(str(self.port.path)))

    async def appear(self) -> None:
        if not self._is_there:
            self.port.plug()
            self._is_there = True

    async def vanish(self) -> None:
        self.port.unplug()
        self._is_there = False

    async def speak(self, number: int) -> None:
        self.port.feed(b"T=%d\n" % number)

    async def garbage(self) -> None:
        self.port.feed(bytes(range(256)))

    def has(self, link: RecordedLink, count: int) -> bool:
        return link.stream == b"".join(b"T=%d\n" % number for number in range(count))

    def close(self) -> None:
        self.port.__exit__(None, None, None)


class MqttBench:
    """A mosquitto."""

    vanishes = True

    def __init__(self, folder: Path) -> None:
        self.broker = Broker(folder)

    def reader(self) -> Reader:
        return mqtt.Reader(Config(self.broker.host, (TopicMap("t/#"),), port=self.broker.port))

    async def appear(self) -> None:
        if self.broker.pid is None:
            await asyncio.to_thread(self.broker.start)

    async def vanish(self) -> None:
        await asyncio.to_thread(self.broker.kill)

    async def _say(self, payload: bytes) -> None:
        def publish() -> None:
            with Publisher(self.broker) as publisher:
                publisher.publish("t/a", payload, qos=1)

        await asyncio.to_thread(publish)

    async def speak(self, number: int) -> None:
        await self._say(b"%d" % number)

    async def garbage(self) -> None:
        await self._say(bytes(range(256)))

    def has(self, link: RecordedLink, count: int) -> bool:
        return link.payloads == [b"%d" % number for number in range(count)]

    def close(self) -> None:
        if self.broker.pid is not None:
            self.broker.kill()


class ModbusBench:
    """A unit on a pseudo-terminal, which is asked."""

    vanishes = True

    def __init__(self, folder: Path) -> None:
        self.line = ModbusLine(folder / "ttyUSB0", {7: Slave({0: 1})})
        self._is_there = False

    def reader(self) -> Reader:
        unit = modbus_options.Unit(7, {"power": modbus_options.Register(0)}, interval=0.02)
        return modbus.Reader(modbus.Config({"m": unit}, port=str(self.line.path)))

    async def appear(self) -> None:
        if not self._is_there:
            self.line.plug()
            self.line.listen()
            self._is_there = True

    async def vanish(self) -> None:
        self.line.unplug()
        self._is_there = False

    async def speak(self, number: int) -> None:
        self.line.slaves[7].words[0] = number

    async def garbage(self) -> None:
        self.line.send(bytes(range(256)))

    def has(self, link: RecordedLink, count: int) -> bool:
        return link.samples_count >= count

    def close(self) -> None:
        self.line.close()


class FileBench:
    """A file that holds a value, and is read again and again."""

    vanishes = True

    def __init__(self, folder: Path) -> None:
        self.file = folder / "temp1_input"

    def reader(self) -> Reader:
        return file.Reader(file.Config(str(self.file), interval=0.02))

    async def appear(self) -> None:
        self.file.write_bytes(b"0\n")

    async def vanish(self) -> None:
        self.file.unlink()

    async def speak(self, number: int) -> None:
        self.file.write_bytes(b"%d\n" % number)

    async def garbage(self) -> None:
        self.file.write_bytes(bytes(range(256)))

    def has(self, link: RecordedLink, count: int) -> bool:
        return len(link.payloads) >= count

    def close(self) -> None:
        pass


class TemplateBench:
    """A socket that sends datagrams; the device is away while another program has the port."""

    vanishes = False  # datagrams have no connection that could be lost

    def __init__(self, _folder: Path) -> None:
        self.port = free_udp_port()

    def reader(self) -> Reader:
        return template.Reader(template.Config(self.port))

    async def appear(self) -> None:
        pass

    async def vanish(self) -> None:
        raise AssertionError

    def _say(self, payload: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
            device.sendto(payload, ("127.0.0.1", self.port))

    async def speak(self, number: int) -> None:
        self._say(b"T=%d" % number)

    async def garbage(self) -> None:
        self._say(bytes(range(256)))

    def has(self, link: RecordedLink, count: int) -> bool:
        return link.payloads == [b"T=%d" % number for number in range(count)]

    def close(self) -> None:
        pass


class UdpBench(TemplateBench):
    """The same for the reader that knows its senders."""

    def reader(self) -> Reader:
        return udp.Reader(udp.Config(self.port, "127.0.0.1"))


class UnaskedBench:
    """A source that speaks by itself, and cannot be lost once it is open."""

    vanishes = False

    async def appear(self) -> None:
        pass

    async def vanish(self) -> None:
        raise AssertionError

    async def speak(self, number: int) -> None:
        pass

    async def garbage(self) -> None:
        pass

    def has(self, link: RecordedLink, count: int) -> bool:
        return link.samples_count >= count

    def close(self) -> None:
        pass


class SimulatedBench(UnaskedBench):
    """Signals that are made up."""

    def __init__(self, _folder: Path) -> None:
        pass

    def reader(self) -> Reader:
        signals = {"t": simulated.Signal()}
        return simulated.Reader(simulated.Config(signals, interval=0.01))


class ReplayBench(UnaskedBench):
    """A recording."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "journal"
        self.folder.mkdir()
        writer = open_writer(self.folder)
        writer.commit(walk_readings(100), START_US, 0)
        writer.close(START_US, 100)

    def reader(self) -> Reader:
        return replay.Reader(replay.Config((str(self.folder),), speed=1e6))


class NatsBench:
    """A nats-server with a stream."""

    vanishes = True

    def __init__(self, folder: Path) -> None:
        self.source = NatsSource(folder)
        self._is_new = True
        self._is_there = False

    def reader(self) -> Reader:
        config = nats.Config((self.source.url,), (SourceMap("in.*"),), stream="plant")
        return nats.Reader(config)

    async def appear(self) -> None:
        if not self._is_there:
            start = self.source.prepare if self._is_new else self.source.start
            await asyncio.to_thread(start)
            self._is_there, self._is_new = True, False

    async def vanish(self) -> None:
        await asyncio.to_thread(self.source.kill)
        self._is_there = False

    async def speak(self, number: int) -> None:
        await asyncio.to_thread(self.source.send, number, number + 1)

    async def garbage(self) -> None:
        await asyncio.to_thread(self.source.send_bytes, bytes(range(256)))

    def has(self, link: RecordedLink, count: int) -> bool:
        return link.payloads[-count:] == [b"%d" % number for number in range(count)]

    def close(self) -> None:
        self.source.kill()


BENCHES: dict[str, Callable[[Path], ClosableBench]] = {
    "serial": SerialBench,
    "mqtt": MqttBench,
    "file": FileBench,
    "modbus": ModbusBench,
    "nats": NatsBench,
    "template": TemplateBench,
    "udp": UdpBench,
    "simulated": SimulatedBench,
    "replay": ReplayBench,
}


@pytest.fixture(params=sorted(BENCHES))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """The device's side of each reader in turn."""
    made = BENCHES[request.param](tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("check", checks, ids=lambda check: check.__name__)
@pytest.mark.parametrize("backend", ["asyncio", "uvloop"])
def test_a_reader_keeps_the_contract(bench: Bench, check: object, backend: str) -> None:
    """Whatever reader it is, the supervisor can rely on it."""
    assert callable(check)
    run(backend, check(bench))


def test_every_reader_of_ours_is_held_to_it() -> None:
    """One that is added to the registry is added to the benches."""
    assert set(registry.names()) <= set(BENCHES)


class Forgetful:
    """A reader that swallows its device's loss, and another one's cancellation."""

    async def run(self, link: RecordedLink) -> None:
        link.opened("somewhere")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return


class ForgetfulBench(SimulatedBench):
    """Its device's side."""

    def reader(self) -> Reader:
        return Forgetful()  # type: ignore[return-value]  # on purpose


def test_a_reader_that_swallows_cancellation_breaks_it(tmp_path: Path) -> None:
    """A check that cannot fail would be none."""
    with pytest.raises(BrokenContractError, match="the run returned"):
        run("asyncio", checks[-1](ForgetfulBench(tmp_path)))  # type: ignore[arg-type]
