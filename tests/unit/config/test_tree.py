"""What a configuration may say, and what is wrong with what it may not."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.config.addresses import is_loopback
from sensord.config.build import build
from sensord.config.schema import Faults
from sensord.config.tree import ChannelRules, Config, Device
from sensord.device.policy import Policy
from sensord.model.readings import Kind, ValueType
from tests.unit.config.plugins import DECODERS, READERS, CsvConfig, PlainConfig, PortConfig


def read(text: str) -> tuple[Config | None, dict[str, str]]:
    """Return what was built, and the faults by their dotted path."""
    faults = Faults()
    built = build(tomllib.loads(text), faults, READERS, DECODERS)
    assert (built is None) is bool(faults.found)
    told = {".".join(map(str, path)): message for path, message in faults.found}
    assert len(told) == len(set(faults.found)), "no two faults at one place"
    return built, told


def faults_of(text: str) -> dict[str, str]:
    return read(text)[1]


def device(text: str, *, reader: str = 'reader = "plain"') -> Device:
    built, faults = read(f"[devices.boiler]\n{reader}\n{text}")
    assert built is not None, faults
    (found,) = built.devices
    return found


def device_faults(text: str, *, reader: str = 'reader = "plain"') -> dict[str, str]:
    found = faults_of(f"[devices.boiler]\n{reader}\n{text}")
    return {path.removeprefix("devices.boiler."): message for path, message in found.items()}


# -- the server ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("[::]", False),
        ("192.168.1.5", False),
        ("127.example.org", False),
        ("localhost.example.org", False),
    ],
)
def test_only_this_machine_reaches_loopback(host: str, is_local: bool) -> None:
    """A name that merely looks like it is not."""
    assert is_loopback(host) is is_local


@pytest.mark.parametrize(
    "listen",
    [
        "[]",
        '["127.0.0.1"]',
        '[":80"]',
        '["127.0.0.1:"]',
        '["127.0.0.1:x"]',
        '["127.0.0.1:65536"]',
        f'["127.0.0.1:{"9" * 5000}"]',
        '["[::1:80"]',
        '["::1]:80"]',
        '["a b:80"]',
        '["a/b:80"]',
    ],
)
def test_an_address_that_cannot_be_is_refused(listen: str) -> None:
    """Before anything is opened."""
    ((path, message),) = faults_of(f"[server]\nlisten = {listen}").items()
    assert path == "server.listen"
    assert message.startswith(('expected "host:port"', "is empty"))


@pytest.mark.parametrize(
    "listen",
    [
        '["127.0.0.1:80", "[::1]:80", "127.0.0.1:80"]',
        '["127.0.0.1:80", "127.0.0.1:0080"]',
        '["localhost:80", "localhost:80"]',
        '["::1:80", "[::1]:80"]',
        '["127.0.0.1:80", "localhost:80"]',
        '["[::1]:80", "localhost:80"]',
        '["[0:0:0:0:0:0:0:1]:80", "[::1]:80"]',
    ],
)
def test_an_address_is_listened_on_once(listen: str) -> None:
    """The second attempt would only fail at the start."""
    ((path, message),) = faults_of(f"[server]\nlisten = {listen}").items()
    assert path == "server.listen"
    assert message.endswith((" stands there twice", "are one address; keep one of them"))


def test_any_free_port_may_be_asked_for_twice() -> None:
    """Port 0 is another one each time."""
    assert faults_of('[server]\nlisten = ["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:80"]') == {}


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.168.1.5", "gateway.example.org"])
def test_listening_to_others_must_be_said_aloud(host: str) -> None:
    """There is no authentication yet."""
    text = f'[server]\nlisten = ["{host}:8765"]'
    (message,) = faults_of(text).values()
    assert "insecure = true" in message
    built, _ = read(f"{text}\ninsecure = true")
    assert built is not None
    assert built.server.listen == (f"{host}:8765",)


def test_a_server_without_an_outbox_is_refused() -> None:
    """Every monitor would lag at once."""
    assert set(faults_of("[server]\noutbox = 0")) == {"server.outbox"}


def test_the_tables_of_the_daemon_itself_are_read() -> None:
    """Memory, journal and log."""
    built, _ = read('[log]\nring = 2048\n[journal]\nenabled = false\n[logging]\nlevel = "debug"')
    assert built is not None
    assert (built.log.ring, built.journal.enabled, built.logging.level) == (2048, False, "debug")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sever = 1", "sever"),
        ("[log]\nring = 1000", "log.ring"),
        ('[logging]\nlevel = "loud"', "logging.level"),
        ("devices = 1", "devices"),
        ("[[devices]]\nname = 1", "devices"),
        ("[devices]\nboiler = 1", "devices.boiler"),
    ],
)
def test_what_stands_in_the_wrong_place_is_refused(text: str, path: str) -> None:
    """At the top and in the tables of the daemon."""
    assert set(faults_of(text)) == {path}


# -- devices ---------------------------------------------------------------------------------------


def test_a_device_is_its_reader_and_defaults() -> None:
    """Nothing else has to be said."""
    found = device("")
    assert (found.name, found.reader, found.reader_config) == ("boiler", "plain", PlainConfig())
    assert (found.decoder, found.decoder_config) == ("", None)
    assert (found.topic, found.publish, found.max_channels) == (
        "{device}/{field}",
        Policy(),
        1000,
    )


def test_a_reader_and_a_decoder_get_their_own_options() -> None:
    """Beside those that every device has."""
    text = 'description = "x"\ndecoder = { type = "csv", columns = ["a", "b"] }'
    found = device(text, reader='reader = "port"\nport = "/dev/ttyUSB0"')
    assert found.description == "x"
    assert found.reader_config == PortConfig("/dev/ttyUSB0")
    assert (found.decoder, found.decoder_config) == ("csv", CsvConfig(("a", "b")))


def test_a_decoder_without_options_is_its_name() -> None:
    """The short form."""
    found = device('decoder = "json"')
    assert (found.decoder, found.decoder_config) == ("json", CsvConfig())


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ('"a/b"', "may not contain /"),
        ('"$sys"', "nor begin with $"),
        ('"a+b"', "wildcards"),
        ('""', "no level may be empty"),
        ('"a\\nb"', "control characters"),
    ],
)
def test_a_devices_name_is_one_level_of_a_topic(name: str, fault: str) -> None:
    """Its readings would have none otherwise."""
    ((path, message),) = faults_of(f'[devices.{name}]\nreader = "plain"').items()
    assert path.startswith("devices.")
    assert fault in message


@pytest.mark.parametrize(
    ("reader", "fault"),
    [
        ("", "is missing; say for example"),
        ('reader = "plane"', 'there is no reader "plane"; did you mean plain?'),
        ('reader = "zzz"', 'there is no reader "zzz"; known are plain, port'),
        ("reader = 5", "there is no reader 5; known are plain, port"),
        ("reader = true", "there is no reader true"),
    ],
)
def test_a_device_needs_a_reader_that_exists(reader: str, fault: str) -> None:
    """The nearest one is named, or all."""
    assert device_faults("", reader=reader)["reader"].startswith(fault)


@pytest.mark.parametrize(
    ("decoder", "fault"),
    [
        ('decoder = "cvs"', 'there is no decoder "cvs"; did you mean csv?'),
        ('decoder = { type = "zzz" }', 'there is no decoder "zzz"; known are csv, json'),
        ("decoder = 5", "expected a decoder's name"),
        ("decoder = { columns = [] }", "expected a decoder's name"),
        ("decoder = { type = 5 }", "expected a decoder's name"),
        ("decoder = []", "expected a decoder's name"),
    ],
)
def test_a_decoder_must_exist(decoder: str, fault: str) -> None:
    """By name, alone or in a table."""
    assert device_faults(decoder)["decoder"].startswith(fault)


def test_a_reader_of_bytes_needs_a_decoder() -> None:
    """Else nothing would ever be published."""
    faults = device_faults("", reader='reader = "port"\nport = "x"')
    assert set(faults) == {"decoder"}
    assert faults["decoder"].startswith("is missing")


def test_the_faults_of_readers_and_decoders_are_told_at_their_keys() -> None:
    """Missing, wrong, contradictory and unknown ones."""
    text = 'decoder = { type = "csv", colums = [], columns = [1] }\ntopik = "x"'
    faults = device_faults(text, reader='reader = "port"\nbaud = 300')
    assert set(faults) == {"port", "decoder.colums", "decoder.columns.0", "topik"}
    assert faults["topik"].endswith("did you mean topic?")
    faults = device_faults('decoder = "csv"', reader='reader = "port"\nport = "x"\nbaud = 300')
    assert faults == {"baud": "is too slow"}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('topic = "{devise}/x"', "topic"),
        ('topic = "$sys/{field}"', "topic"),
        ("max_channels = 0", "max_channels"),
        ('ignore = ["*"]', "ignore"),
        ('ignore = ["a", ""]', "ignore"),
        ("description = 5", "description"),
        ("publish = 5", "publish"),
        ("[devices.boiler.framing]\nterminator = ''", "framing.terminator"),
        ("[devices.boiler.publish]\ndeadband = -1", "publish.deadband"),
        ("channels = 5", "channels"),
        ("[devices.boiler.channels]\nt = 5", "channels.t"),
    ],
)
def test_what_every_device_may_say_is_checked(text: str, path: str) -> None:
    """Whatever its reader."""
    assert set(device_faults(text)) == {path}


# -- channels --------------------------------------------------------------------------------------


def test_a_channel_says_how_it_differs() -> None:
    """Its policy begins with that of its device."""
    found = device(
        """
