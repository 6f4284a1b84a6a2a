"""Commands to real lines, a real broker and made-up devices, over the real wire."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from sensord.client import Client, CommandError, Control
from sensord.errors import ProtocolError
from sensord.model.readings import Value
from tests.kit.broker import Broker
from tests.kit.floor import Floor
from tests.kit.instrument import Instrument
from tests.kit.loops import on_each_loop
from tests.kit.modbus import ModbusLine, Slave


def oven(path: Path, more: str = "", *, poll: bool = False, decoder: str = "key_value") -> str:
    polling = '[devices.oven.poll]\ncommand = "READ?\\n"\ninterval = "20ms"\ntimeout = "20ms"\n'
    polling += "retries_before_reopen = 0\n"
    return f"""
        control.queue = 4
        [devices.oven]
        reader = "serial"
        port = "{path}"
        decoder = "{decoder}"
        stall = 0
        [devices.oven.channels.setpoint]
        type = "float"
        unit = "Cel"
        decimals = 1
        scale = 0.1
        range = [0, 300]
        {more}
        {polling if poll else ""}
    """


WITH_ANSWER = r"""
        [devices.oven.writable.setpoint]
        send = "SET {value:04d}\r\n"
        answer = "^OK(?: (?P<value>[0-9]+))?"
        refusal = "^ERR"
        timeout = "5s"
        [devices.oven.actions.light]
        send = "LIGHT {on:ON|OFF} {text}\r\n"
        arguments = { on = { type = "bool" }, text = { type = "string", default = "-" } }
        answer = "^OK"
        timeout = "200ms"
