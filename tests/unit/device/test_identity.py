"""Which device a message is of, and what its readings are called."""

from __future__ import annotations

from typing import Any

import pytest

from sensord.bus import Bus
from sensord.config.load import parse
from sensord.decode import registry as decoders
from sensord.decode.base import Fault
from sensord.decode.framing import framer_of
from sensord.device.intake import DEVICE, Intake
from sensord.errors import ConfigError
from sensord.log import Log
from sensord.readers import registry as readers
from sensord.readers.mqtt_routes import Router
from tests.unit.manual import START_US, ManualClock

MQTT = """
[devices.x]
reader = "mqtt"
host = "127.0.0.1"
"""
SERIAL = """
[devices.x]
reader = "serial"
port = "/dev/ttyUSB0"
"""


class Scene:
    """An intake of a configuration, without its reader."""

    def __init__(self, text: str) -> None:
        [self.config] = parse(text, "c.toml", readers, decoders).devices
        self.bus = Bus(Log("e", 1024), ManualClock())
        self.faults: list[Fault] = []
        found = decoders.find(self.config.decoder)
        decoder = None if found is None else found.create(self.config.decoder_config)
        framer = framer_of(self.config.framing)
        self.intake = Intake(self.config, framer, decoder, self.bus, self.faults.append)
        topics: Any = self.config.reader_config
        self._router = Router(topics) if hasattr(topics, "topics") else None

    def heard(self, *messages: tuple[str, bytes]) -> dict[str, object]:
        """Take messages of a broker; return the last values."""
        assert self._router is not None
        for topic, payload in messages:
            route = self._router.route(topic)
            assert route is not None, topic
            self.intake.message(route, payload, 0, START_US)
        return self.values

    def lines(self, *lines: bytes) -> dict[str, object]:
        """Take lines of a serial device; return the last values."""
        for line in lines:
            self.intake.message(DEVICE, line, 0, START_US)
        return self.values

    @property
    def values(self) -> dict[str, object]:
        records = [self.bus.last(one) for one in self.bus.select(["#"])]
        return {one.channel.topic: one.reading.value for one in records if one is not None}

    def device_of(self, topic: str) -> str:
        channel = self.bus.find(topic)
        assert channel is not None
        return channel.metadata.device


def test_columns_are_levels_of_the_topic_and_other_commands_are_passed_over() -> None:
    """As a receiver of many nodes passes them on."""
    scene = Scene(
        SERIAL
        + """
decoder = { type = "csv", separator = ";", fields = ["node", "child", "command", "", "", "value"] }
topic = "mys/{node}/{child}"
only = { command = [1] }
"""
    )
    assert scene.lines(
        b"0;255;3;0;14;Gateway startup complete.",
        b"12;1;1;0;0;21.5",
        b"12;2;1;0;1;55",
        b"13;1;1;0;0;-3.5",
        b"12;1;1;0;0;21.6",
    ) == {"mys/12/1": 21.6, "mys/12/2": 55.0, "mys/13/1": -3.5}
    assert scene.faults == []


RTL = (
    MQTT
    + """
decoder = "json"
device = "{model}-{id}"
names = { "Nexus-TH-42" = "garden" }
topics = [{ filter = "rtl_433/+/events", topic = "radio/{device}/{field}" }]
"""
)


def test_sensors_of_a_receiver_are_devices_of_their_own() -> None:
    """A table gives one a name that stays; ids may be numbers and texts."""
    scene = Scene(RTL)
    assert scene.heard(
        ("rtl_433/pi/events", b'{"model":"Nexus-TH","id":42,"temperature_C":20.5}'),
        ("rtl_433/pi/events", b'{"model":"WH51","id":"0db71c","moisture":40}'),
        ("rtl_433/pi/events", b'{"model":"Nexus-TH","id":7,"temperature_C":4.1}'),
    ) == {
        "radio/garden/temperature_C": 20.5,
        "radio/WH51-0db71c/moisture": 40.0,
        "radio/Nexus-TH-7/temperature_C": 4.1,
    }
    assert scene.device_of("radio/garden/temperature_C") == "garden"
    children = {one.name: (one.messages, one.readings) for one in scene.intake.children}
    assert children == {"garden": (1, 1), "WH51-0db71c": (1, 1), "Nexus-TH-7": (1, 1)}


def test_a_message_without_its_identity_is_a_fault_and_no_reading_elsewhere() -> None:
    """It names what is missing."""
    scene = Scene(RTL)
    assert scene.heard(("rtl_433/pi/events", b'{"model":"X","temperature_C":1}')) == {}
    assert [(one.reason, one.excerpt) for one in scene.faults] == [
        ("message without identity", b"rtl_433/pi/events lacks id")
    ]


def test_an_id_is_a_level_whatever_it_holds() -> None:
    """Nobody writes under another topic by a slash in an id."""
    scene = Scene(RTL)
    values = scene.heard(("rtl_433/pi/events", b'{"model":"a/b","id":"$sys/#","t":1}'))
    assert values == {"radio/a_b-_sys__/t": 1.0}


