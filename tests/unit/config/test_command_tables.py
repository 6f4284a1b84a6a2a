"""What a configuration may say of what clients may have a device do."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.config.build import build
from sensord.config.command_options import Argument, Command
from sensord.config.schema import Faults
from sensord.config.tree import Config
from sensord.decode import registry as decoders
from sensord.model.readings import ValueType
from sensord.readers import registry as readers

OVEN = """
    [devices.oven]
    reader = "serial"
    port = "/dev/ttyUSB0"
    decoder = "number"
"""


def read(text: str) -> tuple[Config | None, dict[str, str]]:
    faults = Faults()
    built = build(tomllib.loads(OVEN + text), faults, readers, decoders)
    return built, {".".join(map(str, path)): message for path, message in faults.found}


def command(text: str) -> Command:
    built, faults = read(text)
    assert built is not None, faults
    (found,) = built.devices[0].commands
    return found


def faults_of(text: str) -> dict[str, str]:
    built, faults = read(text)
    assert built is None
    return {path.removeprefix("devices.oven."): message for path, message in faults.items()}


def test_what_is_not_said_the_channel_says() -> None:
    """Type, unit, range, decimals, scale and topic."""
    found = command("""
        topic = "plant/{device}/{field}"
        writable.setpoint = { send = "{value}" }
        [devices.oven.channels.setpoint]
        type = "int"
        unit = "Cel"
        range = [0, 9]
        scale = 0.1
        decimals = 1
    """)
    topic = "plant/oven/setpoint"
    assert (found.name, found.field, found.state) == (topic, "setpoint", topic)
    argument = found.arguments["value"]
    assert (argument.type, argument.unit, argument.range) == (ValueType.INT, "Cel", (0, 9))
    assert (found.scale, found.decimals, found.timeout_s) == (0.1, 1, 5.0)


@pytest.mark.parametrize(
    ("said", "needs_answer", "state"),
    [
        ("", False, "oven/a"),
        ('answer = "OK"', True, ""),
        ('answer = "OK"\nstate = "{device}/b"', True, "oven/b"),
        ('confirm = "sent"', False, ""),
        ('confirm = "both"\nanswer = "OK"', True, "oven/a"),
        ('confirm = "answer"\nanswer = "OK"\nrefusal = "ERR"', True, ""),
    ],
)
def test_what_confirms_it(said: str, needs_answer: bool, state: str) -> None:
    """A state unless an answer is declared; both if both are."""
    found = command(f"[devices.oven.writable.a]\nsend = 'x'\n{said}")
    assert (found.answer is not None) is needs_answer
    assert found.state == state


def test_an_action_without_more_is_done_when_it_is_sent() -> None:
    """For there is nothing to know of it."""
    found = command("actions.beep = { send = 'BEEP' }")
    assert (found.name, found.answer, found.state, found.is_set) == ("oven/beep", None, "", False)


FAULTS: list[tuple[str, dict[str, str]]] = [
    ("writable = 5", {"writable": "expected tables"}),
    ("writable.a = 5", {"writable.a": "expected a table"}),
    ("writable.a = {}", {"writable.a.send": "is missing"}),
    ("writable.a = { send = 'x', sned = 'y' }", {"writable.a.sned": "did you mean send?"}),
    ("writable.a = { send = 'x{valu}' }", {"writable.a.send": "known are {value}"}),
    ("writable.a = { send = '\\r' }", {"writable.a.send": "double quotes"}),
    ("writable.a = { send = '\u2603' }", {"writable.a.send": "one byte"}),
    ("writable.a = { send = 'x', type = 'json' }", {"writable.a.type": "float, int, bool"}),
    ("writable.a = { send = 'x', range = [2, 1] }", {"writable.a.range": "[lowest, highest]"}),
    ("writable.a = { send = 'x', choices = ['a'] }", {"writable.a.choices": "is for texts"}),
    ("writable.a = { send = 'x', answer = '(' }", {"writable.a.answer": "regular expression"}),
    ("writable.a = { send = 'x', answer = '(a+)+$' }", {"writable.a.answer": "for ever"}),
    ("writable.a = { send = 'x', refusal = 'E' }", {"writable.a.refusal": "needs answer"}),
    ("writable.a = { send = 'x', confirm = 'both' }", {"writable.a.answer": "is needed"}),
    (
        "writable.a = { send = 'x', confirm = 'sent', answer = 'O' }",
        {"writable.a.answer": "confirms nothing"},
    ),
    ("writable.a = { send = 'x', timeout = 0 }", {"writable.a.timeout": "10ms"}),
    ("writable.a = { send = 'x', topic = 'a/{1}' }", {"writable.a.topic": "say which topic: {1}"}),
    ("writable.a = { send = 'x', state = '#' }", {"writable.a.state": "wildcards"}),
    (
        "writable.a = { send = 'x', topic = 'o' }\nwritable.b = { send = 'x', topic = 'o' }",
        {"writable.b": "o is declared twice"},
    ),
    ("actions.'a//b' = { send = 'x' }", {"actions.a//b": "no level may be empty"}),
    ("actions.a = { send = 'x', state = 'b' }", {"actions.a.reaches": "go together"}),
    ("actions.a = { send = 'x', reaches = 1 }", {"actions.a.state": "go together"}),
    ("actions.a = { send = 'x', reaches = [] }", {"actions.a.reaches": "a number, a text"}),
    ("actions.a = { send = '{b}' }", {"actions.a.send": "known are none"}),
    (
        "actions.a = { send = 'x', arguments = { '1' = {} } }",
        {"actions.a.arguments": "letters, digits"},
    ),
    (
        "actions.a = { send = '{b}', arguments.b = { type = 'int', default = 1.5 } }",
        {"actions.a.arguments.b.default": "whole"},
    ),
]


@pytest.mark.parametrize(("text", "wanted"), FAULTS, ids=[text[:60] for text, _ in FAULTS])
def test_each_fault_is_told_at_its_key(text: str, wanted: dict[str, str]) -> None:
    """And says what to do."""
    found = faults_of(text)
    for path, message in wanted.items():
        assert message in found[path], found
    assert set(found) == set(wanted)


def test_faults_of_commands_are_told_beside_others() -> None:
    """All at once."""
    found = faults_of("baud = 'x'\nwritable.a = {}")
    assert set(found) == {"baud", "writable.a.send"}


def test_two_devices_cannot_have_one_topic() -> None:
    """Nor can a topic be another device's name, for a lease would not know which is meant."""
    other = """
        writable.a = { send = 'x', topic = 'one' }
        [devices.lamp]
        reader = "simulated"
        writable.b = { topic = 'one' }
        writable.c = { topic = 'oven' }
    """
    _, faults = read(other)
    assert faults == {
        "devices.lamp.writable.b": "one is oven's already",
        "devices.lamp.writable.c": "oven is the name of another device",
    }


