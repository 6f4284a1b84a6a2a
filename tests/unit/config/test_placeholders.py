"""Texts with places for values."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.config.placeholders import fill, text_fault
from sensord.model.readings import Value


@pytest.mark.parametrize(
    ("text", "value", "filled"),
    [
        ("SET {value}", 21.5, "SET 21.5"),
        ("SET {value}", 21.0, "SET 21"),
        ("SET {value}", 1e300, "SET 1e+300"),
        ("SET {value:.2f}", 21, "SET 21.00"),
        ("SET {value:04d}", 21.0, "SET 0021"),
        ("{value:x}", 255, "ff"),
        ("{value}", True, "true"),
        ("{value:ON|OFF}", True, "ON"),
        ("{value:ON|OFF}", False, "OFF"),
        ("{value:d}", True, "1"),
        ("{value:|-}", True, ""),
        ("{value}", "auto", "auto"),
        ("{value:>6}", "auto", "  auto"),
        ('{"state": {value:json}}', 'a"b', '{"state": "a\\"b"}'),
        ('{"a": {"b": {value}}}', 5, '{"a": {"b": 5}}'),
        ("{} {value} {1}", 5, "{} 5 {1}"),
        ("{value}{value}", 5, "55"),
    ],
)
def test_a_value_takes_its_place(text: str, value: Value, filled: str) -> None:
    """Any other brace is itself."""
    assert fill(text, {"value": value}) == filled


@pytest.mark.parametrize(
    ("text", "value", "why"),
    [
        ("{value:d}", 21.5, "value: a whole number is wanted"),
        ("{value:.1q}", 21.5, "value:.1q"),
        ("{value:d}", "x", "value:d"),
    ],
)
def test_what_cannot_be_written_is_said(text: str, value: Value, why: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match=why):
        fill(text, {"value": value})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("SET {value:.1f}", None),
        ("SET {valu}", "unknown placeholder {valu}; known are {value}, {name}"),
        ("SET {value:.1q}", "value:.1q"),
        ("{name}", None),
        ('{"name": "{name}"}', "write {name:json}"),
        ('[{"name": {name:json}}]', None),
    ],
)
def test_a_text_is_checked_with_samples(text: str, fault: str | None) -> None:
    """A text in JSON must be quoted, or a client could write more than a value."""
    found = text_fault(text, {"value": 0.0, "name": "x"})
    assert (found is None) if fault is None else fault in (found or "")


@given(st.text())
def test_json_stays_json(text: str) -> None:
    """Whatever a client sends."""
    assert json.loads(fill('{"name": {name:json}}', {"name": text})) == {"name": text}