publish = { deadband = 0.5, min_period = "1s" }
[devices.boiler.channels.t]
type = "int"
unit = "Cel"
decimals = 0
kind = "event"
scale = 0.1
offset = -3
range = [-40, 125]
topic = "x/{field}"
publish = { deadband = 2.0 }
[devices.boiler.channels.p]
"""
    )
    assert found.channels["t"] == ChannelRules(
        type=ValueType.INT,
        unit="Cel",
        decimals=0,
        kind=Kind.EVENT,
        scale=0.1,
        offset=-3.0,
        range=(-40.0, 125.0),
        topic="x/{field}",
        publish=Policy(deadband=2.0, min_period=1.0),
    )
    assert found.channels["p"].publish == found.publish == Policy(deadband=0.5, min_period=1.0)


def test_rules_are_found_by_name_then_by_pattern_then_are_the_devices() -> None:
    """The first pattern that fits counts, in the order of the file."""
    found = device(
        """
publish = { deadband = 0.5 }
[devices.boiler.channels."t*"]
unit = "a"
[devices.boiler.channels."*2"]
unit = "b"
[devices.boiler.channels.t3]
unit = "c"
"""
    )
    assert [found.rules(name).unit for name in ("t1", "t2", "t3", "x2")] == ["a", "a", "c", "b"]
    assert found.rules("x") == ChannelRules(publish=Policy(deadband=0.5))


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("scale = 0", "scale"),
        ("scale = nan", "scale"),
        ("range = [1]", "range"),
        ("range = [2, 1]", "range"),
        ("range = [1, 2, 3]", "range"),
        ('range = ["a", "b"]', "range.0"),
        ("decimals = 16", "decimals"),
        ("decimals = -1", "decimals"),
        ('type = "double"', "type"),
        ('kind = "sample"', "kind"),
        ('topic = "a/{sorce}"', "topic"),
        ("unot = 5", "unot"),
        ("publish = 5", "publish"),
        ("publish = { deadband = -1 }", "publish.deadband"),
    ],
)
def test_what_a_channel_may_not_say_is_refused(line: str, path: str) -> None:
    """At its own key."""
    found = device_faults(f"[devices.boiler.channels.t]\n{line}")
    assert next(iter(found)) == f"channels.t.{path}"


def test_a_fault_of_the_devices_policy_is_told_once() -> None:
    """Not again for each of its channels."""
    text = """
