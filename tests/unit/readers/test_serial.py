"""The serial reader's options and its idea of a complete answer."""

from __future__ import annotations

from typing import Any

import pytest

from sensord.config.load import parse
from sensord.config.schema import Faults, structure
from sensord.decode import registry as decoders
from sensord.decode.framing import framer_of
from sensord.device.backoff import LOCAL, REMOTE
from sensord.readers import registry as readers
from sensord.readers.serial import Config, Reader


def found(table: dict[str, Any]) -> list[tuple[str, str]]:
    faults = Faults()
    structure(Config, table, (), faults)
    return [(".".join(map(str, path)), message) for path, message in faults.found]


@pytest.mark.parametrize(
    "table",
    [
        {"port": "/dev/ttyUSB0"},
        {"port": "socket://127.0.0.1:2000", "stall": "2m"},
        {"port": "socket://[::1]:2000"},
        {"port": "rfc2217://terminal:7000?ign_set_control"},
        {"port": "hwgrep://0403:6001", "parity": "even", "bytesize": 7, "stopbits": 2},
        {"port": "/dev/ttyS0", "poll": {"command": "READ?\r\n"}},
        {"port": "/dev/ttyS0", "dtr": False, "rts": True, "stall": 0},
        {"port": "/dev/ttyS0", "poll": {"command_hex": "01 03 00", "answer_bytes": 7}},
        {"port": "/dev/ttyS0", "on_open": "FRES\r\n", "on_open_delay": "2s"},
    ],
)
def test_good_options_are_accepted(table: dict[str, Any]) -> None:
    """These are as an operator writes them."""
    assert found(table) == []


@pytest.mark.parametrize(
    ("table", "path", "words"),
    [
        ({}, "port", "missing"),
        ({"port": "ttyUSB0"}, "port", "/dev/ttyUSB0"),
        ({"port": "COM1"}, "port", "expected a path"),
        ({"port": "/dev/tty\0"}, "port", "without control characters"),
        ({"port": "tcp://127.0.0.1:1"}, "port", "socket://"),
        ({"port": "socket://127.0.0.1"}, "port", "socket://host:port"),
        ({"port": "socket://127.0.0.1:99999"}, "port", "socket://host:port"),
        ({"port": "rfc2217://:7000"}, "port", "rfc2217://host:port"),
        ({"port": "/dev/x", "baud": 0}, "baud", "from 50"),
        ({"port": "/dev/x", "bytesize": 9}, "bytesize", "one of 5, 6, 7, 8"),
        ({"port": "/dev/x", "rts": True, "rtscts": True}, "rts", "flow control"),
        ({"port": "socket://h:1", "dtr": True}, "dtr", "terminal server"),
        ({"port": "/dev/x", "poll": {}}, "poll", "either command or command_hex"),
        (
            {"port": "/dev/x", "poll": {"command": "a", "command_hex": "00"}},
            "poll",
            "either command or command_hex",
        ),
        ({"port": "/dev/x", "poll": {"command": "T\\r\\n"}}, "poll.command", "double quotes"),
        ({"port": "/dev/x", "poll": {"command": "°?"}}, "poll.command", "command_hex"),
        ({"port": "/dev/x", "poll": {"command_hex": "0 1"}}, "poll.command_hex", "pairs"),
        ({"port": "/dev/x", "poll": {"command": "a", "answer_end": ""}}, "poll.answer_end", "end"),
        ({"port": "/dev/x", "poll": {"command": "a", "timeout": "2s"}}, "poll.timeout", "interval"),
        ({"port": "/dev/x", "poll": {"command": "a", "timeout": 0}}, "poll.timeout", 'from "1ms"'),
        (
            {"port": "/dev/x", "poll": {"command": "a"}, "requests": [{"send": "b"}]},
            "poll",
            "one of the requests",
        ),
        ({"port": "/dev/x", "requests": [{"send": ""}]}, "requests.0", "send or send_hex"),
        (
            {
                "port": "/dev/x",
                "requests": [{"send": "a", "name": "x"}, {"send": "b", "name": "x"}],
            },
            "requests.1.name",
            "another request",
        ),
        (
            {"port": "socket://h:1", "requests": [{"send": "a", "then": [{"baud": 9600}]}]},
            "requests.0",
            "terminal server",
        ),
        ({"port": "/dev/x", "on_open": "a", "on_open_hex": "00"}, "on_open_hex", "either"),
        ({"port": "/dev/x", "on_open_hex": "0"}, "on_open_hex", "pairs"),
        ({"port": "/dev/x", "on_open_delay": "2s"}, "on_open_delay", "nothing to delay"),
    ],
)
def test_faults_are_told_with_their_place(table: dict[str, Any], path: str, words: str) -> None:
    """Each fault names its key and what would be right."""
    assert any(where == path and words in message for where, message in found(table))


def test_a_poll_of_no_interval_is_refused() -> None:
    """It would poll without end."""
    table = {"port": "/dev/x", "poll": {"command": "a", "interval": 0}}
    assert "poll.interval" in {where for where, _ in found(table)}


def test_ports_of_this_machine_are_looked_for_often() -> None:
    """Somebody may be plugging one in; a terminal server is spared."""
    assert Reader(Config("/dev/ttyUSB0")).limits == LOCAL
    assert Reader(Config("hwgrep://0403:6001")).limits == LOCAL
    assert Reader(Config("socket://127.0.0.1:2000")).limits == REMOTE


def test_answers_are_messages_where_only_their_end_is_declared() -> None:
    """With the framing of lines they would wait for a line feed that never comes."""
    config = parse(
        '[devices.dmm]\nreader = "serial"\nport = "/dev/x"\ndecoder = "number"\n'
        'poll = { command = "D", answer_end = "\\r" }\n',
        "test",
        readers,
        decoders,
    )
    framed = framer_of(config.devices[0].framing).feed(b"3.999\r")
    assert framed.messages == [b"3.999"]