def test_devices_that_appear_are_bounded() -> None:
    """Noise makes ids, too."""
    scene = Scene(RTL.replace("device =", "max_devices = 2\ndevice ="))
    for i in range(4):
        scene.heard(("rtl_433/pi/events", b'{"model":"M","id":%d,"t":1}' % i))
    assert len(scene.intake.children) == 2
    assert [one.reason for one in scene.faults] == ["too many devices"] * 2


def test_each_filter_has_its_own_decoder_channels_and_names() -> None:
    """The same field is another quantity under another topic."""
    scene = Scene(
        MQTT
        + """
device = "{1}"
topic = "home/{device}/{field}"

[[devices.x.topics]]
filter = "shellies/+/relay/+"
decoder = "any"
field = "relay_{2}"
channels."*" = { values = { on = true, off = false } }

[[devices.x.topics]]
filter = "shellies/+/emeter/+/power"
decoder = "number"
field = "power_{2}"
channels."*" = { unit = "W" }

[[devices.x.topics]]
filter = "shellies/+/info"
decoder = "json"
field = "info/{field}"
ignore = ["info/debug"]
"""
    )
    assert scene.heard(
        ("shellies/a/relay/0", b"on"),
        ("shellies/a/emeter/1/power", b"49.32"),
        ("shellies/a/info", b'{"fw": "1.2", "debug": 5}'),
        ("shellies/b/relay/0", b"off"),
    ) == {
        "home/a/relay_0": True,
        "home/a/power_1": 49.32,
        "home/a/info/fw": "1.2",
        "home/b/relay_0": False,
    }
    channel = scene.bus.find("home/a/power_1")
    assert channel is not None
    assert channel.metadata.unit == "W"
    scene.heard(("shellies/a/relay/0", b"overpower"))
    assert scene.values["home/a/relay_0"] is None
    assert [one.reason for one in scene.faults] == ["wrong type"]


def test_availability_is_that_of_its_device_alone() -> None:
    """The other one stays as it was."""
    scene = Scene(
        MQTT
        + """
decoder = "json"
device = "{1}"
topics = [{ filter = "z/+", topic = "{device}/{field}", availability = { filter = "z/{1}/up" } }]
"""
    )
    scene.heard(("z/a", b'{"t":1}'), ("z/b", b'{"t":2}'))
    scene.intake.availability("z/a/up", 0, START_US, is_there=False)
    assert {one.name: one.is_away for one in scene.intake.children} == {"a": True, "b": False}
    records = {one.topic: scene.bus.last(one) for one in scene.bus.select(["#"])}
    reasons = {topic: one.reading.quality.reason for topic, one in records.items() if one}
    assert reasons == {"a/t": "disconnected", "b/t": ""}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('device = "{field}"', "device: {field} is what a device sends"),
        ('device = "a/{1}"', "device: a device's name is one level"),
        ('device = "a"', "device: names one device"),
        ('names = { a = "b/c" }', 'names: "a": a name is one level'),
        ('topics = [{ filter = "a/+", device = "x" }]', "topics[0].device: names one device"),
        ('topics = [{ filter = "a/+", field = "a/#" }]', "topics[0].field: a topic may not"),
        ('topics = [{ filter = "a/+", decoder = "jsn" }]', "topics[0].decoder: there is no"),
        ('topics = [{ filter = "a/+", chanels = {} }]', "topics[0].chanels: unknown key"),
        (
            'channels.a = { values = { on = true, off = "no" } }',
            "channels.a.values: must all be of one type",
        ),
        ('channels.a = { values = { "1" = 2 }, base = 16 }', "channels.a.values: give values or"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(text: str, fault: str) -> None:
    """With what to do."""
    more = "" if "topics" in text else 'topics = [{ filter = "a/+" }]\n'
    with pytest.raises(ConfigError) as caught:
        parse(MQTT + 'decoder = "json"\n' + more + text, "c.toml", readers, decoders)
    assert any(f"devices.x.{fault}" in f"{one.path}: {one.message}" for one in caught.value.faults)


def test_a_pattern_of_fields_does_not_fit_the_name_of_a_device() -> None:
    """A humidity of the device ``attic-temp`` is no temperature; its own channels come first."""
    scene = Scene(
        MQTT
        + """
decoder = "json"
device = "{1}"
topics = [{ filter = "z/+", topic = "{device}/{field}" }]
channels."*temp*" = { unit = "Cel" }
channels."*hum*" = { unit = "%" }
channels."cellar/hum" = { unit = "g/m3" }
"""
    )
    scene.heard(("z/attic-temp", b'{"hum": 50, "temp": 21}'), ("z/cellar", b'{"hum": 7}'))
    units = {one.topic: one.metadata.unit for one in scene.bus.select(["#"])}
    assert units == {"attic-temp/hum": "%", "attic-temp/temp": "Cel", "cellar/hum": "g/m3"}
