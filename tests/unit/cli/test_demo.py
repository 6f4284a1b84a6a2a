"""The demo's hints can be read and typed, wherever it was started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sensord.cli.demo import WIDEST, _columns, _command


def test_hints_keep_apart_from_what_they_show() -> None:
    """They ran together under a long path, or with --listen."""
    rows = [("sensord tail", "everything"), ("sensord history --from -5m", "what was")]
    first, second = _columns(rows).splitlines()
    assert first.index("everything") == second.index("what was")
    assert "-5m  what was" in second


def test_hints_that_are_too_wide_stand_below_what_they_show() -> None:
    """A line that wraps in the middle of a command cannot be copied."""
    command = f"{'/a' * WIDEST}/sensord tail"
    assert _columns([(command, "everything")]).splitlines() == ["  # everything", f"  {command}"]


def test_the_program_is_named_as_it_can_be_typed_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its name where the shell finds it, else by the shorter of its paths."""
    program = tmp_path / "my venv" / "bin" / "sensord"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    assert _command() == "'my venv/bin/sensord'"
    monkeypatch.setenv("PATH", str(program.parent))
    assert _command() == "sensord"
