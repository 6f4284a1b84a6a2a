"""What a command that works for long reports on stderr."""

from __future__ import annotations

import sys

import pytest

from sensord.cli.progress import Progress


def test_a_line_takes_the_place_of_the_progress(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the progress is gone at the end."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress()
    due = [progress.is_due]
    progress.show("1 reading")
    due.append(progress.is_due)
    assert due == [True, False]
    progress.print("hole: 5")
    progress.show("2 readings")
    progress.wipe()
    progress.wipe()
    wiped = "\r\x1b[K"
    shown = f"\r1 reading\x1b[K{wiped}hole: 5\n\r2 readings\x1b[K{wiped}"
    assert capsys.readouterr().err == shown


def test_only_a_terminal_is_shown_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """A file gets lines."""
    progress = Progress()
    assert not progress.is_due
    progress.show("1 reading")
    progress.print("hole: 5")
    progress.wipe()
    assert capsys.readouterr().err == "hole: 5\n"


def test_short_work_shows_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is over before anybody wonders."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert not Progress(quiet_s=60.0).is_due
