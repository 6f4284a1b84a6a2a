"""What an operator may set, what is refused, and what it will cost the card."""

from __future__ import annotations

import pytest

from sensord.config.schema import Faults, structure
from sensord.log.journal import Options, forecast_bytes_per_day
from sensord.log.journal.shape import Shape


def options(**table: object) -> tuple[Options | None, list[str]]:
    faults = Faults()
    found = structure(Options, table, ("journal",), faults)
    return found, [".".join(map(str, path)) for path, _ in faults.found]


def test_the_defaults_are_sound() -> None:
    """The journal is on and bounded without a word in the configuration."""
    found, faults = options()
    assert not faults
    assert found is not None
    assert found.enabled
    assert found.max_bytes == 2 << 30


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("commit_interval", "1ms"),
        ("commit_interval", "10m"),
        ("max_bytes", "1MiB"),
        ("segment_bytes", "2GiB"),
        ("segment_age", 0),
    ],
)
def test_what_cannot_work_is_refused(key: str, value: object) -> None:
    """At the check, not at night."""
    assert f"journal.{key}" in options(**{key: value})[1]


def test_units_become_those_of_the_code() -> None:
    """Microseconds and bytes."""
    found, _ = options(max_age="7d", segment_age="10m", min_free="1GiB")
    assert found is not None
    shape = Shape.of(found)
    assert shape.max_age_us == 7 * 86_400 * 10**6
    assert shape.segment_age_us == 600 * 10**6
    assert shape.min_free == 1 << 30


@pytest.mark.parametrize(("rate", "measured"), [(1000, 42), (100, 77), (10, 455)])
def test_the_forecast_is_near_what_was_measured(rate: int, measured: int) -> None:
    """On ext4; bytes a reading."""
    forecast = forecast_bytes_per_day(rate) / 86_400 / rate
    assert abs(forecast - measured) < 0.2 * measured


def test_a_longer_interval_writes_less() -> None:
    """The page of each commit is what costs."""
    assert forecast_bytes_per_day(10, 10.0) < 0.4 * forecast_bytes_per_day(10, 1.0)
    assert forecast_bytes_per_day(0) == 0
