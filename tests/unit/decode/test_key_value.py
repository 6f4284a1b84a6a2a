"""Lines of pairs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.base import Fault, Sample
from sensord.decode.key_value import BAD_PAIR, MAX_PAIRS, Config, Decoder
from sensord.decode.text import BAD_ENCODING, TOO_MANY_VALUES, UNPRINTABLE
from tests.unit.decode.streams import config_faults


def test_pairs_become_samples() -> None:
    """Blanks around keys and values do not count, nor does a trailing separator."""
    decoder = Decoder(Config())
    assert decoder.decode(b"temp=21.5; hum = 40 ;state=on;") == (
        [Sample("temp", 21.5), Sample("hum", 40), Sample("state", "on")],
        [],
    )


def test_separators_can_be_chosen() -> None:
    """A space stands for any run of blanks."""
    decoder = Decoder(Config(separator=" ", assign=":"))
    assert decoder.decode(b"T:21.5   H:40") == ([Sample("T", 21.5), Sample("H", 40)], [])


@pytest.mark.parametrize("pair", [b"hum", b"=40", b" = 40"])
def test_a_bad_pair_spares_the_others(pair: bytes) -> None:
    """It is a fault of its own."""
    found = Decoder(Config()).decode(b"temp=21.5;" + pair + b";state=on")
    assert found == (
        [Sample("temp", 21.5), Sample("state", "on")],
        [Fault(BAD_PAIR, pair)],
    )


def test_an_empty_value_gives_no_sample() -> None:
    """The device has nothing to say there."""
    assert Decoder(Config()).decode(b"temp=;hum= ") == ([], [])


def test_a_value_may_hold_the_assign_sign() -> None:
    """The first one parts key and value."""
    assert Decoder(Config()).decode(b"note=a=b").samples == [Sample("note", "a=b")]


def test_keys_become_levels_of_a_topic() -> None:
    """What a topic may not hold is replaced."""
    assert Decoder(Config()).decode(b"a/b#=1").samples == [Sample("a_b_", 1)]


def test_only_configured_fields_are_taken() -> None:
    """They are called what the configuration calls them, and noise opens no channels."""
    decoder = Decoder(Config(fields={"env/temperature": "T"}))
    assert decoder.decode(b"T=21.5;H=40;X\x01=1") == ([Sample("env/temperature", 21.5)], [])


def test_text_fields_stay_text() -> None:
    """A code keeps its zeros."""
    decoder = Decoder(Config(text_fields=("code",)))
    assert decoder.decode(b"code=007;n=7").samples == [Sample("code", "007"), Sample("n", 7)]


def test_noise_in_a_value_is_a_fault() -> None:
    """The other pairs are used."""
    assert Decoder(Config()).decode(b"a=1\x02;b=2") == (
        [Sample("b", 2)],
        [Fault(UNPRINTABLE, b"a=1\x02")],
    )


def test_one_message_opens_a_bounded_number_of_channels() -> None:
    """The pairs past the limit are one fault."""
    found = Decoder(Config()).decode(b";".join(b"k%d=1" % i for i in range(MAX_PAIRS + 5)))
    assert len(found.samples) == MAX_PAIRS
    assert [fault.reason for fault in found.faults] == [TOO_MANY_VALUES]


def test_a_line_in_another_encoding_is_a_fault() -> None:
    """It is mostly a wrong baud rate."""
    assert Decoder(Config()).decode(b"\xff") == ([], [Fault(BAD_ENCODING, b"\xff")])


def test_bare_pairs_have_no_metadata() -> None:
    """Units come from the configuration."""
    assert Decoder(Config()).metadata("temp") is None


@given(st.binary(max_size=200))
def test_no_line_raises(line: bytes) -> None:
    """Whatever the bytes, there are samples or faults."""
    Decoder(Config()).decode(line)
    Decoder(Config(encoding="latin-1", separator=" ")).decode(line)


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"separator": ""}, "separator: may not be empty"),
        ({"assign": ""}, "assign: may not be empty"),
        ({"assign": ";"}, "assign: must differ from the separator"),
        ({"separator": " ", "assign": "\t"}, "assign: must differ from the separator"),
        (
            {"separator": ",", "decimal_comma": True},
            "decimal_comma: needs another separator than the comma",
        ),
        ({"fields": {"a//b": "T"}}, 'fields: "a//b": no level may be empty'),
        ({"fields": {"a": "T", "b": "T"}}, "fields: two fields name the same key"),
        (
            {"fields": {"a": "T"}, "text_fields": ["T"]},
            'text_fields: "T" is not one of the fields',
        ),
    ],
)
def test_unusable_options_are_refused(table: dict[str, object], fault: str) -> None:
    """The fault names the key and what to do."""
    assert config_faults(Config, table) == [fault]


def test_usable_options_are_accepted() -> None:
    """Text fields need not be listed when every key is a field."""
    assert config_faults(Config, {"text_fields": ["code"], "decimal_comma": True}) == []
    assert config_faults(Config, {"fields": {"a": "T"}, "text_fields": ["a"]}) == []
