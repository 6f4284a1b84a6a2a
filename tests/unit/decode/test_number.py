"""Messages that are one number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.base import UNREAD, Fault, Sample
from sensord.decode.number import NOT_A_NUMBER, Config, Decoder
from sensord.decode.text import BAD_ENCODING, NOT_FINITE, UNPRINTABLE
from tests.unit.decode.streams import config_faults


@pytest.mark.parametrize(("message", "value"), [(b"21.5", 21.5), (b" -3\t", -3), (b"1e2", 100.0)])
def test_a_number_is_a_sample(message: bytes, value: float) -> None:
    """Blanks around it do not count."""
    assert Decoder(Config()).decode(message) == ([Sample("value", value)], [])


def test_the_field_can_be_named() -> None:
    """It may have levels."""
    assert Decoder(Config(field="tank/level")).decode(b"7").samples == [Sample("tank/level", 7)]


@pytest.mark.parametrize("message", [b"on", b"21.5 C", b"1 2", b"12:30"])
def test_anything_else_is_for_the_channel_to_judge(message: bytes) -> None:
    """It may be a word for a missing value, or a number in the channel's unit."""
    unread = Sample("value", None, UNREAD, None, message.decode())
    assert Decoder(Config()).decode(message) == ([unread], [])


@pytest.mark.parametrize("message", [b"", b" ", b"\0\0", b"\xef\xbb\xbf"])
def test_an_empty_message_is_no_fault(message: bytes) -> None:
    """An MQTT broker sends one when a retained value is cleared."""
    assert Decoder(Config()).decode(message) == ([], [])


def test_control_characters_are_a_fault() -> None:
    """They are line noise, and no word."""
    assert Decoder(Config()).decode(b"2\x011") == ([], [Fault(UNPRINTABLE, b"2\x011")])


@pytest.mark.parametrize(
    "message", [b"\0" + b"21.5", b"21.5\0\0", b"\xef\xbb\xbf21.5", b"\0\xef\xbb\xbf21.5\0"]
)
def test_zero_bytes_and_a_byte_order_mark_at_an_end_cost_nothing(message: bytes) -> None:
    """As after a break on the line, or from a buffer longer than its text."""
    assert Decoder(Config()).decode(message) == ([Sample("value", 21.5)], [])


@pytest.mark.parametrize(
    ("message", "value"), [(b"+   62.916 GN", 62.916), (b"-  29.182 g", -29.182), (b"- 3", -3)]
)
def test_a_sign_may_stand_apart_from_its_digits(message: bytes, value: float) -> None:
    """As scales print it."""
    (sample,), faults = Decoder(Config(units=("g", "GN"))).decode(message)
    assert (sample.value, faults) == (value, [])


@pytest.mark.parametrize("message", ["21.5 C", "21.5C", "21.5 °C", "21.5"])
def test_a_configured_unit_may_follow(message: str) -> None:
    """With or without a blank."""
    decoder = Decoder(Config(units=("C", " °C")))
    (sample,), faults = decoder.decode(message.encode())
    assert (sample.value, faults) == (21.5, [])


def test_the_longest_unit_is_the_one_that_is_meant() -> None:
    """Of `bar` and `mbar` the latter, whatever their order."""
    decoder = Decoder(Config(units=("bar", "mbar")))
    assert decoder.decode(b"1013 mbar").samples == [Sample("value", 1013, unit="mbar")]


def test_another_unit_is_a_fault() -> None:
    """A thermometer that was switched to Fahrenheit does not go unnoticed."""
    message = b"70.7 F"
    unread = Sample("value", None, UNREAD)
    fault = Fault(NOT_A_NUMBER, message)
    assert Decoder(Config(units=("C",))).decode(message) == ([unread], [fault])


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
    """Whatever the bytes, there is at most one sample and one fault."""
    decoder = Decoder(Config(units=("C", "%"), words={"on": True}, decimal_comma=True))
    samples, faults = decoder.decode(message)
    assert len(samples) <= 1
    assert len(faults) <= 1


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
