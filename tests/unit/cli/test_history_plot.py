"""Charts of `sensord history --plot`."""

from __future__ import annotations

import pytest

from sensord.cli.history_plot import HEIGHT, drawn, interval_of
from sensord.client import Summary
from sensord.model.readings import Channel, Metadata


@pytest.mark.parametrize(
    ("span_s", "interval_s"), [(30, 1), (3600, 60), (86400, 1800), (365 * 86400, 6 * 86400)]
)
def test_an_interval_is_a_usual_one_and_fits_the_columns(span_s: float, interval_s: float) -> None:
    """For 68 columns, those of a usual screen."""
    assert interval_of(span_s, 68) == interval_s


def test_a_chart_names_its_topic_bounds_and_times() -> None:
    """With the decimals and the unit of the channel; a hole is blank."""
    channel = Channel(0, "plant/boiler", Metadata(unit="Cel", decimals=1))
    rows = [Summary(channel, at, 5, 1.0, 9.0, 1.0, 9.0, float(at)) for at in (0, 3, 9)]
    title, *chart = drawn(rows, 1e-6, 0, 10, 10)
    assert title == "plant/boiler  1.0 to 9.0 °C, 15 readings"
    assert chart[0] == "       9.0           █"[:12] + "         █"
    assert chart[HEIGHT - 1] == "       0.0  ▁  █     █"
    assert "1970-01-01 00:00" in chart[HEIGHT]
