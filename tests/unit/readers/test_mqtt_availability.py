"""In which words a device's availability is reported."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.readers.mqtt_availability import Availability


@pytest.mark.parametrize(
    ("payload", "is_there"),
    [
        (b"online", True),
        (b"Online", True),
        (b" offline\r\n", False),
        (b"offline\0", False),
        (b"true", True),
        (b"false", False),
        (b'"online"', True),
        (b'{"state":"online"}', True),
        (b'{"state": "offline", "since": 5}', False),
        (b'{"state": false}', False),
        (b"\xef\xbb\xbfonline", True),
        (b"", None),
        (b"ready", None),
        (b'{"state": null}', None),
        (b'{"state": ["online"]}', None),
        (b'{"status": "online"}', None),
        (b'{"state":', None),
        (b"\xff\xfe", None),
        (b"[1]", None),
    ],
)
def test_a_word_may_stand_alone_or_in_an_object(payload: bytes, is_there: bool | None) -> None:
    """As Tasmota, Shelly, ESPHome and Zigbee2MQTT publish it; anything else is not understood."""
    assert Availability("x").is_there(payload) is is_there


def test_the_words_and_their_place_can_be_declared() -> None:
    """As for Homie."""
    homie = Availability("x", ("ready", "sleeping"), ("lost", "disconnected"), field="a/b")
    assert homie.is_there(b"sleeping") is True
    assert homie.is_there(b'{"a": {"b": "lost"}}') is False
    assert homie.is_there(b'{"a": "lost"}') is None
    assert homie.is_there(b"online") is None


@given(st.binary() | st.text().map(str.encode))
def test_no_payload_raises(payload: bytes) -> None:
    """Whatever a broker lets through."""
    assert Availability("x").is_there(payload) in {True, False, None}


def test_a_star_is_any_word_that_is_not_offline() -> None:
    """The topic of the values itself reports that there is none."""
    own = Availability("{source}", online=("*",), offline=("unavailable",))
    assert own.is_there(b"unavailable") is False
    assert own.is_there(b"4.5") is True
    assert own.is_there(b'{"t": 4}') is True


def test_any_message_can_be_a_death() -> None:
    """Sparkplug's are binary."""
    own = Availability("spBv1.0/{1}/NDEATH/{2}", offline=("*",))
    assert own.is_there(b"\x08\x80\xe0") is False
