"""`sensord sniff`: how sights are written."""

from __future__ import annotations

import json

import pytest

from sensord.cli.sniff import as_json, as_line
from sensord.model.readings import Level, Quality
from sensord.model.sights import Sight, What

AT = 1_763_829_000_123_000

MISSING = Quality(Level.BAD, "missing")

LINES = [
    (Sight(AT, What.RECEIVED, data=b"T=21.5\r\n", length=8), r'< "T=21.5\r\n"'),
    (Sight(AT, What.RECEIVED, data=b"\x01\x04\x00", length=3), "< 01 04 00"),
    (Sight(AT, What.RECEIVED, data=b"a" * 4, length=5000), '< "aaaa"  (5000 bytes)'),
    (Sight(AT, What.SENT, data=b"\x01\x04", length=2, source="oven"), "> oven  01 04"),
    (
        Sight(AT, What.MESSAGE, data=b"on", length=2, source="door", is_retained=True),
        '< door  "on"  (retained)',
    ),
    (
        Sight(AT, What.VALUE, topic="boiler/t", unit="Cel", value=21.5),
        f"    {'boiler/t':<36} {'21.5':>12} Cel",
    ),
    (
        Sight(AT, What.VALUE, topic="t", quality=MISSING),
        f"    {'t':<36} {'null':>12}  (bad: missing)",
    ),
    (Sight(AT, What.FAULT, reason="no number", detail="T=?"), "! no number: T=?"),
    (Sight(AT, What.DOWN, detail="unplugged"), "-- down: unplugged"),
    (Sight(AT, What.DROPPED, count=3), "-- 3 not shown: they came faster than this reads"),
]


@pytest.mark.parametrize(("sight", "text"), LINES)
def test_sights_are_lines_for_people(sight: Sight, text: str) -> None:
    """Raw bytes as text where they are text, and what became of them behind a margin."""
    _, _, rest = as_line(sight, is_hex=False).partition("  ")
    assert rest == text


def test_hexadecimal_digits_on_request() -> None:
    """Also of a text."""
    line = as_line(Sight(AT, What.RECEIVED, data=b"T=1", length=3), is_hex=True)
    assert line.endswith("< 54 3d 31")


@pytest.mark.parametrize(("sight", "text"), LINES)
def test_sights_are_objects_for_programs(sight: Sight, text: str) -> None:
    """Each with its time and kind."""
    del text
    told = json.loads(as_json(sight))
    assert (told["time_us"], told["what"]) == (AT, sight.what.value)
