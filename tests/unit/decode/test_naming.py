"""Whatever a device calls something, it becomes a level of a topic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.decode.naming import MAX_LEVEL_CHARACTERS, field_level
from sensord.model.topics import topic_fault


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("temperature", "temperature"),
        (" PM2.5 ", "PM2.5"),
        ("PM2.5 #1", "PM2.5 _1"),
        ("a/b+c", "a_b_c"),
        ("$sys", "_sys"),
        ("", "_"),
        ("  ", "_"),
        ("a\x00b", "a_b"),
        ("Außen", "Außen"),
        ("\ud800", "_"),
    ],
)
def test_what_a_topic_may_not_hold_is_replaced(name: str, level: str) -> None:
    """Everything else stays as the device writes it."""
    assert field_level(name) == level


@given(st.text(st.characters()))
def test_every_name_makes_a_valid_level(name: str) -> None:
    """It is one level, short, and does not reach under `$sys`."""
    level = field_level(name)
    assert topic_fault(level) is None
    assert "/" not in level
    assert not level.startswith("$")
    assert len(level) <= MAX_LEVEL_CHARACTERS
