"""The Modbus reader against pymodbus's server, and against units with the faults of real ones."""

from __future__ import annotations

import asyncio
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from sensord.client import Client, Update
from sensord.config.schema import Faults, structure
from sensord.device.backoff import Limits
from sensord.errors import DeviceError
from sensord.readers.modbus import Config, Reader
from tests.kit.fakeport import FakePort
from tests.kit.floor import Floor
from tests.kit.link import RecordingLink
from tests.kit.loops import on_each_loop
from tests.kit.modbus import Cable, ModbusLine, ModbusServer, Slave
from tests.kit.running import running, supervised

FLOATS = {
    "voltage": {"address": 0, "type": "f32", "unit": "V"},
    "current": {"address": 6, "type": "f32", "unit": "A"},
}


def config(**table: Any) -> Config:
    faults = Faults()
    built = structure(Config, table, (), faults)
    assert built is not None, faults.found
    return built


def meter(unit: int, **options: Any) -> dict[str, Any]:
    registers = {"power": {"address": 1, "unit": "W"}}
    return {"unit": unit, "registers": registers, "interval": 0.02, "timeout": 0.3, **options}


def values(link: RecordingLink, unit: str) -> list[tuple[str, Any]]:
    """Return all that came of one unit."""
    pairs = zip(link.routes, link.batches, strict=True)
    return [(s.field, s.value) for route, batch in pairs if route.device == unit for s in batch]


def simulated() -> list[SimDevice]:
    words = [SimData(0, values=[230.5, 0.0, 0.0, 1.25], datatype=DataType.FLOAT32)]
    bits = [SimData(0, values=[True, False, True] + [False] * 13, datatype=DataType.BITS)]
    return [SimDevice(id=unit, simdata=(bits, bits, words, words)) for unit in (1, 2)]


# -- pymodbus --------------------------------------------------------------------------------------


