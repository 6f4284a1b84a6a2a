"""A configuration is read whole, or refused with all that is wrong and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensord.config.load import load, parse
from sensord.config.tree import Config
from sensord.errors import ConfigError
from tests.unit.config.plugins import DECODERS, READERS


def faults_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "c.toml", READERS, DECODERS)
    return [str(fault) for fault in caught.value.faults]


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    """It listens on loopback and has no devices."""
    file = tmp_path / "c.toml"
    file.write_text("")
    assert load(file, READERS, DECODERS) == Config()


def test_all_faults_are_told_in_the_order_of_the_file() -> None:
    """Each with its line, its path and what to do."""
    text = """
[server]
listen = ["0.0.0.0:80"]
outbux = 1

[devices.boiler]
reader = "plain"
topic = "{devise}"
[devices.boiler.channels."a b"]
decimals = 99
scale = 0
"""
    told = faults_of(text)
    assert [line.split(": ")[0] for line in told] == [
        "c.toml:3 server.listen",
        "c.toml:4 server.outbux",
        "c.toml:8 devices.boiler.topic",
        'c.toml:10 devices.boiler.channels."a b".decimals',
        'c.toml:11 devices.boiler.channels."a b".scale',
    ]
    assert told[1].endswith("unknown key; did you mean outbox?")


def test_a_fault_in_a_list_has_its_index() -> None:
    """And the line of the list."""
    (fault,) = faults_of('a = 1\n[server]\nlisten = [\n  "127.0.0.1:1",\n  5]\n')[1:]
    assert fault.startswith("c.toml:3 server.listen[1]: expected a text")


def test_a_misspelt_table_is_told_at_its_line() -> None:
    """Though it was only mentioned in the name of another."""
    (fault,) = faults_of('\n\n[device.boiler]\nreader = "plain"\n')
    assert fault.startswith("c.toml:3 device: unknown key")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nb = \nc = 3\n", 2),
        ("a = 1\na = 2\n", 2),
        ('a = """\n\n', 3),
        ("a = 1\n[", 2),
        (f"a = {'9' * 5000}\n", 2),
        (f"a = {'[' * 5000}\n", 2),
    ],
)
def test_what_is_not_toml_is_told_with_its_line(text: str, line: int) -> None:
    """As far as the parser knows it."""
    (fault,) = faults_of(text)
    assert fault.startswith(f"c.toml:{line} is not TOML: ")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """It has no lines."""
    file = tmp_path / "none.toml"
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file") as caught:
        load(file, READERS, DECODERS)
    assert caught.value.faults[0].line == 0


def test_a_file_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    """With the byte."""
    file = tmp_path / "c.toml"
    file.write_bytes(b"a = 1 # \xff\n")
    with pytest.raises(ConfigError, match="is not UTF-8 text: invalid start byte at byte 8"):
        load(file, READERS, DECODERS)


def test_the_text_is_called_by_the_name_it_was_given() -> None:
    """A document's example is not a file."""
    with pytest.raises(ConfigError, match=r"^README\.md:7\+:1 a: unknown key"):
        parse("a = 1", "README.md:7+", READERS, DECODERS)
