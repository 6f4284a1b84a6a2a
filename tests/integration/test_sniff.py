"""`sniff` at a running server: rights, bounds, audit, and each reader with its real connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sensord.access.rights import EVERYTHING, Rights
from sensord.client import Client, Row, Sight, Sniffing, Update, What
from sensord.config.tree import Device as DeviceConfig
from sensord.decode import number
from sensord.decode.framing import framer_of
from sensord.decode.framing.lines import Config as Framing
from sensord.device.device import Device
from sensord.device.policy import Policy
from sensord.device.reader import Link
from sensord.model.clocks import SystemClock
from sensord.server.requests.sniff import MOST_BYTES, MOST_SIGHTS
from sensord.wire.frames import MSGPACK
from tests.integration.test_tokens import Keys
from tests.kit.broker import Broker, Publisher
from tests.kit.daemon import Daemon, on_uvloop, sensord
from tests.kit.fakeport import FakePort
from tests.kit.loops import DEADLINE_S, on_each_loop
from tests.kit.modbus import ModbusLine, Slave
from tests.kit.monitor import lazy_monitor, monitor
from tests.kit.station import Station


def device_at(station: Station, name: str = "boiler") -> tuple[Device, Link]:
    """Return a device of a station whose lines are numbers, and its reader's link."""
    config = DeviceConfig(
        name=name,
        reader="serial",
        reader_config=None,
        decoder="number",
        decoder_config=None,
        framing=Framing(),
        topic="{device}/{field}",
        description="",
        publish=Policy(),
        max_channels=100,
        channels={},
    )
    loop = asyncio.get_running_loop()
    decoder = number.Decoder(number.Config())
    device = Device(config, framer_of(Framing()), decoder, station.bus, SystemClock(), loop)
    station.server.shared.lenses.add(device.lens)
    return device, device.lens.over(device)


@asynccontextmanager
async def looking(
    station: Station, **more: Any
) -> AsyncIterator[tuple[Callable[[int], Any], Device, Link]]:
    """Run a client that looks at a device, and hand on what reads its next sights."""
    device, link = device_at(station)
    async with Client(station.url, **more) as client, client.sniff("boiler") as sniffing:
        while not sniffing.connection:
            await client.ping()

        async def seen(count: int) -> list[Sight]:
            found: list[Sight] = []
            async with asyncio.timeout(DEADLINE_S):
                while len(found) < count:
                    arrived = await sniffing.arrived()
                    assert arrived is not None
                    found += arrived.items
            return found

        yield seen, device, link
    device.close()


async def ended(device: Device) -> None:
    """Return when nobody looks at a device."""
    async with asyncio.timeout(DEADLINE_S):
        while device.lens.is_used:  # noqa: ASYNC110  # a session that vanished signals nothing
            await asyncio.sleep(0.001)


@on_each_loop
async def test_raw_and_decoded_come_side_by_side() -> None:
    """In their order, while the readings go on."""
    async with Station() as station, looking(station) as (seen, _, link):
        link.data(b"21.5\n")
        link.data(b"broken\n")
        sights = await seen(5)
    kinds = [What.RECEIVED, What.VALUE, What.RECEIVED, What.FAULT, What.VALUE]
    assert [one.what for one in sights] == kinds
    assert [sights[0].data, sights[2].data] == [b"21.5\n", b"broken\n"]
    assert (sights[1].topic, sights[1].value) == ("boiler/value", 21.5)


@on_each_loop
async def test_nobody_looks_any_more_when_the_session_has_ended() -> None:
    """A client that vanishes leaves nothing behind; who looked is in the audit."""
    async with Station() as station:
        async with looking(station) as (_, device, _):
            assert device.lens.is_used
        await ended(device)
        audit = station.bus.find("$audit/sniff")
        assert audit is not None
        pieces = station.log.read(0, station.log.tail)
        entries = [r.reading.value for piece in pieces for r in piece if r.channel is audit]
    assert [(one["subject"], one["result"]) for one in entries if isinstance(one, dict)] == [
        ("boiler", "begun"),
        ("boiler", "ended"),
    ]