@on_each_loop
async def test_a_pymodbus_server_is_read_over_tcp() -> None:
    """Floats, coils and discrete inputs of two units."""
    server = ModbusTcpServer(simulated(), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    transport: Any = server.transport
    port = transport.sockets[0].getsockname()[1]
    bits = {"pump": {"address": 2, "table": "coil"}, "door": {"address": 1, "table": "discrete"}}
    units = {
        "main": {"unit": 1, "registers": FLOATS | bits},
        "sub": {"unit": 2, "registers": FLOATS, "table": "input"},
    }
    try:
        async with running(Reader(config(host="127.0.0.1", port=port, units=units))) as link:
            await link.until(lambda link: len(values(link, "main")) == 4 and values(link, "sub"))
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus's
    assert dict(values(link, "main")) == {
        "voltage": 230.5,
        "current": 1.25,
        "pump": True,
        "door": False,
    }
    assert dict(values(link, "sub")) == {"voltage": 230.5, "current": 1.25}
    assert link.described["main/voltage"].unit == "V"
    assert link.faults == []


@on_each_loop
async def test_a_pymodbus_server_is_read_over_a_line(tmp_path: Path) -> None:
    """RTU through two pseudo-terminals, as over a cable."""
    with (
        FakePort(tmp_path / "ours") as ours,
        FakePort(tmp_path / "theirs") as theirs,
        Cable(ours, theirs),
    ):
        server = ModbusSerialServer(simulated(), port=str(theirs.path), framer=FramerType.RTU)
        await server.serve_forever(background=True)
        units = {"main": {"unit": 1, "registers": FLOATS, "interval": 0.05}}
        try:
            async with running(Reader(config(port=str(ours.path), units=units))) as link:
                await link.until(lambda link: len(values(link, "main")) >= 6)
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus's
    assert dict(values(link, "main")) == {"voltage": 230.5, "current": 1.25}
    assert link.faults == []


# -- a bad line ------------------------------------------------------------------------------------


@on_each_loop
async def test_stray_bytes_cost_nothing(tmp_path: Path) -> None:
    """Each answer comes behind 1 to 8 of them, and is found."""
    chance = random.Random(1)
    slave = Slave({1: 0})
    with ModbusLine(tmp_path / "tty", {7: slave}) as line:

        def deliver(whole: bytes) -> None:
            line.send(chance.randbytes(chance.randint(1, 8)) + whole)
            slave.words[1] += 1

        line.deliver = deliver
        units = {"m": meter(7, interval=0.01, timeout=30)}
        async with running(Reader(config(port=str(line.path), baud=115200, units=units))) as link:
            await link.until(lambda link: len(values(link, "m")) >= 100)
    assert values(link, "m")[:100] == [("power", number) for number in range(100)]
    assert {reason for reason, _ in link.faults} == {"stray bytes"}


@on_each_loop
async def test_an_adapter_that_hears_itself_is_noticed(tmp_path: Path) -> None:
    """The echo is no fault, and no answer."""
    with ModbusLine(tmp_path / "tty", {7: Slave({1: 42})}) as line:
        line.echoes = True
        async with running(Reader(config(port=str(line.path), units={"m": meter(7)}))) as link:
            await link.until(lambda link: len(values(link, "m")) >= 3)
    assert set(values(link, "m")) == {("power", 42)}
    assert link.faults == []


@on_each_loop
async def test_a_late_answer_is_not_taken_for_the_next(tmp_path: Path) -> None:
    """It is named as what it is; and a value of one register never stands under another's name."""
    slave = Slave({1: 1, 300: 300})
    registers = {"one": {"address": 1}, "far": {"address": 300}}
    held: list[bytes] = []
    with ModbusLine(tmp_path / "tty", {7: slave}) as line:

        def deliver(whole: bytes) -> None:
            late = len(slave.asked) == 1
            loop = asyncio.get_running_loop()
            loop.call_later(1.2 if late else 0.0, line.send, whole)
            held.append(whole)

        line.deliver = deliver
        units = {"m": {"unit": 7, "registers": registers, "interval": 5, "timeout": 1.0}}
        async with running(Reader(config(port=str(line.path), units=units))) as link:
            await link.until(lambda link: len(values(link, "m")) >= 2)
    assert set(values(link, "m")) == {("one", 1), ("far", 300)}
    assert [reason for reason, _ in link.faults] == ["no answer", "late answer"]


@on_each_loop
async def test_what_a_unit_refuses_is_read_in_smaller_requests(tmp_path: Path) -> None:
    """It allows no gaps: the registers come all the same, and one that it has not is named."""
    slave = Slave({1: 1, 4: 4, 5: 5})
    registers = {f"r{at}": {"address": at} for at in (1, 4, 5, 6)}
    with ModbusLine(tmp_path / "tty", {7: slave}) as line:
        units = {"m": {"unit": 7, "registers": registers, "interval": 0.05}}
        async with running(Reader(config(port=str(line.path), units=units))) as link:
            await link.until(lambda link: len(set(values(link, "m"))) == 3)
            await link.until(lambda link: any("holding 6)" in text for _, text in link.faults))
    assert set(values(link, "m")) == {("r1", 1), ("r4", 4), ("r5", 5)}
    assert {reason for reason, _ in link.faults} == {"illegal data address"}
    assert slave.asked[0] == (3, 1, 6)


@on_each_loop
async def test_a_busy_unit_is_a_fault_with_its_name(tmp_path: Path) -> None:
    """It answers, so it is not silent; the next turn brings the value."""
    with ModbusLine(tmp_path / "tty", {7: Slave({1: 42}, busy=5)}) as line:
        async with running(Reader(config(port=str(line.path), units={"m": meter(7)}))) as link:
            await link.until(lambda link: values(link, "m"))
    assert [reason for reason, _ in link.faults] == ["device busy"] * 5
    assert link.availabilities == [("m", True)]


# -- silent units ----------------------------------------------------------------------------------


@on_each_loop
async def test_a_silent_unit_is_reported_and_comes_back(tmp_path: Path) -> None:
    """The other one is read all the time."""
    slaves = {1: Slave({1: 1}), 2: Slave({1: 2})}
    with ModbusLine(tmp_path / "tty", slaves) as line:
        units = {"a": meter(1, timeout=0.03), "b": meter(2, timeout=2)}
        async with supervised(Reader(config(port=str(line.path), units=units))) as (link, watch):
            await link.until(lambda link: values(link, "a") and values(link, "b"))
            slaves[1].is_dead = True
            await link.until(lambda link: ("a", False) in link.availabilities)
            count = len(values(link, "b"))
            await link.until(lambda link: len(values(link, "b")) > count + 20)
            slaves[1].is_dead = False
            await link.until(lambda link: link.availabilities[-1] == ("a", True))
            assert watch.count("down") == 0
    assert link.availabilities[2:] == [("a", False), ("a", True)]


@on_each_loop
async def test_a_line_on_which_nothing_answers_is_opened_again(tmp_path: Path) -> None:
    """It was never there; the reason names what to check."""
    with ModbusLine(tmp_path / "tty", {}) as line:
        reader = Reader(config(port=str(line.path), units={"m": meter(7, timeout=0.02)}))
        link = RecordingLink()
        with pytest.raises(DeviceError, match=r"no unit answers; check .*swapped"):
            await reader.run(link)
    assert link.details == []
    assert link.availabilities == [("m", False)]


@on_each_loop
async def test_a_silent_unit_costs_the_connection_nothing() -> None:
    """Over TCP, where other masters hang up; its late answers are not used either."""
    slaves = {1: Slave({1: 1}), 2: Slave({1: 2})}
    async with ModbusServer(slaves) as server:
        server.delays[1] = 0.2
        units = {"a": meter(1, timeout=0.05), "b": meter(2, timeout=5)}
        reader = Reader(config(host="127.0.0.1", port=server.port, units=units))
        async with running(reader) as link:
            await link.until(lambda link: ("a", False) in link.availabilities)
            count = len(values(link, "b"))
            await link.until(lambda link: len(values(link, "b")) > count + 20)
        assert server.connections == 1
    assert values(link, "a") == []
    assert set(values(link, "b")) == {("power", 2)}


@on_each_loop
async def test_a_server_that_is_not_modbus_tcp_is_named() -> None:
    """A converter in the wrong mode answers with frames of the line."""

    def garbled(frame: bytes) -> bytes:
        return bytes([3, 2, 0, 1]) if frame else b""

    slave = Slave({1: 1})
    slave.answer = garbled  # type: ignore[method-assign,assignment]  # as one that got half a frame
    async with ModbusServer({0: slave}, is_rtu=True) as server:
        reader = Reader(config(host="127.0.0.1", port=server.port, units={"m": meter(0)}))
        with pytest.raises(DeviceError, match="is it RTU over TCP"):
            await reader.run(RecordingLink())


@on_each_loop
async def test_rtu_frames_go_over_tcp_too() -> None:
    """As behind a converter that passes bytes."""
    async with ModbusServer({7: Slave({1: 42})}, is_rtu=True) as server:
        options = {"host": "127.0.0.1", "port": server.port, "rtu_over_tcp": True}
        async with running(Reader(config(**options, units={"m": meter(7)}))) as link:
            await link.until(lambda link: values(link, "m"))
    assert values(link, "m")[0] == ("power", 42)


def test_retries_are_as_for_other_ports() -> None:
    """Briefly for a port of this machine."""
    assert isinstance(Reader(config(port="/dev/x", units={"m": meter(1)})).limits, Limits)


def test_a_float_of_pymodbus_is_laid_out_as_ours() -> None:
    """So that the tests above compare what they seem to."""
    assert struct.pack(">f", 230.5) == bytes.fromhex("43 66 80 00")


@on_each_loop
async def test_each_unit_has_its_state_under_sys(tmp_path: Path) -> None:
    """A dead one is down with its reason and its faults, beside one that is up."""
    path = tmp_path / "tty"
    slaves = {1: Slave({0: 7}), 2: Slave({0: 8}, is_dead=True)}
    table = f"""
        [devices.bus]
        reader = "modbus"
        port = "{path}"
        interval = "20ms"
        timeout = "50ms"
        units.attic = {{ unit = 1, timeout = "5s", registers.power = {{ address = 0 }} }}
        units.cellar = {{ unit = 2, registers.power = {{ address = 0 }} }}
    """
    with ModbusLine(path, slaves):
        async with Floor(table) as floor, Client(floor.url) as client:
            found: dict[str, Any] = {}
            cellar: dict[str, Any] = {}
            async for item in client.subscribe("$sys/devices/+", "attic/power"):
                if isinstance(item, Update):
                    found[item.topic] = item.reading.value
                cellar = found.get("$sys/devices/cellar", {})
                if cellar.get("faults", {}).get("no answer", 0) >= 3 and "attic/power" in found:
                    break
    assert found["attic/power"] == 7
    assert cellar["state"] == "absent"
    assert cellar["connection"] == "bus"
    assert cellar["detail"].startswith("no answer: cellar (unit 2, holding 0)")
    assert found["$sys/devices/attic"]["state"] == "up"
    assert found["$sys/devices/attic"]["faults"] == {}
