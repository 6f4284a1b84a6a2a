"""What a configuration may say of units and registers, and what becomes of it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from sensord.config.build import build
from sensord.config.load import with_profiles
from sensord.config.schema import Faults, structure
from sensord.decode import registry as decoders
from sensord.readers import registry as readers
from sensord.readers.modbus.options import Config
from sensord.readers.modbus.requests import Table

LINE: dict[str, Any] = {"port": "/dev/ttyUSB0"}
REGISTERS: dict[str, Any] = {"power": {"address": 12, "type": "f32", "unit": "W"}}
UNIT: dict[str, Any] = {"unit": 3, "registers": REGISTERS}


def found(table: dict[str, Any]) -> list[tuple[str, str]]:
    faults = Faults()
    structure(Config, table, (), faults)
    return [(".".join(map(str, path)), message) for path, message in faults.found]


def unit(**options: Any) -> dict[str, Any]:
    return LINE | {"units": {"m": {**UNIT, **options}}}


def register(**options: Any) -> dict[str, Any]:
    return unit(registers={"r": {"address": 12, **options}})


@pytest.mark.parametrize(
    "table",
    [
        LINE | {"units": {"m": UNIT}},
        {"host": "10.0.0.5", "units": {"m": UNIT}},
        {"host": "fe80::1", "port": 1502, "rtu_over_tcp": True, "units": {"m": UNIT}},
        {"port": "socket://10.0.0.5:4001", "units": {"m": UNIT, "n": {"unit": 4, "like": "m"}}},
        register(type="ascii", length=8),
        register(bit=15),
        register(bits=[4, 7]),
        register(table="coil"),
        unit(numbering="modicon", registers={"r": {"address": 30001, "type": "f32"}}),
        unit(readable=[[0, 99], [300, 329]]),
    ],
)
def test_good_options_are_accepted(table: dict[str, Any]) -> None:
    """These are as an operator writes them."""
    assert found(table) == []


@pytest.mark.parametrize(
    ("table", "path", "words"),
    [
        ({"units": {"m": UNIT}}, "port", "host for Modbus TCP"),
        ({"port": "ttyUSB0", "units": {"m": UNIT}}, "port", "/dev/ttyUSB0"),
        ({"port": "tcp://h:1", "units": {"m": UNIT}}, "port", "socket://"),
        ({"host": "h", "port": "/dev/x", "units": {"m": UNIT}}, "port", "a number beside host"),
        ({"host": "h", "port": 99999, "units": {"m": UNIT}}, "port", "65535"),
        (LINE | {"rtu_over_tcp": True, "units": {"m": UNIT}}, "rtu_over_tcp", "needs host"),
        (LINE | {"units": {}}, "units", "there is none"),
        (LINE, "units", "missing"),
        (LINE | {"units": {"a": UNIT, "b": UNIT}}, "units.b.unit", "a has 3 already"),
        (LINE | {"units": {"a/b": UNIT}}, "units.a/b", "may not contain /"),
        (unit(unit=0), "units.m.unit", "1 to 247"),
        (unit(unit=256), "units.m.unit", "0 to 255"),
        (unit(registers={}), "units.m.registers", "needs registers"),
        (unit(registers={}, like="n"), "units.m.like", "registers of its own"),
        (unit(readable=[[9, 1]]), "units.m.readable", "pairs of addresses"),
        (register(type="ascii"), "units.m.registers.r.length", "how many registers"),
        (register(type="f32", length=2), "units.m.registers.r.length", "have their own"),
        (register(bit=1, bits=[1, 2]), "units.m.registers.r.bits", "either bit or bits"),
        (register(bits=[7, 4]), "units.m.registers.r.bits", "[lowest, highest]"),
        (register(bits=[4, 17]), "units.m.registers.r.bits", "0 to 15"),
        (register(scale=0), "units.m.registers.r.scale", "may not be 0"),
        (register(address=65535, type="f32"), "units.m.registers.r.address", "0 to 65535"),
        (register(table="coil", type="u16"), "units.m.registers.r.type", "true or false"),
        (register(tpye="f32"), "units.m.registers.r.tpye", "did you mean type?"),
        (
            unit(numbering="one", registers={"r": {"address": 0}}),
            "units.m.registers.r.address",
            "1 to 65536",
        ),
        (
            unit(numbering="modicon", registers={"r": {"address": 29999}}),
            "units.m.registers.r.address",
            "40001",
        ),
        (
            unit(numbering="modicon", registers={"r": {"address": 30001, "table": "holding"}}),
            "units.m.registers.r.table",
            "stands for input",
        ),
    ],
)
def test_faults_name_their_place(table: dict[str, Any], path: str, words: str) -> None:
    """Each fault names its key and what would be right."""
    assert any(where == path and words in message for where, message in found(table)), found(table)


def config(table: dict[str, Any]) -> Config:
    built = structure(Config, table, (), Faults())
    assert built is not None
    return built


@pytest.mark.parametrize(
    ("numbering", "address", "place"),
    [
        ("zero", 0, (Table.HOLDING, 0)),
        ("one", 1, (Table.HOLDING, 0)),
        ("modicon", 1, (Table.COIL, 0)),
        ("modicon", 10001, (Table.DISCRETE, 0)),
        ("modicon", 30013, (Table.INPUT, 12)),
        ("modicon", 40001, (Table.HOLDING, 0)),
        ("modicon", 400001, (Table.HOLDING, 0)),
        ("modicon", 465536, (Table.HOLDING, 65535)),
    ],
)
def test_addresses_are_read_as_the_manual_counts(numbering: str, address: int, place: Any) -> None:
    """On the wire they begin with 0."""
    table = unit(numbering=numbering, registers={"r": {"address": address}})
    item = config(table).plans()["m"].items["r"]
    assert (item.table, item.address) == place


def test_an_address_as_modicon_has_it_is_doubted() -> None:
    """Few units have anything at 40001, and many manuals print it."""
    faults = Faults()
    structure(Config, unit(registers={"r": {"address": 40001}}), (), faults)
    assert any("Modicon" in message for _, message in faults.doubts)


def test_a_unit_is_like_another_one() -> None:
    """Eight meters of one make need one list of registers."""
    table = unit(interval=2, word_order="little")
    table["units"]["n"] = {"unit": 9, "like": "m", "interval": 7}
    plans = config(table).plans()
    assert plans["n"].number == 9
    assert plans["n"].forms == plans["m"].forms
    assert plans["n"].blocks[0].interval == 7


DEVICE = """
[devices.bus]
reader = "modbus"
port = "/dev/ttyUSB0"

