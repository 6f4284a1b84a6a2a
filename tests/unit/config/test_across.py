"""Devices, clients and addresses that take something from each other are named before the start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.config.across import overlap
from sensord.config.load import load, parse
from sensord.config.tree import Config
from sensord.decode import registry as decoders
from sensord.errors import ConfigError
from sensord.readers import registry as readers

SERIAL = """
[devices.{name}]
reader = "serial"
decoder = "json"
port = "{port}"
"""

MQTT = """
[devices.{name}]
reader = "mqtt"
decoder = "json"
host = "127.0.0.1"
topics = [{{ filter = "{filter}", topic = "{topic}" }}]
"""


def checked(text: str, resolve: Callable[[str], str] | None = None) -> Config:
    """Check a configuration with the readers and decoders that there are."""
    more = () if resolve is None else (resolve,)
    return parse(text, "c.toml", readers, decoders, *more)


def faults_of(text: str, resolve: Callable[[str], str] | None = None) -> list[str]:
    """Return what a configuration is refused for."""
    with pytest.raises(ConfigError) as caught:
        checked(text, resolve)
    return [str(fault) for fault in caught.value.faults]


def warnings_of(text: str) -> list[str]:
    """Return what an accepted configuration is warned of."""
    return [str(warning) for warning in checked(text).warnings]


# -- ports and brokers -----------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["/dev/ttyUSB0", "/dev//ttyUSB0", "/dev/./ttyUSB0"])
def test_two_devices_on_one_port_are_refused(other: str) -> None:
    """Each would get a part of the bytes, or the second would never open it."""
    text = SERIAL.format(name="a", port="/dev/ttyUSB0") + SERIAL.format(name="b", port=other)
    (fault,) = faults_of(text)
    assert fault.startswith(f"c.toml:10 devices.b.port: a has {other} already")


def test_two_names_of_one_port_are_recognised(tmp_path: Path) -> None:
    """As those under /dev/serial/by-id are, which are links."""
    port, alias, file = tmp_path / "ttyUSB0", tmp_path / "by-id", tmp_path / "c.toml"
    port.touch()
    alias.symlink_to(port)
    file.write_text(SERIAL.format(name="a", port=port) + SERIAL.format(name="b", port=alias))
    with pytest.raises(ConfigError) as caught:
        load(file, readers, decoders)
    assert f"a has {alias} already (it is {port})" in str(caught.value)


def test_a_port_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    """The check runs anywhere."""
    file = tmp_path / "c.toml"
    file.write_text(SERIAL.format(name="a", port="/dev/nowhere/x"))
    assert not load(file, readers, decoders).warnings


def test_two_connections_to_one_server_are_warned_of() -> None:
    """A multiplexer accepts them, a terminal server mostly does not."""
    text = SERIAL.format(name="a", port="socket://Mux:10110")
    (warning,) = warnings_of(text + SERIAL.format(name="b", port="socket://mux:10110"))
    assert "devices.b.port: a has socket://mux:10110 too" in warning


def test_two_clients_of_one_id_at_one_broker_are_refused() -> None:
    """The broker would end one connection with the other, for ever."""
    one = MQTT.format(name="a", filter="a", topic="a/{field}") + 'client_id = "gw"\n'
    other = MQTT.format(name="b", filter="b", topic="b/{field}") + 'client_id = "gw"\n'
    (fault,) = faults_of(one + other)
    assert "devices.b.client_id: a has gw at 127.0.0.1:1883 already" in fault


# -- topics ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["state/{field}", "$sys/{field}", "state/x/{device}"])
def test_a_topic_of_the_daemons_own_is_refused(topic: str) -> None:
    """Shared state stands under state/, and what the daemon reports under $."""
    (fault,) = faults_of(SERIAL.format(name="a", port="/dev/a") + f'topic = "{topic}"\n')
    assert "devices.a.topic: " in fault


def test_a_device_that_is_called_state_is_refused() -> None:
    """Its default pattern makes topics under state/."""
    (fault,) = faults_of(SERIAL.format(name="state", port="/dev/a"))
    assert "devices.state" in fault
    assert "state/ is what clients share" in fault


def test_two_declared_channels_of_one_topic_are_refused() -> None:
    """Within a device and between two."""
    one = SERIAL.format(name="a", port="/dev/a") + 'topic = "room/{field}"\nchannels.t = {}\n'
    other = SERIAL.format(name="b", port="/dev/b")
    (fault,) = faults_of(one + other + 'topic = "room/{field}"\nchannels.t = {}\n')
    assert "devices.b.topic: a and b both make the topic room/t" in fault
    (fault,) = faults_of(one + "channels.u = { topic = 'room/t' }\n")
    assert "devices.a.channels.u.topic: t and u would both get the topic room/t" in fault
    two = "topic = 'room'\nchannels.t = {}\nchannels.u = {}\n"
    (fault,) = faults_of(SERIAL.format(name="a", port="/dev/a") + two)
    assert fault.endswith("t and u would both get the topic room; add {field}")


def test_overlapping_patterns_of_two_devices_are_warned_of() -> None:
    """Which of them has a topic would depend on who speaks first."""
    one = SERIAL.format(name="a", port="/dev/a") + 'topic = "room/{field}"\n'
    other = SERIAL.format(name="b", port="/dev/b") + 'topic = "room/{field}"\n'
    (warning,) = warnings_of(one + other)
    assert warning.startswith("c.toml:12 devices.b.topic: can make a topic of a (room/{field})")


def test_devices_that_declare_what_they_have_may_share_a_pattern() -> None:
    """Nothing can meet."""
    one = SERIAL.format(name="a", port="/dev/a") + 'topic = "room/{field}"\nchannels.t = {}\n'
    other = SERIAL.format(name="b", port="/dev/b") + 'topic = "room/{field}"\nchannels.h = {}\n'
    assert warnings_of(one + other) == []


def test_a_filter_for_many_sources_needs_them_in_the_topic() -> None:
    """Else the first source has the topic and every other one is a fault."""
    (warning,) = warnings_of(MQTT.format(name="a", filter="s/+/state", topic="house/{field}"))
    assert "devices.a.topics[0].topic: s/+/state selects many topics" in warning
    assert 'topic = "house/{1}/{field}"' in warning
    assert not warnings_of(MQTT.format(name="a", filter="s/+/state", topic="h/{1}/{field}"))
    assert not warnings_of(MQTT.format(name="a", filter="s/x/state", topic="h/{field}"))


def test_what_clients_may_publish_of_a_device_is_warned_of() -> None:
    """Whoever comes first has the topic, and the other one is refused."""
    device = SERIAL.format(name="boiler", port="/dev/a")
    (warning,) = warnings_of(device + '[clients.topics."boiler/#"]\n')
    assert 'clients.topics."boiler/#": clients may publish topics of the device boiler' in warning
    assert not warnings_of(device + '[clients.topics."lab/#"]\n')


def test_what_an_earlier_pattern_leaves_nothing_is_warned_of() -> None:
    """The first that fits counts, of filters and of channels."""
    (warning,) = warnings_of('[clients.topics."a/#"]\n[clients.topics."a/+/b"]\n')
    assert 'clients.topics."a/+/b": has no effect: a/# stands above it' in warning
    device = SERIAL.format(name="a", port="/dev/a")
    (warning,) = warnings_of(device + 'channels."*" = {}\nchannels."t*" = {}\n')
    assert 'channels."t*": has no effect' in warning


@pytest.mark.parametrize(
    ("one", "other", "do_meet"),
    [
        ("a/{field}", "a/{field}", True),
        ("a/{field}", "b/{field}", False),
        ("a/{field}", "a/b/{field}", False),
        ("a/{1}/{field}", "a/b/{field}", True),
        ("a/{source}", "a/b/{field}", True),
        ("a/{source}/x", "a/b/c/d/x", True),
        ("a/{source}/x", "a/b/c/d/y", False),
        ("a/#", "a", True),
        ("a/#", "a/{field}", True),
        ("#", "x/{source}", True),
        ("a/x_{field}", "a/y_{field}", False),
        ("a/x{field}", "a/xy{field}", True),
        ("a/{field}_t", "a/{field}_h", False),
        ("a/+", "a/{1}", True),
        ("a/+/b", "a/{1}", False),
        ("a/b", "a/b", True),
    ],
)
def test_patterns_overlap_when_a_topic_fits_both(one: str, other: str, do_meet: bool) -> None:
    """In either order."""
    assert overlap(one, other) is overlap(other, one) is do_meet


@given(st.lists(st.sampled_from(["a", "{field}", "{source}", "#", "+", "x{1}"]), max_size=16))
def test_a_pattern_overlaps_itself(levels: list[str]) -> None:
    """However many places it has; and the answer comes at once."""
    assert overlap("/".join(levels), "/".join(levels))


def test_a_column_that_names_a_device_is_warned_of() -> None:
    """Temperature of node 12 and of node 13 were one channel, in turn."""
    text = SERIAL.format(name="mys", port="/dev/a").replace('"json"', "{decoder}")
    csv = '{ type = "csv", separator = ";", fields = ["node", "child", "value"] }'
    (warning,) = warnings_of(text.replace("{decoder}", csv))
    assert "devices.mys.decoder: node names one of several devices" in warning
    regex = "{ type = 'regex', pattern = '(?P<node_id>[0-9]+) (?P<t>[0-9]+)' }"
    (warning,) = warnings_of(text.replace("{decoder}", regex))
    assert "node_id names one of several devices" in warning
    single = '{ type = "csv", fields = ["t", "h", "id"] }'
    assert not warnings_of(text.replace("{decoder}", single))


def test_events_of_a_receiver_of_many_sensors_are_warned_of() -> None:
    """It also publishes each sensor under a topic of its own."""
    text = MQTT.format(name="r", filter="rtl_433/gw/events", topic="radio/{field}")
    (warning,) = warnings_of(text)
    assert 'filter = "rtl_433/gw/devices/#", topic = "{source}/{field}"' in warning


# -- single options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "mend"),
    [
        ("127.0.0.1:1883", 'host = "127.0.0.1", port = 1883'),
        ("broker:1883", 'host = "broker", port = 1883'),
        ("[::1]:1883", 'host = "::1", port = 1883'),
        ("[::1]", 'host = "::1"'),
        ("mqtt://broker", "expected a name or an address"),
        ("1.2.3", "expected a name or an address"),
        ("300.1.1.1", "expected a name or an address"),
        ("a..b", "expected a name or an address"),
        ("a" * 64, "expected a name or an address"),
    ],
)
def test_a_host_with_more_than_a_name_is_refused_with_the_mend(host: str, mend: str) -> None:
    """It passed the check, and the broker was never found."""
    text = MQTT.format(name="a", filter="a", topic="a/{field}").replace("127.0.0.1", host)
    (fault,) = faults_of(text)
    assert "devices.a.host: " in fault
    assert mend in fault


@pytest.mark.parametrize("host", ["::1", "fe80::1%eth0", "broker", "broker.example.org", "gw_1"])
def test_a_name_or_an_address_is_a_host(host: str) -> None:
    """Of both families."""
    text = MQTT.format(name="a", filter="a", topic="a/{field}").replace("127.0.0.1", host)
    assert not warnings_of(text)


@pytest.mark.parametrize(
    "folder", ["/", "//", "/var", "/etc/", "journal", "~/x", "/proc/x", "/sys"]
)
def test_a_folder_that_no_journal_can_have_is_refused(folder: str) -> None:
    """Before the daemon runs for a year without recording."""
    (fault,) = faults_of(f'[journal]\nfolder = "{folder}"\n')
    assert "journal.folder: " in fault


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """The daemon would have streamed, and recorded nothing."""
    (tmp_path / "journal").touch()
    file = tmp_path / "c.toml"
    file.write_text(f'[journal]\nfolder = "{tmp_path / "journal"}"\n')
    with pytest.raises(ConfigError, match=r"c.toml:2 journal.folder: .* is no folder"):
        load(file, readers, decoders)


def test_a_folder_in_memory_is_warned_of() -> None:
    """It is fit for tests only."""
    (warning,) = warnings_of('[journal]\nfolder = "/dev/shm/j"\n')
    assert "is in memory" in warning


def test_a_unit_that_is_no_code_is_warned_of_with_the_code() -> None:
    """Programs read units."""
    device = SERIAL.format(name="a", port="/dev/a")
    (warning,) = warnings_of(device + 'channels.t = { unit = "celsius" }\n')
    assert warning.endswith('channels.t.unit: "celsius" is no UCUM code; did you mean "Cel"?')


def test_a_writable_field_without_bounds_is_warned_of() -> None:
    """Mostly it is a misspelt one."""
    text = SERIAL.format(name="a", port="/dev/a") + "channels.setpoint = { range = [5, 80] }\n"
    (warning,) = warnings_of(text + 'writable.setpiont = { send = "S {value}" }\n')
    assert "devices.a.writable.setpiont: there is no channels.setpiont" in warning
    assert not warnings_of(text + 'writable.setpoint = { send = "S {value}" }\n')


def test_a_place_as_wide_as_the_memory_is_refused() -> None:
    """A command of ten thousand million characters ended the check."""
    text = SERIAL.format(name="a", port="/dev/a")
    text += 'channels.s = { type = "int" }\nwritable.s = { send = "{value:09999999999d}" }\n'
    (fault,) = faults_of(text)
    assert fault.endswith("at most 200 characters wide")


def test_an_open_address_is_said_to_let_everybody_act() -> None:
    """Reading is the lesser part of it."""
    (warning,) = warnings_of('[server]\nlisten = ["0.0.0.0:1"]\ninsecure = true\n')
    assert "may read everything and act" in warning
    (fault,) = faults_of('[server]\nlisten = ["0.0.0.0:1"]\n')
    assert "may read everything and act" in fault


@pytest.mark.parametrize("listen", ["127.0.0.1.5:80", "256.0.0.1:80", "127.1:80"])
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    """It looked like loopback, and failed at the start."""
    (fault,) = faults_of(f'[server]\nlisten = ["{listen}"]\n')
    assert "server.listen: " in fault


def test_a_table_device_is_devices() -> None:
    """With the name that was meant."""
    (fault,) = faults_of('[device.boiler]\nreader = "serial"\n')
    assert fault == "c.toml:1 device: unknown key; did you mean devices?"


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    """An editor for Windows puts it there."""
    file = tmp_path / "c.toml"
    file.write_bytes("\ufeff[log]\r\nring = 2048\r\n".encode())
    assert load(file, readers, decoders).log.ring == 2048


CSV = """
[devices.w]
reader = "serial"
port = "/dev/x"
decoder = { type = "csv", fields = ["", "t", "serial", "mode"], text_fields = ["serial"] }
"""


def test_fields_that_are_left_to_their_first_value_are_named() -> None:
    """Where others of the device are declared."""
    (warning,) = warnings_of(CSV + 'channels.t = { unit = "Cel" }\n')
    assert "mode: no type and no unit is declared" in warning
    declared = 'channels.t = { unit = "Cel" }\nchannels.mode = { type = "string" }\n'
    assert not warnings_of(CSV + declared)
    assert not warnings_of(CSV)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ('{ type = "string", scale = 0.1 }', "has no effect"),
        ('{ type = "bool", range = [0, 1] }', "has no effect"),
        ("{ missing = [85] }", "declare its type"),
        ('{ base = 16, sign = "high_bit" }', "unless bits says how many"),
    ],
)
def test_what_is_half_declared_gets_a_warning(declared: str, message: str) -> None:
    """With the key in question."""
    device = '[devices.w]\nreader = "serial"\nport = "/dev/x"\ndecoder = "key_value"\n'
    (warning,) = warnings_of(f"{device}channels.t = {declared}\n")
    assert message in warning


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ('{ sign = "high_bit" }', "needs bits"),
        ("{ bits = 16 }", "needs a sign"),
        ('{ type = "string", base = 16 }', "is for numbers"),
    ],
)
def test_a_notation_that_says_nothing_is_refused(declared: str, message: str) -> None:
    """With the key in question."""
    device = '[devices.w]\nreader = "serial"\nport = "/dev/x"\ndecoder = "key_value"\n'
    with pytest.raises(ConfigError, match=message):
        checked(f"{device}channels.t = {declared}\n")


EVENTS = """
[devices.door]
reader = "serial"
port = "/dev/a"
decoder = {{ type = "key_value", fields = {{ {field} = "B" }} }}
{more}
"""


@pytest.mark.parametrize("field", ["button", "Card-ID", "rfid", "action", "button_2"])
def test_what_looks_like_an_event_is_warned_of(field: str) -> None:
    """A press said twice would be published once."""
    (warning,) = warnings_of(EVENTS.format(field=f'"{field}"', more=""))
    assert f"devices.door.decoder: {field} looks like an event" in warning
    assert 'kind = "event"' in warning


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("temperature", ""),
        ("button", 'channels.button = { kind = "event" }'),
        ("button", 'publish = { policy = "every" }'),
        ("button", 'channels.button = { publish = { policy = "every" } }'),
        ("button", 'channels."b*" = { kind = "event" }'),
        ("reaction", ""),
    ],
)
def test_what_counts_each_one_or_is_no_event_is_not_warned_of(field: str, more: str) -> None:
    """A hint that is wrong would teach people to pass over all of them."""
    assert not warnings_of(EVENTS.format(field=field, more=more))


@pytest.mark.parametrize(("filter_", "count"), [("home/+/click", 1), ("home/+/light", 0)])
def test_a_filter_for_events_is_warned_of(filter_: str, count: int) -> None:
    """Where a bare value comes under a topic that names it."""
    text = MQTT.format(name="home", filter=filter_, topic="home/{1}")
    assert len(warnings_of(text)) == count
    text += 'channels.value = { kind = "event" }\n'
    assert not warnings_of(text)


def test_an_event_channel_by_name_is_warned_of() -> None:
    """Also where it is declared, but not as what it is."""
    text = SERIAL.format(name="a", port="/dev/a") + 'channels.action = { type = "string" }\n'
    (warning,) = warnings_of(text)
    assert "devices.a.channels.action: action looks like an event" in warning


@pytest.mark.parametrize(
    "device",
    [
        'reader = "serial"\nport = "/dev/x"\ndecoder = { type = "csv", fields = ["mean"] }',
        'reader = "serial"\nport = "/dev/x"\ndecoder = "json"\nchannels.mean = { unit = "Cel" }',
        'reader = "modbus"\nport = "/dev/x"\nunit = 1\nregisters.mean = { address = 0 }',
    ],
)
def test_a_derived_channel_on_a_devices_topic_is_refused(device: str) -> None:
    """One of the two would not be published, and only the log of the start named it."""
    derived = '[derived."boiler/{}"]\nfrom = "a/b"\nmean = "1m"\n'
    (fault,) = faults_of(f"[devices.boiler]\n{device}\n" + derived.format("mean"))
    assert fault.endswith('derived."boiler/mean": boiler makes this topic; choose another one')
    checked(f"[devices.boiler]\n{device}\n" + derived.format("mean_of_a_minute"))