def test_a_reader_that_cannot_write_says_so() -> None:
    """Instead of a command that is never sent."""

    class Registry:
        def find(self, name: str, /) -> Any:
            found = readers.find("simulated")
            assert found is not None
            return readers.ReaderType(name, found.config, found.build)

        def names(self) -> list[str]:
            return ["old"]

    faults = Faults()
    raw = tomllib.loads("[devices.a]\nreader = 'old'\nwritable.b = {}")
    assert build(raw, faults, Registry(), decoders) is None
    assert faults.found == [(("devices", "a", "writable"), 'reader = "old" cannot write')]


def bare(**more: Any) -> Command:
    """Make a command of which only the arithmetic is asked."""
    return Command("t", "f", True, {"value": Argument()}, None, **more)  # type: ignore[arg-type]  # not asked


@given(
    value=st.floats(-1e6, 1e6),
    scale=st.sampled_from([0.1, 0.01, 0.5, 2.0, -1.0, 10.0]),
    offset=st.sampled_from([0.0, -40.0, 0.5]),
)
def test_the_value_that_is_sent_comes_back_as_it_was(
    value: float, scale: float, offset: float
) -> None:
    """What the channel makes of what the device has is what was asked for."""
    wanted = round(value, 3)
    one = bare(decimals=3, scale=scale, offset=offset)
    raw = one.raw({"value": wanted})["value"]
    assert isinstance(raw, float)
    assert one.has_reached(raw * scale + offset, wanted)


