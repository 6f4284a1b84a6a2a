"""Whatever stands in a configuration, it is refused with its place, or can be built."""

from __future__ import annotations

import copy
import json
import math
import random
import tomllib
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sensord.config.load import parse
from sensord.config.tree import Config
from sensord.decode import registry as decoders
from sensord.decode.framing import framer_of
from sensord.errors import ConfigError, ConfigFault
from sensord.readers import registry as readers
from tests.kit.daemon import REPOSITORY

MORE = r"""
[journal]
folder = "/srv/journal"
max_bytes = "1GiB"
max_age = "30d"
segment_bytes = "16MiB"
[clients.topics."lab/#"]
unit = "Cel"
range = [0, 1]
[devices.poll]
reader = "serial"
port = "/dev/ttyS7"
poll = { command = "READ?\r\n", interval = "1s", timeout = "500ms" }
decoder = { type = "regex", pattern = "(?P<t>[0-9]+)" }
framing = { start = "\u0002", terminator = "\u0003", max_bytes = 64, discard_first = true }
publish = { policy = "periodic", period = "1s", stale_after = "10s" }
channels."t*" = { type = "int", unit = "K", scale = 0.1, offset = 1, publish = { deadband = 1 } }
[devices.poll.writable.t]
send = "SET {value:04d}\r\n"
range = [0, 10]
answer = "OK"
refusal = "ERR"
timeout = "1s"
[devices.poll.actions.purge]
send = "P {minutes}\r\n"
arguments = { minutes = { type = "int", range = [1, 60], default = 5 } }
state = "poll/mode"
reaches = "x"
[devices.broker]
reader = "mqtt"
host = "127.0.0.1"
client_id = "gw"
session_expiry = "1d"
keepalive = "30s"
topics = [{ filter = "a/+", topic = "x/{1}", qos = 1 }, { filter = "$share/g/b" }]
poll = { topic = "ask", payload = "now", interval = "10s" }
tls = { ca_file = "/etc/ca.pem" }
decoder = { type = "csv", fields = ["a", "b"] }
[devices.made]
reader = "simulated"
interval = "10ms"
copies = 2
signals.a = { shape = "ramp", low = 0, high = 1, period = "10s", noise = 0.1, decimals = 2 }
[devices.again]
reader = "replay"
files = ["/srv/x.mcap"]
speed = 10
filters = ["a/#"]
"""

SAMPLES = [tomllib.loads((REPOSITORY / "config.toml").read_text()), tomllib.loads(MORE)]

NONSENSE: list[object] = [
    *(0, -1, 1, 10**9, 10**18, 10**30, -(2**63), 0.0, -0.5, 1e-308, 1e308),
    *(math.nan, math.inf, -math.inf, True, False, "", " ", "x", "x" * 3000, "/", "//", "#", "+"),
    *("$sys", "state/x", "{field}", "{value:09999999999d}", "{", "}", "{value:", "{1}", "{x!r}"),
    *("\0", "\n", "ü", "\ud7ff", "°C", "1000GiB", "-1s", "1e9s", "9" * 5000, "1" * 400 + "d"),
    *("::1:1", "[::1", "localhost:0", "127.0.0.1:99999", "0.0.0.0:1", "socket://", "socket://[:1"),
    *("rfc2217://a:b", "(", "(?P<a>", "(a+)+b", "a{99999}", "\\", "nan", "json", "regex", "serial"),
    *([], [[]], [1, 0], [1, 2, 3], [math.nan, 1], ["a", "a"], [{}], {}, {"": 0}, {"a": {}}),
]
"""Values that somebody, or somebody's program, could write in the place of any other."""


def places(tree: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the path of everything in a tree, the tables included."""
    found = [at] if at else []
    if isinstance(tree, dict):
        return found + [p for key, one in tree.items() for p in places(one, (*at, key))]
    if isinstance(tree, list):
        return found + [p for i, one in enumerate(tree) for p in places(one, (*at, i))]
    return found


def changed(raw: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return a configuration with a few places put wrong."""
    chance, tree = random.Random(seed), copy.deepcopy(raw)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        at = chance.choice(places(tree))
        holder: Any = tree
        for key in at[:-1]:
            holder = holder[key]
        match chance.randrange(4):
            case 0 if isinstance(holder, dict):
                del holder[at[-1]]
            case 1 if isinstance(holder, dict):
                name = chance.choice(
                    ["", "x", "state", "$sys", "a/b", "*", "type", "ü", str(at[-1])]
                )
                holder[name] = copy.deepcopy(chance.choice([holder[at[-1]], *NONSENSE]))
            case _:
                holder[at[-1]] = copy.deepcopy(chance.choice(NONSENSE))
    return tree


def written(value: object) -> str:
    """Write a value as TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            pairs = (f"{json.dumps(key)} = {written(one)}" for key, one in value.items())
            return f"{{ {', '.join(pairs)} }}"
        case list():
            return f"[{', '.join(written(one) for one in value)}]"
        case str():
            return json.dumps(value)
        case _:
            return repr(value)


def text_of(tree: dict[str, Any]) -> str:
    """Write a configuration, a table a line."""
    return "".join(f"{json.dumps(key)} = {written(one)}\n" for key, one in tree.items())


def build_all(config: Config) -> None:
    """Build what the daemon builds of a configuration before it touches a device."""
    for device in config.devices:
        reader = readers.find(device.reader)
        assert reader is not None
        if device.reader != "simulated":  # which works out its waves then
            reader.create(device.reader_config)
        framer_of(device.framing)
        if device.decoder:
            decoder = decoders.find(device.decoder)
            assert decoder is not None
            decoder.create(device.decoder_config).decode(b"1,2;a=3\xff")


def faults_of(text: str) -> list[ConfigFault]:
    """Return what a configuration is refused for; build one that is accepted."""
    try:
        config = parse(text, "c.toml", readers, decoders)
    except ConfigError as error:
        return error.faults
    build_all(config)
    return list(config.warnings)


@given(st.sampled_from(SAMPLES), st.integers(0, 2**32))
@example(
    {
        "devices": {
            "a": SAMPLES[1]["devices"]["poll"]
            | {"actions": {"p": {"send": "p", "arguments": {"m": {"range": [1], "default": 5}}}}}
        }
    },
    None,
)
@settings(max_examples=300)
def test_no_configuration_raises_a_traceback(raw: dict[str, Any], seed: int | None) -> None:
    """Each fault has its line and path; what has none can be built."""
    text = text_of(raw if seed is None else changed(raw, seed))
    lines = text.count("\n") + 1
    for fault in faults_of(text):
        assert 1 <= fault.line <= lines
        assert str(fault).startswith(f"c.toml:{fault.line} ")


@given(st.text(max_size=200))
def test_no_text_raises_a_traceback(text: str) -> None:
    """Whether it is TOML or not."""
    assert all(str(fault) for fault in faults_of(text))
