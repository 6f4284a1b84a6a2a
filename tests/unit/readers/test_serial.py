"""The serial reader's options and its idea of a complete answer."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.config.schema import Faults, structure
from sensord.device.backoff import LOCAL, REMOTE
from sensord.readers.serial import Answer, Config, Poll, Reader


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
    ],
)
def test_faults_are_told_with_their_place(table: dict[str, Any], path: str, words: str) -> None:
    """Each fault names its key and what would be right."""
    assert any(where == path and words in message for where, message in found(table))


def test_a_poll_of_no_interval_is_refused() -> None:
    """It would poll without end."""
    table = {"port": "/dev/x", "poll": {"command": "a", "interval": 0}}
    assert "poll.interval" in {where for where, _ in found(table)}


def test_a_command_is_sent_as_written() -> None:
    """Text stands for its ASCII bytes, hexadecimal digits for theirs."""
    assert Poll(command="READ?\r\n").request() == b"READ?\r\n"
    assert Poll(command_hex="01 03 FF 2a").request() == b"\x01\x03\xff\x2a"


def test_ports_of_this_machine_are_looked_for_often() -> None:
    """Somebody may be plugging one in; a terminal server is spared."""
    assert Reader(Config("/dev/ttyUSB0")).limits == LOCAL
    assert Reader(Config("hwgrep://0403:6001")).limits == LOCAL
    assert Reader(Config("socket://127.0.0.1:2000")).limits == REMOTE


@given(st.binary(max_size=30), st.lists(st.integers(0, 40), max_size=6))
def test_an_answer_is_complete_at_its_end_however_it_is_cut(body: bytes, cuts: list[int]) -> None:
    """Before the last byte of the terminator it is not."""
    whole = body.replace(b"\r\n", b"") + b"\r\n"
    if b"\r\n" in whole[:-1]:  # the replacing made a new one
        return
    answer = Answer(b"\r\n", 0)
    places = sorted({min(cut, len(whole) - 1) for cut in cuts} | {0, len(whole)})
    pieces = [whole[a:b] for a, b in itertools.pairwise(places)]
    assert [answer.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]


@given(st.lists(st.binary(min_size=1, max_size=5), min_size=1))
def test_an_answer_of_fixed_size_is_complete_with_its_bytes(pieces: list[bytes]) -> None:
    """What the bytes are does not matter."""
    size = sum(map(len, pieces))
    answer = Answer(b"\n", size)
    assert [answer.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