[devices.bus.units.pump.registers]
speed = { address = 4, scale = 0.1, unit = "%" }
state = { address = 1, table = "input" }
flags = { address = 9, bit = 2 }
on = { address = 0, table = "coil" }

[devices.bus.units.pump]
unit = 3
"""


def built(more: str) -> Any:
    faults = Faults()
    return build(tomllib.loads(DEVICE + more), faults, readers, decoders), faults.found


def test_a_command_is_bound_to_its_register() -> None:
    """Its topic is the unit's, and its type and unit are the register's."""
    tree, faults = built("writable.speed = { range = [0, 100] }\nwritable.on = {}")
    assert faults == []
    speed, on = tree.devices[0].commands
    assert (speed.name, speed.arguments["value"].unit) == ("pump/speed", "%")
    assert (on.name, on.arguments["value"].type) == ("pump/on", "bool")
    sent = speed.how.message(speed.raw({"value": 45.5}))
    assert sent.request.pdu.hex(" ") == "06 00 04 01 c7"
    assert on.how.message({"value": True}).request.pdu.hex(" ") == "05 00 00 ff 00"
    with pytest.raises(ValueError, match=r"steps of 0\.1"):
        speed.how.message({"value": 45.55})


def test_an_action_writes_its_value() -> None:
    """A reset is a number in a register."""
    tree, faults = built('actions.stop = { register = "speed", value = 0, multiple = true }')
    assert faults == []
    (stop,) = tree.devices[0].commands
    assert stop.name == "pump/stop"
    assert stop.how.message({}).request.pdu.hex(" ") == "10 00 04 00 01 02 00 00"


@pytest.mark.parametrize(
    ("more", "path", "words"),
    [
        ("writable.speeed = {}", ("writable", "speeed"), "no register speeed; known are speed"),
        ("writable.state = {}", ("writable", "state"), "cannot be written"),
        ("writable.flags = {}", ("writable", "flags"), "as a whole"),
        (
            'actions.stop = { register = "speed", value = 1e9 }',
            ("actions", "stop"),
            "does not fit",
        ),
    ],
)
def test_what_cannot_be_written_is_refused(more: str, path: tuple[str, ...], words: str) -> None:
    """Before the daemon starts, at its place."""
    _, faults = built(more)
    assert any(
        at == ("devices", "bus", "units", "pump", *path) and words in message
        for at, message in faults
    ), faults


def test_a_single_unit_may_stand_in_the_table_of_its_device() -> None:
    """Its readings and commands have the device's own name."""
    text = """
        [devices.pump]
        reader = "modbus"
        port = "/dev/ttyUSB0"
        unit = 3
        registers.speed = { address = 4, unit = "%" }
        writable.speed = { range = [0, 100] }
    """
    faults = Faults()
    tree = build(tomllib.loads(text), faults, readers, decoders)
    assert faults.found == []
    assert tree is not None
    config_ = tree.devices[0].reader_config
    assert isinstance(config_, Config)
    assert config_.plans()["pump"].number == 3
    assert tree.devices[0].commands[0].name == "pump/speed"


def test_what_is_a_units_is_refused_beside_several() -> None:
    """It would be unclear whose it is."""
    text = DEVICE.replace('port = "/dev/ttyUSB0"', 'port = "/dev/ttyUSB0"\nwritable.speed = {}')
    faults = Faults()
    build(tomllib.loads(text), faults, readers, decoders)
    assert [at for at, _ in faults.found] == [("devices", "bus", "writable")]
    assert "units.<unit>" in faults.found[0][1]


def test_a_unit_takes_its_registers_from_a_profile() -> None:
    """The connection stays the user's, and each unit has the profile's rules of channels."""
    text = """
        [devices.bus]
        reader = "modbus"
        port = "/dev/ttyUSB0"
        baud = 9600
        [devices.bus.units]
        attic = { profile = "sdm120", unit = 4 }
        air = { profile = "senseair_s8", unit = 5, registers.co2.interval = "1m" }
        wrong = { profile = "mhz19" }
    """
    faults = Faults()
    raw, _ = with_profiles(tomllib.loads(text), Path(), faults)
    assert [at for at, _ in faults.found] == [("devices", "bus", "units", "wrong", "profile")]
    del raw["devices"]["bus"]["units"]["wrong"]
    tree = build(raw, Faults(), readers, decoders)
    assert tree is not None
    config_ = tree.devices[0].reader_config
    assert isinstance(config_, Config)
    assert config_.baud == 9600
    plans = config_.plans()
    assert (plans["attic"].number, plans["attic"].items["energy_total"].address) == (4, 342)
    assert (plans["air"].number, plans["air"].items["co2"].interval) == (5, 60)
    assert tree.devices[0].rules("co2", "air").range == (0, 32000)