"""


@on_each_loop
async def test_a_serial_device_confirms_by_its_answer(tmp_path: Path) -> None:
    """The value is sent as the device has it, and told as readings have it."""

    def answer(line: str) -> str:
        return "OK 2154\r\n" if line == "SET 2155" else "OK\r\n"

    path = tmp_path / "ttyUSB0"
    with Instrument(path, answer) as instrument:
        async with Floor(oven(path, WITH_ANSWER)) as floor, Client(floor.url) as client:
            await floor.up("oven")
            control = Control(client)
            assert await control.set("oven/setpoint", 215.54) == 215.4
            assert await control.set("oven/setpoint", 20) == 20.0
            assert await control.call("oven/light", {"on": True}) is None
            assert await control.call("oven/light", {"on": False, "text": "é"}) is None
            # What confirms a command is no fault of the decoder's.
            assert floor._devices[0].statistics().faults == {}
    assert instrument.lines == ["SET 2155", "SET 0200", "LIGHT ON -", "LIGHT OFF é"]
    assert [result for _, result, _ in floor.audited("set")] == ["pending", "done"] * 2


@on_each_loop
async def test_a_device_that_says_no_is_believed(tmp_path: Path) -> None:
    """And its words are told."""
    path = tmp_path / "ttyUSB0"
    with Instrument(path, lambda _: "ERR door open\r\n"):
        async with Floor(oven(path, WITH_ANSWER)) as floor, Client(floor.url) as client:
            await floor.up("oven")
            with pytest.raises(CommandError, match="door open") as caught:
                await Control(client).set("oven/setpoint", 20, key="k1")
            assert (caught.value.reason, caught.value.may_have_acted) == ("rejected", False)
    assert floor.audited("set") == [("k1", "pending", ""), ("k1", "failed", "rejected")]


@on_each_loop
async def test_wrong_values_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """Type, range, missing and unknown arguments, and what would be a second command."""
    path = tmp_path / "ttyUSB0"
    with Instrument(path, lambda _: "OK\r\n") as instrument:
        async with Floor(oven(path, WITH_ANSWER)) as floor, Client(floor.url) as client:
            await floor.up("oven")
            control = Control(client)
            wrong: list[Value] = ["hot", True, None, [1], 300.1, -1]
            for value in wrong:
                with pytest.raises(ProtocolError, match="bad_request: value:"):
                    await control.set("oven/setpoint", value)
            calls: list[dict[str, Value]] = [{}, {"on": 1}, {"on": True, "off": True}]
            calls.append({"on": True, "text": "a\r\nb"})
            for args in calls:
                with pytest.raises(ProtocolError, match="bad_request"):
                    await control.call("oven/light", args)
            with pytest.raises(ProtocolError, match="cannot be sent"):
                await control.call("oven/light", {"on": True, "text": "☃"})
            with pytest.raises(ProtocolError, match="not_found"):
                await control.set("oven/door", 1)
    assert instrument.lines == []
    assert {result for _, result, _ in floor.audited("set")} == {"bad_request", "not_found"}


@on_each_loop
async def test_a_state_confirms_also_where_no_policy_publishes_it(tmp_path: Path) -> None:
    """A device that says its setpoint by itself: the same value again is news to a command."""
    more = """
        publish = { deadband = 50 }
        [devices.oven.writable.setpoint]
        send = "SET {value:d}\\n"
        timeout = "5s"
    """
    path = tmp_path / "ttyUSB0"
    with Instrument(path, lambda line: f"setpoint={line[4:]}\n") as instrument:
        async with Floor(oven(path, more)) as floor, Client(floor.url) as client:
            await floor.up("oven")
            instrument.feed(b"setpoint=200\n")
            control = Control(client)
            for value in (20.0, 21.5, 21.5):
                assert await control.set("oven/setpoint", value) == value
            published = [
                r.reading.value for r in floor.records if r.channel.topic == "oven/setpoint"
            ]
            assert published == [20.0]


@on_each_loop
async def test_commands_and_polls_never_meet_on_the_line(tmp_path: Path) -> None:
    """Whoever asks has the line until the answer is there; each gets its own answer."""

    def answer(line: str) -> str:
        return "setpoint=1\n" if line == "READ?" else f"OK {int(line[4:])}\n"

    path = tmp_path / "ttyUSB0"
    with Instrument(path, answer, after_s=0.003) as instrument:
        text = oven(path, WITH_ANSWER, poll=True)
        async with Floor(text) as floor, Client(floor.url) as client:
            await floor.up("oven")
            control = Control(client)
            for value in range(10):
                both = (
                    control.set("oven/setpoint", value),
                    control.set("oven/setpoint", value + 100),
                )
                assert list(await asyncio.gather(*both)) == [value, value + 100]
            await instrument.until(lambda lines: lines.count("READ?") > 10)
            faults = floor._devices[0].statistics().faults
            assert set(faults) <= {"no answer"}  # on a machine that is too busy for 20 ms
    # A poll that was given up may still be answered while the next line comes.
    assert len(instrument.overruns) <= faults.get("no answer", 0)
    assert len(instrument.commands()) == 20


@on_each_loop
async def test_a_polled_state_confirms_a_command(tmp_path: Path) -> None:
    """The line is free for polls as soon as the command is out."""
    state = {"setpoint": "1"}

    def answer(line: str) -> str | None:
        if line == "READ?":
            return f"setpoint={state['setpoint']}\n"
        state["setpoint"] = line[4:]
        return None

    more = """
        [devices.oven.writable.setpoint]
        send = "SET {value:d}\\n"
        timeout = "5s"
    """
    path = tmp_path / "ttyUSB0"
    with Instrument(path, answer) as instrument:
        async with Floor(oven(path, more, poll=True)) as floor, Client(floor.url) as client:
            await floor.up("oven")
            assert await Control(client).set("oven/setpoint", 21.5) == 21.5
    assert instrument.commands() == ["SET 215"]


@on_each_loop
async def test_a_silent_device_may_have_acted(tmp_path: Path) -> None:
    """The next command is sent all the same, in its order."""
    path = tmp_path / "ttyUSB0"
    with Instrument(path, lambda line: None if "ON" in line else "OK\r\n") as instrument:
        async with Floor(oven(path, WITH_ANSWER)) as floor, Client(floor.url) as client:
            await floor.up("oven")
            control = Control(client)
            calls = [control.call("oven/light", {"on": True}), control.set("oven/setpoint", 20)]
            silent, done = await asyncio.gather(*calls, return_exceptions=True)
            assert isinstance(silent, CommandError)
            assert (silent.reason, silent.may_have_acted) == ("unconfirmed", True)
            assert done == 20.0
    assert instrument.lines == ["LIGHT ON -", "SET 0200"]


@on_each_loop
async def test_more_than_may_wait_is_refused(tmp_path: Path) -> None:
    """One is under way and four wait; the sixth is told at once. All are made in order."""
    path = tmp_path / "ttyUSB0"
    with Instrument(path, lambda _: None) as instrument:
        async with Floor(oven(path, WITH_ANSWER)) as floor, Client(floor.url) as client:
            await floor.up("oven")
            control = Control(client)
            sets = [asyncio.ensure_future(control.set("oven/setpoint", 1))]
            await instrument.until(lambda lines: lines)
            sets += [asyncio.ensure_future(control.set("oven/setpoint", v)) for v in range(2, 6)]
            await floor.until("$audit/set", lambda value: value["after"] == 5.0)
            with pytest.raises(ProtocolError, match="too_many: 4 commands wait for oven"):
                await control.set("oven/setpoint", 6)
            for number in range(1, 6):
                await instrument.lines_are(number)
                instrument.feed(b"OK\r\n")
            assert await asyncio.gather(*sets) == [1, 2, 3, 4, 5]
    assert instrument.lines == [f"SET {value:04d}" for value in (10, 20, 30, 40, 50)]


@on_each_loop
async def test_when_the_device_goes_away_nothing_is_sent_later(tmp_path: Path) -> None:
    """Of what was sent nobody knows; what waits is not sent; what is asked now is refused."""
    path = tmp_path / "ttyUSB0"
    with Instrument(path, lambda _: None) as instrument:
        async with Floor(oven(path, WITH_ANSWER)) as floor, Client(floor.url) as client:
            await floor.up("oven")
            control = Control(client)
            sent = asyncio.ensure_future(control.set("oven/setpoint", 1))
            await instrument.until(lambda lines: lines)
            waits = asyncio.ensure_future(control.set("oven/setpoint", 2))
            await floor.until("$audit/set", lambda value: value["after"] == 2.0)
            instrument.unplug()
            ends = await asyncio.gather(sent, waits, return_exceptions=True)
            assert [(e.reason, e.may_have_acted) for e in ends if isinstance(e, CommandError)] == [
                ("unknown", True),
                ("unavailable", False),
            ]
            with pytest.raises(ProtocolError, match="unavailable: oven is down: "):
                await control.set("oven/setpoint", 3)
            instrument.plug()
            instrument.listen()
            await floor.until("$sys/devices/oven", lambda value: value["connects"] == 2)
            back = asyncio.ensure_future(control.set("oven/setpoint", 4))
            await instrument.until(lambda lines: len(lines) == 2)
            instrument.feed(b"OK\r\n")
            assert await back == 4.0
    assert instrument.lines == ["SET 0010", "SET 0040"]


# -- a broker --------------------------------------------------------------------------------------


def lamp(broker: Broker, more: str = "") -> str:
    return f"""
        [devices.lamp]
        reader = "mqtt"
        host = "{broker.host}"
        port = {broker.port}
        topics = [{{ filter = "z2m/lamp", topic = "house/lamp/{{field}}" }}]
        decoder = "json"
        channels.state = {{ type = "string" }}
        {more}
        [devices.lamp.writable.state]
        topic = "house/lamp/state"
        choices = ["ON", "OFF"]
        send_to = "z2m/lamp/set"
        payload = '{{"state": {{value:json}}}}'
        timeout = "5s"
        [devices.lamp.actions.identify]
        send_to = "z2m/lamp/identify"
        payload = "{{seconds}}"
        arguments = {{ seconds = {{ type = "int", range = [1, 10] }} }}
    """


class Lamp:
    """A lamp at a broker, that says its state when it was commanded."""

    def __init__(self, broker: Broker) -> None:
        self.got: list[tuple[str, bytes]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._on_message
        self._subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect(broker.host, broker.port)
        self._client.subscribe("z2m/lamp/#", 1)
        self._client.loop_start()
        assert self._subscribed.wait(20)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        if message.topic == "z2m/lamp":
            return
        self.got.append((message.topic, bytes(message.payload)))
        if message.topic == "z2m/lamp/set":
            state = json.dumps({**json.loads(message.payload), "brightness": 7})
            self._client.publish("z2m/lamp", state, 1)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as running:
        yield running


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@on_each_loop
async def test_an_mqtt_device_confirms_by_its_state(broker: Broker, protocol: str) -> None:
    """What is published is what the configuration says; an action without more is sent."""
    lamp_there = Lamp(broker)
    try:
        text = lamp(broker, f'protocol = "{protocol}"')
        async with Floor(text) as floor, Client(floor.url) as client:
            await floor.up("lamp")
            control = Control(client)
            for state in ("ON", "ON", "OFF"):
                assert await control.set("house/lamp/state", state) == state
            assert await control.call("lamp/identify", {"seconds": 3}) is None
            with pytest.raises(ProtocolError, match="send one of ON, OFF"):
                await control.set("house/lamp/state", 'ON", "x": "')
    finally:
        lamp_there.close()
    sets = [json.loads(payload)["state"] for topic, payload in lamp_there.got if "set" in topic]
    assert sets == ["ON", "ON", "OFF"]
    assert lamp_there.got[-1] == ("z2m/lamp/identify", b"3")


@on_each_loop
async def test_a_broker_that_forbids_it_says_so(tmp_path: Path) -> None:
    """Nobody has to wait for a state that cannot come."""
    rules = tmp_path / "acl"
    rules.write_text("topic read z2m/#\n")
    with Broker(tmp_path, f"acl_file {rules}") as broker:
        async with Floor(lamp(broker)) as floor, Client(floor.url) as client:
            await floor.up("lamp")
            with pytest.raises(
                CommandError, match="the broker refuses it: not authorized"
            ) as caught:
                await Control(client).set("house/lamp/state", "ON")
            assert (caught.value.reason, caught.value.may_have_acted) == ("rejected", False)


# -- made-up devices -------------------------------------------------------------------------------

TANK = """
    [devices.tank]
    reader = "simulated"
    interval = "20ms"
    signals = { level = { low = 1, high = 400 }, pump = { shape = "constant" } }
    channels.pump = { type = "bool" }
    [devices.tank.writable.pump]
    [devices.tank.actions.drain]
    sets = { level = 0 }
    state = "tank/level"
    reaches = 0
    [devices.tank.actions.wait]
    delay = "1h"
    timeout = "1h"
