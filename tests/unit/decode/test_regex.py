"""Lines that only a pattern can read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.base import Fault, Sample, excerpt
from sensord.decode.regex import NO_MATCH, TOO_LONG, Config, Decoder
from sensord.decode.text import BAD_ENCODING, UNPRINTABLE
from tests.unit.decode.streams import config_faults

PATTERN = r"T=\s*(?P<temperature>[-\d.]+)C(?: H=(?P<humidity>\d*)%)?"


def test_named_groups_become_samples() -> None:
    """The pattern is searched for, wherever in the line it stands."""
    decoder = Decoder(Config(pattern=PATTERN))
    assert decoder.decode(b"#3 T= -2.5C H=40% ok") == (
        [Sample("temperature", -2.5), Sample("humidity", 40)],
        [],
    )


@pytest.mark.parametrize("line", [b"T=1C", b"T=1C H=%"])
def test_a_group_that_matched_nothing_gives_no_sample(line: bytes) -> None:
    """Neither an optional group that is absent nor one that is empty."""
    assert Decoder(Config(pattern=PATTERN)).decode(line) == ([Sample("temperature", 1)], [])


def test_a_line_that_does_not_match_is_a_fault() -> None:
    """It is quoted."""
    assert Decoder(Config(pattern=PATTERN)).decode(b"boot") == ([], [Fault(NO_MATCH, b"boot")])


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"(?P<v>(a+)+)b", "several ways"),
        (r"(.*),(.*),(.*),(.*),(?P<v>.*),", "too many repetitions"),
    ],
)
def test_a_pattern_that_could_take_for_ever_is_refused(pattern: str, words: str) -> None:
    """While it is tried, the whole daemon waits."""
    (message,) = config_faults(Config, {"pattern": pattern})
    assert message.startswith("pattern: ")
    assert words in message


def test_a_line_that_is_too_long_for_its_pattern_is_a_fault() -> None:
    """A shorter one is read as ever."""
    decoder = Decoder(Config(pattern=r"(?P<a>.*),(?P<b>.*),(?P<c>\d+)"))
    line = b"1,2,3" + b"," * 300
    assert decoder.decode(line[:200]).samples[2] == Sample("c", 3)
    assert decoder.decode(line).faults == [Fault(TOO_LONG, excerpt(line))]


def test_text_fields_stay_text() -> None:
    """A code keeps its zeros."""
    decoder = Decoder(Config(pattern=r"E(?P<code>\d+)", text_fields=("code",)))
    assert decoder.decode(b"E007").samples == [Sample("code", "007")]


def test_noise_in_a_group_is_a_fault() -> None:
    """Control characters are no text."""
    found = Decoder(Config(pattern="<(?P<name>.*)>")).decode(b"<a\x01>")
    assert found == ([], [Fault(UNPRINTABLE, b"<a\x01>")])


def test_a_line_in_another_encoding_is_a_fault() -> None:
    """It is mostly a wrong baud rate."""
    assert Decoder(Config(pattern=PATTERN)).decode(b"\xff") == ([], [Fault(BAD_ENCODING, b"\xff")])


def test_a_pattern_has_no_metadata() -> None:
    """Units come from the configuration."""
    assert Decoder(Config(pattern=PATTERN)).metadata("temperature") is None


@given(st.binary(max_size=200))
def test_no_line_raises(line: bytes) -> None:
    """Whatever the bytes, there are samples or faults."""
    Decoder(Config(pattern=PATTERN, encoding="latin-1")).decode(line)


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"pattern": "(?P<a"}, "pattern: is not a regular expression: "),
        ({"pattern": "(?P<a>x{99999999999})"}, "pattern: is not a regular expression: "),
        ({"pattern": r"\d+"}, "pattern: must name a group, as in (?P<temperature>[-0-9.]+)"),
        (
            {"pattern": "(?P<a>.)", "text_fields": ["b"]},
            'text_fields: "b" is not a group of the pattern',
        ),
    ],
)
def test_an_unusable_pattern_is_refused(table: dict[str, object], fault: str) -> None:
    """The fault says what is wrong with it."""
    (found,) = config_faults(Config, table)
    assert found.startswith(fault)


def test_a_usable_pattern_is_accepted() -> None:
    """It names a group, and text fields are among the groups."""
    assert config_faults(Config, {"pattern": "(?P<a>.)", "text_fields": ["a"]}) == []