publish = { deadbnd = 1 }
[devices.boiler.channels.t]
[devices.boiler.channels.p]
publish = { min_period = "x" }
"""
    assert set(device_faults(text)) == {"publish.deadbnd", "channels.p.publish.min_period"}


def test_a_contradiction_between_channel_and_device_is_told_at_the_channel() -> None:
    """Each alone would be right."""
    text = """
publish = { max_period = "10s" }
[devices.boiler.channels.t]
publish = { min_period = "20s" }
"""
    assert set(device_faults(text)) == {"channels.t.publish.max_period"}


def test_every_fault_of_every_device_is_told() -> None:
    """At once."""
    text = """
[server]
outbox = 0
[devices.a]
reader = "x"
[devices.b]
reader = "plain"
speed = "fast"
[devices.b.channels.t]
scale = 0
[devices."c/d"]
reader = "plain"
"""
    assert set(faults_of(text)) == {
        "server.outbox",
        "devices.a.reader",
        "devices.b.speed",
        "devices.b.channels.t.scale",
        "devices.c/d",
    }


values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.sampled_from(["plain", "csv", "1s", "x", ""]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "deadband", "t", "publish", "topic"]), inner)
    ),
    max_leaves=6,
)
KEYS = "reader decoder channels topic publish framing max_channels description speed port"
keys = st.sampled_from(KEYS.split())


@given(st.dictionaries(st.sampled_from(["a", "$b", ""]), st.dictionaries(keys, values) | values))
def test_no_device_table_raises(devices: dict[str, Any]) -> None:
    """Its faults are told instead."""
    faults = Faults()
    built = build({"devices": devices}, faults, READERS, DECODERS)
    assert (built is None) is bool(faults.found)


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("#", "would open every topic"),
        ("+/a", "would open every topic"),
        ("state/x", '"state/" is not for readings'),
        ("$sys/x", '"$sys/" is not for readings'),
        ("lab/#/x", "#"),
    ],
)
def test_what_cannot_be_opened_for_clients_is_told_where_it_stands(
    pattern: str, fault: str
) -> None:
    """With what to write instead."""
    _, faults = read(f'[clients.topics."lab/a"]\n[clients.topics."{pattern}"]')
    (path,) = faults
    assert path == f"clients.topics.{pattern}"
    assert fault in faults[path]