"""


@on_each_loop
async def test_a_simulated_device_takes_values_and_keeps_them() -> None:
    """So that everything can be tried without hardware."""
    async with Floor(TANK) as floor, Client(floor.url) as client:
        await floor.up("tank")
        control = Control(client)
        assert await control.set("tank/pump", True) is True
        assert await control.call("tank/drain") == 0.0
        (update,) = await client.get("tank/pump")
        assert update.reading.value is True
        told = (await client.get("$sys/control/tank"))[0].reading.value
        assert isinstance(told, dict)
        assert told["set"] == {"tank/pump": {"type": "bool", "timeout": 5.0}}
        assert isinstance(told["call"], dict)
        assert sorted(told["call"]) == ["tank/drain", "tank/wait"]


@on_each_loop
async def test_a_stop_in_the_middle_is_told_before_the_good_bye() -> None:
    """Of what is under way nobody knows."""
    async with Floor(TANK) as floor, Client(floor.url) as client:
        await floor.up("tank")
        waiting = asyncio.ensure_future(Control(client).call("tank/wait"))
        control = floor.server.shared.control
        while not any(call.is_acting for call in control.dispatch._live):  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0)
        control.close()
        with pytest.raises(CommandError) as caught:
            await waiting
        assert (caught.value.reason, caught.value.may_have_acted) == ("unknown", True)


@on_each_loop
async def test_a_lease_keeps_others_away(tmp_path: Path) -> None:
    """Through the client: take, renew, give back."""
    async with (
        Floor(TANK) as floor,
        Client(floor.url, name="panel") as panel,
        Client(floor.url, name="phone") as phone,
    ):
        await floor.up("tank")
        lease = await Control(panel).take("tank", 30)
        assert (lease.holder_id, lease.holder_name) == (panel.id, "panel")
        with pytest.raises(ProtocolError, match="held: tank is held by panel"):
            await Control(phone).set("tank/pump", True)
        renewed = await Control(panel).renew("tank", 60)
        assert renewed.until_us > lease.until_us
        assert await Control(panel).set("tank/pump", True) is True
        await Control(panel).give_back("tank")
        assert await Control(phone).set("tank/pump", False) is False


def pump(path: Path) -> str:
    return f"""
        [devices.bus]
        reader = "modbus"
        port = "{path}"
        interval = "20ms"
        timeout = "2s"
        [devices.bus.units.pump]
        unit = 7
        [devices.bus.units.pump.registers]
        speed = {{ address = 4, scale = 0.1, unit = "%", decimals = 1 }}
        on = {{ address = 0, table = "coil" }}
        ratio = {{ address = 10, type = "f32" }}
        mode = {{ address = 12 }}
        [devices.bus.channels.mode]
        values = {{ "0" = "idle", "3" = "boost" }}
        [devices.bus.units.pump.writable]
        speed = {{ range = [0, 100] }}
        on = {{}}
        ratio = {{}}
        mode = {{}}
        [devices.bus.units.pump.actions]
        stop = {{ register = "speed", value = 0 }}
    """


@on_each_loop
async def test_true_is_sent_as_the_lamps_own_word(broker: Broker) -> None:
    """And its word, when it says it, confirms."""
    lamp_there = Lamp(broker)
    text = lamp(broker, "").replace(
        '{ type = "string" }', "{ values = { ON = true, OFF = false } }"
    )
    try:
        async with (
            Floor(text.replace('choices = ["ON", "OFF"]', "")) as floor,
            Client(floor.url) as client,
        ):
            await floor.up("lamp")
            control = Control(client)
            for state in (True, False, True):
                assert await control.set("house/lamp/state", state) is state
            with pytest.raises(ProtocolError, match="send true or false"):
                await control.set("house/lamp/state", "ON")
    finally:
        lamp_there.close()
    assert [json.loads(payload)["state"] for _, payload in lamp_there.got] == ["ON", "OFF", "ON"]


@on_each_loop
async def test_a_register_is_written_and_read_back(tmp_path: Path) -> None:
    """The value that a client gets is the one that the unit holds then."""
    slave = Slave({4: 100, 10: 0, 11: 0, 12: 0}, {0: False})
    path = tmp_path / "ttyUSB0"
    with ModbusLine(path, {7: slave}):
        async with Floor(pump(path)) as floor, Client(floor.url) as client:
            await floor.up("bus")
            control = Control(client)
            assert await control.set("pump/speed", 45.5) == 45.5
            assert slave.words[4] == 455
            assert await control.set("pump/on", True) is True
            assert slave.bits[0]
            assert await control.set("pump/ratio", 21.3) == 21.3
            assert await control.call("pump/stop", {}) is None
            assert slave.words[4] == 0
            assert await control.set("pump/mode", "boost") == "boost"
            assert slave.words[12] == 3
            with pytest.raises(ProtocolError, match="from 0 to 100"):
                await control.set("pump/speed", 101)


@on_each_loop
async def test_a_unit_that_refuses_a_write_is_believed(tmp_path: Path) -> None:
    """Its exception has a name."""
    slave = Slave({4: 100, 10: 0, 11: 0, 12: 0}, {0: False})
    path = tmp_path / "ttyUSB0"
    with ModbusLine(path, {7: slave}):
        async with Floor(pump(path)) as floor, Client(floor.url) as client:
            await floor.up("bus")
            del slave.words[4]
            with pytest.raises(CommandError, match="illegal data address") as caught:
                await Control(client).set("pump/speed", 45.5)
            assert (caught.value.reason, caught.value.may_have_acted) == ("rejected", False)
