"""Lines of columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.base import Fault, Sample
from sensord.decode.csv_line import BAD_QUOTING, COLUMN_COUNT, Config, Decoder
from sensord.decode.framing.lines import Config as Framing
from sensord.decode.framing.lines import LineFramer
from sensord.decode.text import BAD_ENCODING, NOT_FINITE, UNPRINTABLE
from tests.unit.decode.streams import config_faults, cut_points, feed_in_pieces, pieces

FIELDS = ("temperature", "", "state")


def test_columns_become_samples_by_position() -> None:
    """Numbers become numbers, words stay words, a nameless column is skipped."""
    decoder = Decoder(Config(fields=FIELDS))
    assert decoder.decode(b"21.5, 7, on") == (
        [Sample("temperature", 21.5), Sample("state", "on")],
        [],
    )


def test_an_empty_column_gives_no_sample() -> None:
    """The device has nothing to say there."""
    assert Decoder(Config(fields=FIELDS)).decode(b",7, ") == ([], [])


@pytest.mark.parametrize("line", [b"21.5", b"21.5,7,on,9", b"21.5;7;on"])
def test_another_number_of_columns_is_a_fault(line: bytes) -> None:
    """No value of the line is used: it may stand in the wrong column."""
    assert Decoder(Config(fields=FIELDS)).decode(line) == ([], [Fault(COLUMN_COUNT, line)])


def test_extra_columns_can_be_allowed_but_missing_ones_not() -> None:
    """What follows the named columns is ignored."""
    decoder = Decoder(Config(fields=("a", "b"), allow_extra=True))
    assert decoder.decode(b"1,2,3,4") == ([Sample("a", 1), Sample("b", 2)], [])
    assert decoder.decode(b"1") == ([], [Fault(COLUMN_COUNT, b"1")])


def test_a_space_separates_at_any_run_of_blanks() -> None:
    """Devices that align their columns are read."""
    decoder = Decoder(Config(fields=("a", "b"), separator=" "))
    assert decoder.decode(b"  1.5 \t  2") == ([Sample("a", 1.5), Sample("b", 2)], [])


def test_a_quoted_column_may_hold_the_separator() -> None:
    """Doubled quotes stand for one."""
    decoder = Decoder(Config(fields=("name", "t")))
    assert decoder.decode(b'"a, ""b""", 1') == ([Sample("name", 'a, "b"'), Sample("t", 1)], [])


def test_bad_quoting_is_a_fault() -> None:
    """A line end inside a line cannot be told apart from a lost quote."""
    line = b'"a"\rb,1'
    assert Decoder(Config(fields=("a", "b"))).decode(line) == ([], [Fault(BAD_QUOTING, line)])


def test_comments_are_skipped() -> None:
    """Also where they would make the right number of columns."""
    assert Decoder(Config(fields=("a",), comment="#")).decode(b"# 1") == ([], [])


def test_a_header_is_skipped_whenever_it_comes() -> None:
    """A device that restarts sends it again."""
    decoder = Decoder(Config(fields=FIELDS, skip_header=True))
    assert decoder.decode(b"temp,humidity,state") == ([], [])
    assert decoder.decode(b"21.5,7,on").samples[0] == Sample("temperature", 21.5)
    assert decoder.decode(b"temp,humidity,state") == ([], [])


def test_noise_in_one_column_spares_the_others() -> None:
    """The fault is counted, the good values are used."""
    line = b"2\x001.5,7,on"
    found = Decoder(Config(fields=FIELDS)).decode(line)
    assert found == ([Sample("state", "on")], [Fault(UNPRINTABLE, line)])


def test_nan_is_a_bad_sample() -> None:
    """Many sensors print nan when they do not answer."""
    samples = Decoder(Config(fields=("a",))).decode(b"nan").samples
    assert samples == [Sample("a", None, NOT_FINITE)]


def test_a_line_in_another_encoding_is_a_fault() -> None:
    """It is mostly a wrong baud rate."""
    assert Decoder(Config(fields=("a",))).decode(b"\xff\xfe") == (
        [],
        [Fault(BAD_ENCODING, b"\xff\xfe")],
    )


def test_bare_columns_have_no_metadata() -> None:
    """Units come from the configuration."""
    assert Decoder(Config(fields=FIELDS)).metadata("temperature") is None


@given(st.binary(max_size=200), st.sampled_from([",", " ", ";", "\t"]))
def test_no_line_raises(line: bytes, separator: str) -> None:
    """Whatever the bytes, there are samples or faults."""
    Decoder(Config(fields=("a", "b"), separator=separator)).decode(line)


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(-(10**9), 10**9)), max_size=10),
    st.binary(max_size=30),
    cut_points,
)
def test_any_cut_of_the_stream_gives_the_same_samples(
    rows: list[tuple[float, int]], noise: bytes, points: list[int]
) -> None:
    """Framed and decoded, only the bytes count; noise between two lines spares the rest."""
    lines = [f"{a!r},{b}".encode() for a, b in rows]
    data = noise + b"\n" + b"".join(line + b"\r\n" for line in lines)

    def decoded(points: list[int]) -> list[object]:
        decoder = Decoder(Config(fields=("a", "b")))
        messages, faults = feed_in_pieces(LineFramer(Framing()), pieces(data, points))
        return [*faults, *(decoder.decode(message) for message in messages)]

    whole = decoded([])
    assert decoded(points) == whole
    expected: list[object] = [([Sample("a", a), Sample("b", b)], []) for a, b in rows]
    assert whole[len(whole) - len(rows) :] == expected


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({}, "fields: is missing and has no default"),
        ({"fields": ["", ""]}, "fields: name at least one column"),
        ({"fields": ["a", "a"]}, "fields: each name may stand only once"),
        (
            {"fields": ["a+"]},
            'fields: "a+": a topic may not contain the wildcards + and #',
        ),
        (
            {"fields": ["a"], "separator": "::"},
            "separator: must be one character, and no quote or line end",
        ),
        (
            {"fields": ["a"], "decimal_comma": True},
            "decimal_comma: needs a separator other than the comma",
        ),
        (
            {"fields": ["a"], "text_fields": ["b"]},
            'text_fields: "b" is not one of the fields',
        ),
    ],
)
def test_unusable_options_are_refused(table: dict[str, object], fault: str) -> None:
    """The fault names the key and what to do."""
    assert config_faults(Config, table) == [fault]


def test_usable_options_are_accepted() -> None:
    """A decimal comma goes with a semicolon."""
    table = {
        "fields": ["a", "", "b"],
        "separator": ";",
        "decimal_comma": True,
        "text_fields": ["b"],
    }
    assert config_faults(Config, table) == []