@on_each_loop
async def test_only_a_holder_of_admin_may_look(tmp_path: Path) -> None:
    """A right to read everything is not enough; the refusal shows nothing of what exists."""
    keys = Keys(tmp_path)
    everything = ("#", "$sys/#", "$audit/#")
    reader, _ = keys.make(Rights(read=everything, write=("#",), call=("#",)))
    admin, _ = keys.make(EVERYTHING)
    async with Station(gate=keys.gate()) as station:
        device_at(station)
        async with monitor(station.url, says_hello=False) as client:
            await client.ask("hello", token=reader)
            texts = [await client.ask("sniff", device=name) for name in ("boiler", "nothing")]
        assert {(one["code"], one["message"]) for one in texts} == {
            ("forbidden", "sniff needs a token with admin")
        }
        async with monitor(station.url, says_hello=False) as client:
            await client.ask("hello", token=admin)
            assert (await client.ask("sniff", device="boiler"))["connection"] == "boiler"
            missing = await client.ask("sniff", device="nothing")
    assert (missing["code"], missing["message"]) == (
        "not_found",
        "there is no device nothing; there are boiler",
    )


@on_each_loop
async def test_a_client_that_does_not_read_loses_sights_and_gets_their_count() -> None:
    """What waits for it is bounded, no reading is lost, and each sight is shown or counted."""
    pieces = 40_000
    async with Station() as station:
        device, link = device_at(station)
        async with lazy_monitor(station.url) as client:
            await client.ask("sniff", device="boiler")
            (sniffing,) = device.lens._eyes
            for index in range(pieces):
                link.data(b"%05d\n" % index)
                assert len(sniffing._waiting) <= MOST_SIGHTS + 1  # type: ignore[attr-defined]
                assert sniffing._bytes <= MOST_BYTES + 4096  # type: ignore[attr-defined]
                if not index % 100:
                    await asyncio.sleep(0)
            assert device.statistics().samples == pieces
            told: list[dict[str, Any]] = []

            def total() -> int:
                return sum(one.get("count", 1) for one in told)

            async with asyncio.timeout(DEADLINE_S):
                while total() < 2 * pieces:
                    message: Any = MSGPACK.decode(await client.receive())
                    told += message["sights"] if message["op"] == "sights" else []
        device.close()
    assert total() == 2 * pieces
    assert any(one["what"] == "dropped" for one in told)


# -- with real connections -------------------------------------------------------------------------


class Sights:
    """What a client sees of a device, one after the other."""

    def __init__(self, sniffing: Sniffing) -> None:
        self._sights = aiter(sniffing)

    async def first(self, what: What, **fields: Any) -> Sight:
        """Return the next sight of a kind and with these fields."""
        async for sight in self._sights:
            if sight.what is what and all(getattr(sight, k) == v for k, v in fields.items()):
                return sight
        raise AssertionError("it has ended")


@asynccontextmanager
async def sights_of(client: Client, device: str) -> AsyncIterator[Sights]:
    """Look at a device, once it is known: one behind a connection is when that has been opened."""
    async for item in client.subscribe(f"$sys/devices/{device}"):
        if isinstance(item, Update):
            break
    async with client.sniff(device) as sniffing:
        await client.ping()
        assert sniffing.connection
        yield Sights(sniffing)


@on_uvloop()
async def test_a_serial_line_is_shown_without_taking_the_port(tmp_path: Path) -> None:
    """Requests, answers and values; the connection is made once."""
    with FakePort(tmp_path / "port") as port:
        config = f"""
        [devices.scale]
        reader = "serial"
        port = "{port.path}"
        decoder = "number"
        poll = {{ command = "S\\r\\n", interval = 0.1, timeout = 0.1 }}
        """
        with Daemon(tmp_path, config) as daemon:
            async with Client(daemon.url) as client, sights_of(client, "scale") as sights:
                await sights.first(What.SENT, data=b"S\r\n")
                port.feed(b"13.5\r\n")
                raw = await sights.first(What.RECEIVED)
                value = await sights.first(What.VALUE)
                devices = [row async for row in client.devices() if isinstance(row, Row)]
    assert (raw.data, value.topic, value.value) == (b"13.5\r\n", "scale/value", 13.5)
    assert [row.fields["connects"] for row in devices] == [1]


