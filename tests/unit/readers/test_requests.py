"""The options of requests: what is refused, and what is sent."""

from __future__ import annotations

from typing import Any

import pytest

from sensord.config.schema import Faults, structure
from sensord.readers.requests import Poll, Request, Step, baud_of, message_of, pause_of


def found(table: dict[str, Any]) -> list[tuple[str, str]]:
    faults = Faults()
    structure(Request, table, (), faults)
    return [(".".join(map(str, path)), message) for path, message in faults.found]


SDI_12 = {
    "send": "0M!",
    "answer": "^0(?P<seconds>[0-9]{3})(?P<count>[0-9])$",
    "interval": "1m",
    "then": [{"pause": "{seconds}", "until": "0\r\n", "send": "0D0!"}],
}

IEC = {
    "send": "/?!\r\n",
    "answer": "^/[A-Za-z]{3}(?P<speed>[0-6])",
    "interval": "15m",
    "then": [{"send": "\x060{speed}0\r\n", "baud": "{speed}", "answer_end": "\x03"}],
}


@pytest.mark.parametrize(
    "table",
    [
        SDI_12,
        IEC,
        {"send_hex": "ff 01 86", "answer_bytes": 9},
        {"send": '{"cmd":{get}}'},
        {"send": "TRIG\n", "answer_end": "", "then": [{"pause": "500ms", "send": "FETCH?\n"}]},
        {"send": "x", "then": [{"send": "y", "baud": 19200}]},
    ],
)
def test_good_options_are_accepted(table: dict[str, Any]) -> None:
    """These are as an operator writes them."""
    assert found(table) == []


@pytest.mark.parametrize(
    ("table", "path", "words"),
    [
        ({}, "", "send or send_hex"),
        ({"send": "a", "send_hex": "00"}, "send_hex", "either"),
        ({"send_hex": "0"}, "send_hex", "pairs"),
        ({"send": "a\\r\\n"}, "send", "double quotes"),
        ({"send": "\u20ac"}, "send", "one byte"),
        ({"send": "a", "answer": "("}, "answer", "regular expression"),
        ({"send": "a", "answer": "x", "answer_end": ""}, "answer", "where the answer ends"),
        ({"send": "a", "timeout": "2s"}, "timeout", "interval"),
        ({"send": "a", "until": "x"}, "until", "needs a pause"),
        ({"send": "a", "pause": "soon"}, "pause", "500ms"),
        ({"send": "a", "then": [{"send": "b", "pause": "{t}"}]}, "then.0.pause", "unknown"),
        (
            {"send": "a", "answer": "(?P<t>.)", "then": [{"send": "{u}"}]},
            "then.0.send",
            "unknown placeholder {u}; known are {t}",
        ),
        ({"send": "a", "then": [{"send": "b", "baud": 5}]}, "then.0.baud", "from 50"),
        ({"send": "a", "then": [{"send": "b", "baud": 9.5}]}, "then.0.baud", "a rate such as"),
    ],
)
def test_faults_name_their_place(table: dict[str, Any], path: str, words: str) -> None:
    """Each fault names its key and what would be right."""
    assert any(where == path and words in message for where, message in found(table)), found(table)


def test_a_command_is_sent_as_written() -> None:
    """Text stands for its bytes, hexadecimal digits for theirs."""
    assert message_of(Poll(command="READ?\r\n").as_request(), {}) == b"READ?\r\n"
    assert message_of(Poll(command_hex="01 03 FF 2a").as_request(), {}) == b"\x01\x03\xff\x2a"
    assert message_of(Step(send="{x} \u00ff"), {}) == b"{x} \xff"


def test_what_an_answer_brought_is_sent() -> None:
    """Groups fill the places of a text; digits keep their form."""
    assert message_of(Step(send="0{speed}0"), {"speed": "05"}) == b"0050"


@pytest.mark.parametrize(
    ("pause", "seconds"), [(0, 0.0), (1.5, 1.5), ("500ms", 0.5), ("{t}", 13.0), ("2m", 120.0)]
)
def test_a_pause_is_a_time_or_what_a_device_answered(pause: float | str, seconds: float) -> None:
    """A number stands for seconds."""
    assert pause_of(Step(pause=pause), {"t": "013"}) == seconds


@pytest.mark.parametrize("answered", ["", "soon", "4000", "99999999999"])
def test_a_pause_that_is_no_time_is_refused(answered: str) -> None:
    """A device must not stop the line for hours."""
    with pytest.raises(ValueError, match="is no time"):
        pause_of(Step(pause="{t}"), {"t": answered})


def test_a_rate_is_looked_up() -> None:
    """One character of a meter stands for a rate."""
    assert baud_of(Step(), {}) is None
    assert baud_of(Step(baud=4800), {}) == 4800
    assert baud_of(Step(baud="{z}"), {"z": "5"}) == 9600
    assert baud_of(Step(baud="{z}", bauds={"5": 1200}), {"z": "5"}) == 1200
    with pytest.raises(ValueError, match="not in bauds"):
        baud_of(Step(baud="{z}"), {"z": "A"})