def test_the_devices_own_word_is_sent() -> None:
    """The first of two for one value; one that has none is refused, with those that have."""
    faults = Faults()
    raw = tomllib.loads(
        """
        [devices.plug]
        reader = "serial"
        port = "/dev/ttyUSB0"
        decoder = "key_value"
        channels.power = { values = { ON = true, OFF = false, overload = false } }
        channels.mode = { values = { "0" = "idle", "3" = "boost" } }
        writable.power = { send = "P={value}" }
        writable.mode = { send = "M={value}" }
        """
    )
    config = build(raw, faults, readers, decoders)
    assert faults.found == []
    assert config is not None
    power, mode = config.devices[0].commands
    assert [power.raw({"value": one}) for one in (True, False)] == [
        {"value": "ON"},
        {"value": "OFF"},
    ]
    assert power.arguments["value"].type is ValueType.BOOL
    assert mode.arguments["value"].choices == ("idle", "boost")
    assert mode.how.message(mode.raw({"value": "boost"})) == b"M=3"
    assert (power.meaning_of(" on "), mode.meaning_of("0"), mode.meaning_of("7")) == (
        True,
        "idle",
        None,
    )
    with pytest.raises(ValueError, match="no word for 1; send one of True, False"):
        power.raw({"value": 1})


def test_words_twice_are_a_fault() -> None:
    """Those of the channel are enough."""
    faults = Faults()
    raw = tomllib.loads(
        "devices.a = { reader = 'serial', port = '/dev/p', decoder = 'key_value',"
        " channels.b = { values = { ON = true } }, writable.b = { send = '{value:ON|OFF}' } }"
    )
    build(raw, faults, readers, decoders)
    text = "write {value}: the channel's values give the word to send"
    assert faults.found == [(("devices", "a", "writable", "b", "send"), text)]


@pytest.mark.parametrize(
    ("value", "wanted", "is_reached"),
    [
        (20.04, 20.0, True),
        (20.06, 20.0, False),
        (20, 20.0, True),
        (True, True, True),
        (True, 1, True),
        (False, True, False),
        ("ON", "ON", True),
        ("on", "ON", False),
        (None, 0.0, False),
        ("1", 1, False),
    ],
)
def test_a_state_has_reached_what_was_asked_for(value: Any, wanted: Any, is_reached: bool) -> None:
    """Within half of the last decimal."""
    one = bare(decimals=1)
    assert one.has_reached(value, wanted) is is_reached


@pytest.mark.parametrize(
    ("pattern", "writable", "is_told"),
    [
        ("house/{1}/pump", "", True),
        ("house/{1}/pump", 'topic = "house/cellar/pump"', False),
        ("house/{1}/pump", 'topic = "barn/cellar/pump"', True),
        ("house/{1}/pump", 'confirm = "sent"', False),
        ("house/{1}/pump", 'state = "house/cellar/pump"', False),
        ("{device}/{field}", "", False),
        ("", "", False),
    ],
)
def test_a_topic_that_no_message_gets_confirms_nothing(
    pattern: str, writable: str, *, is_told: bool
) -> None:
    """It would never be done; the operator is told which key to mend."""
    _, faults = read(f"""
        [devices.barn]
        reader = "mqtt"
        host = "127.0.0.1"
        decoder = "number"
        topics = [{{ filter = "a/+/b", topic = "{pattern}" }}]
        [devices.barn.writable.pump]
        send_to = "a/cellar/set"
        {writable}
    """)
    assert ("devices.barn.writable.pump.topic" in faults) is is_told, faults