@on_uvloop()
async def test_answers_to_several_requests_are_shown_as_they_came(tmp_path: Path) -> None:
    """Also those that no pattern matches, which are no messages."""
    with FakePort(tmp_path / "port") as port:
        config = f"""
        [devices.scale]
        reader = "serial"
        port = "{port.path}"
        decoder = "number"
        [[devices.scale.requests]]
        name = "weight"
        send = "S\\r\\n"
        interval = 0.1
        timeout = 0.1
        """
        with Daemon(tmp_path, config) as daemon:
            async with Client(daemon.url) as client, sights_of(client, "scale") as sights:
                await sights.first(What.SENT, data=b"S\r\n")
                port.feed(b"13")
                assert (await sights.first(What.RECEIVED)).data == b"13"
                await sights.first(What.SENT)
                port.feed(b"14\r\n")
                message = await sights.first(What.MESSAGE)
                value = await sights.first(What.VALUE)
    assert (message.source, message.data, value.value) == ("weight", b"14", 14.0)


@on_uvloop()
async def test_a_broker_is_shown_with_topics(tmp_path: Path) -> None:
    """Messages with their topics and payloads, retained ones too, and their values."""
    with Broker(tmp_path) as broker, Publisher(broker) as publisher:
        config = f"""
        [devices.house]
        reader = "mqtt"
        host = "{broker.host}"
        port = {broker.port}
        decoder = "any"
        topics = [{{ filter = "house/#" }}]
        """
        with Daemon(tmp_path, config) as daemon:
            daemon.wait_for_log("device is up")
            async with Client(daemon.url) as client, sights_of(client, "house") as sights:
                publisher.publish("house/door", b"open")
                message = await sights.first(What.MESSAGE)
                value = await sights.first(What.VALUE)
                broker.stop()
                down = await sights.first(What.DOWN)
    assert (message.source, message.data, value.value) == ("house/door", b"open", "open")
    assert "connection" in down.detail


@on_uvloop()
async def test_requests_and_answers_of_a_bus_are_shown(tmp_path: Path) -> None:
    """Each request with its unit, the bytes that came, the values, and who did not answer."""
    with ModbusLine(tmp_path / "port", {1: Slave({0: 2257})}) as line:
        config = f"""
        [devices.cabinet]
        reader = "modbus"
        port = "{line.path}"
        interval = 0.1
        timeout = 0.2
        [devices.cabinet.units.oven]
        unit = 1
        table = "input"
        registers.voltage = {{ address = 0, scale = 0.1, unit = "V" }}
        [devices.cabinet.units.dead]
        unit = 2
        table = "input"
        registers.voltage = {{ address = 0 }}
        """
        daemon = Daemon(tmp_path, config)
        await asyncio.to_thread(daemon.start)
        try:
            async with Client(daemon.url) as client, sights_of(client, "oven") as sights:
                sent = await sights.first(What.SENT, source="oven")
                raw = await sights.first(What.RECEIVED)
                value = await sights.first(What.VALUE)
                fault = await sights.first(What.FAULT)
        finally:
            await asyncio.to_thread(daemon.kill)
    assert sent.data.hex().startswith("010400000001")
    assert raw.data.hex().startswith("01")
    assert (value.topic, value.value, value.unit) == ("oven/voltage", 225.7, "V")
    assert fault.reason == "no answer"


@on_uvloop()
async def test_files_and_made_up_signals_are_shown(tmp_path: Path) -> None:
    """A file as its content; what connects to nothing shows its values."""
    (tmp_path / "temp").write_text("85000\n")
    config = f"""
    [devices.chip]
    reader = "file"
    path = "{tmp_path}/temp"
    interval = 0.05
    decoder = "number"
    [devices.waves]
    reader = "simulated"
    interval = 0.05
    signals = {{ a = {{ low = 0, high = 9 }} }}
    """
    with Daemon(tmp_path, config) as daemon:
        async with Client(daemon.url) as client:
            async with sights_of(client, "chip") as sights:
                message = await sights.first(What.MESSAGE)
                assert (await sights.first(What.VALUE)).value == 85000
            async with sights_of(client, "waves") as sights:
                assert (await sights.first(What.VALUE)).topic == "waves/a"
    assert message.source == f"{tmp_path}/temp"


def test_the_command_ends_after_its_time(tmp_path: Path) -> None:
    """With the exit status 0, for people as lines."""
    config = """
    [devices.waves]
    reader = "simulated"
    interval = 0.05
    signals = { a = { low = 0, high = 9 } }
    """
    with Daemon(tmp_path, config) as daemon:
        done = sensord("sniff", "waves", "--for", "1s", "--url", daemon.url)
        unknown = sensord("sniff", "wave", "--url", daemon.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert all("waves/a" in line for line in done.stdout.splitlines())
    assert unknown.returncode != 0
    assert "there is no device wave; there are waves" in unknown.stderr
