"""Messages that are one number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.base import Fault, Sample
from sensord.decode.number import NOT_A_NUMBER, Config, Decoder
from sensord.decode.text import BAD_ENCODING, NOT_FINITE
from tests.unit.decode.streams import config_faults


@pytest.mark.parametrize(("message", "value"), [(b"21.5", 21.5), (b" -3\t", -3), (b"1e2", 100.0)])
def test_a_number_is_a_sample(message: bytes, value: float) -> None:
    """Blanks around it do not count."""
    assert Decoder(Config()).decode(message) == ([Sample("value", value)], [])


def test_the_field_can_be_named() -> None:
    """It may have levels."""
    assert Decoder(Config(field="tank/level")).decode(b"7").samples == [Sample("tank/level", 7)]


@pytest.mark.parametrize("message", [b"", b"on", b"21.5 C", b"1 2", b"12:30"])
def test_anything_else_is_a_fault(message: bytes) -> None:
    """A unit is expected only where it is configured."""
    assert Decoder(Config()).decode(message) == ([], [Fault(NOT_A_NUMBER, message)])


@pytest.mark.parametrize("message", ["21.5 C", "21.5C", "21.5 °C", "21.5"])
def test_a_configured_unit_may_follow(message: str) -> None:
    """With or without a blank."""
    decoder = Decoder(Config(units=("C", " °C")))
    assert decoder.decode(message.encode()) == ([Sample("value", 21.5)], [])


def test_the_longest_unit_is_the_one_that_is_meant() -> None:
    """Of `bar` and `mbar` the latter, whatever their order."""
    decoder = Decoder(Config(units=("bar", "mbar")))
    assert decoder.decode(b"1013 mbar").samples == [Sample("value", 1013)]


def test_another_unit_is_a_fault() -> None:
    """A thermometer that was switched to Fahrenheit does not go unnoticed."""
    message = b"70.7 F"
    assert Decoder(Config(units=("C",))).decode(message) == ([], [Fault(NOT_A_NUMBER, message)])


@pytest.mark.parametrize(
    ("message", "value"), [(b"ON", True), (b" off ", False), (b"1.5", 1.5), (b"Off", False)]
)
def test_words_stand_for_what_is_configured(message: bytes, value: float) -> None:
    """Whatever their case; numbers are still numbers."""
    decoder = Decoder(Config(words={"on": True, "Off": False}))
    assert decoder.decode(message) == ([Sample("value", value)], [])


@pytest.mark.parametrize("message", [b"nan", b"-inf"])
def test_what_is_not_finite_is_a_bad_sample(message: bytes) -> None:
    """There is a value to report: that there is none."""
    assert Decoder(Config()).decode(message) == ([Sample("value", None, NOT_FINITE)], [])


def test_a_message_in_another_encoding_is_a_fault() -> None:
    """It is mostly a wrong baud rate."""
    assert Decoder(Config()).decode(b"\xff") == ([], [Fault(BAD_ENCODING, b"\xff")])


def test_a_bare_number_has_no_metadata() -> None:
    """Units come from the configuration."""
    assert Decoder(Config(units=("C",))).metadata("value") is None


@given(st.binary(max_size=50))
def test_no_message_raises(message: bytes) -> None:
    """Whatever the bytes, there is one sample or one fault."""
    decoder = Decoder(Config(units=("C", "%"), words={"on": True}, decimal_comma=True))
    samples, faults = decoder.decode(message)
    assert len(samples) + len(faults) == 1


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"field": ""}, "field: no level may be empty"),
        ({"units": ["C", " "]}, "units: a unit may not be empty"),
    ],
)
def test_unusable_options_are_refused(table: dict[str, object], fault: str) -> None:
    """The fault names the key."""
    assert config_faults(Config, table) == [fault]


def test_usable_options_are_accepted() -> None:
    """Units and words go together."""
    assert config_faults(Config, {"units": ["C"], "words": {"on": True}}) == []
