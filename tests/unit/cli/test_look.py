"""How lines for people look."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from sensord.cli import look, topics
from sensord.cli.export import progress_text
from sensord.model.readings import Level


@pytest.fixture
def cet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make this machine's zone one hour east."""
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("cet")
def test_times_are_local_and_the_zone_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, beside the readings."""
    assert look.local(1_795_262_400_123_000) == "2026-11-21 13:00:00"
    assert look.local(1_795_262_400_123_000, has_day=False, has_fraction=True) == "13:00:00.123"
    assert look.local(None) == "-"
    look.note_zone()
    assert capsys.readouterr().err == "-- times are CET (UTC+0100)\n"


def test_lines_are_cut_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program gets all of them."""
    assert look.fitted("x" * 200) == "x" * 200
    monkeypatch.setattr(look, "columns", lambda: 20)
    assert look.fitted("x" * 200) == "x" * 19 + "…"


@pytest.mark.parametrize(
    ("environment", "is_coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], is_coloured: bool
) -> None:
    """And only for what is not good."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert look.painted("a", Level.BAD) == "a"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert (look.painted("a", Level.BAD) != "a") == is_coloured
    assert look.painted("a", Level.GOOD) == "a"


def test_progress_has_a_rate_and_the_time_left() -> None:
    """By the share of the recording that is written."""
    assert progress_text(1000, 25, (0, 100), 2.0).endswith(
        "500/s, at 1970-01-01 00:00:00, 25%, 6 s left"
    )


def test_a_narrow_terminal_cuts_the_topic_and_not_its_unit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At forty columns, units were gone."""
    monkeypatch.setattr(topics, "columns", lambda: 40)
    row = {"topic": "plant/boiler/primary_circuit/temperature", "unit": "Cel"}
    assert topics._line(row)[:40].split() == ["…er/primary_circuit/temperature", "Cel"]
    monkeypatch.setattr(topics, "columns", lambda: 80)
    assert topics._line(row).split()[:2] == [row["topic"], "Cel"]
