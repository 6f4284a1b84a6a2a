"""Durations as people write them."""

from __future__ import annotations

import pytest

from sensord.model.durations import ago_us, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250us", 0.00025),
        ("500ms", 0.5),
        ("2s", 2.0),
        ("1.5m", 90.0),
        ("1h", 3600.0),
        ("7d", 604_800.0),
        ("2w", 1_209_600.0),
        ("1y", 31_536_000.0),
    ],
)
def test_a_duration_has_a_unit(text: str, seconds: float) -> None:
    """From microseconds to years."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 s", "5S", "5q", "٣s", "1e3s", "5s "])
def test_what_has_none_or_another_form_is_no_duration(text: str) -> None:
    """Whoever has a unit of their own adds it first."""
    assert seconds_of(text) is None


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("-10m", 600_000_000),
        ("-0.1s", 100_000),
        ("-1.5h", 5_400_000_000),
        ("-2d", 172_800_000_000),
        ("-0.000001s", 1),
        ("-999999999d", 999_999_999 * 86_400_000_000),
    ],
)
def test_ago_is_exact(text: str, us: int) -> None:
    """To the microsecond."""
    assert ago_us(text) == us


@pytest.mark.parametrize("text", ["10m", "-m", "-1ms", "-1e3s", "-٣s", "- 1s", "-1234567890s", ""])
def test_another_form_is_not_ago(text: str) -> None:
    """Neither in a request nor in an option."""
    assert ago_us(text) is None
