"""The stack of an aborted run is there at the next start, once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sensord.host.abort import FILE, stack_of

HANGS = """
import os, signal, sys, threading
from sensord.host.abort import Abort
print(Abort({"STATE_DIRECTORY": sys.argv[1]}).watch())
def waits_for_ever():
    if sys.argv[2:]:
        os.kill(os.getpid(), signal.SIGABRT)
threading.Thread(target=threading.Event().wait, daemon=True).start()
waits_for_ever()
"""


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HANGS, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_next_start_shows_where_the_loop_hung(tmp_path: Path) -> None:
    """The innermost call first, of the thread that hung; a start after that shows nothing."""
    folder = str(tmp_path)
    assert program(folder, "hang").returncode < 0
    shown = program(folder).stdout
    assert "in waits_for_ever; File" in shown
    assert "wait" in shown
    assert "threading" not in shown
    assert program(folder).stdout.strip() == ""


@pytest.mark.parametrize("place", ["", "missing"])
def test_without_a_folder_the_stack_goes_to_the_log(tmp_path: Path, place: str) -> None:
    """A daemon without a state folder, or with one that cannot be written, starts all the same."""
    done = program(str(tmp_path / place / "x") if place else "", "hang")
    assert "Fatal Python error: Aborted" in done.stderr
    assert "waits_for_ever" in done.stderr


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    """It could lead to a file that the daemon must not overwrite."""
    other = tmp_path / "other"
    other.write_text("kept")
    (tmp_path / FILE).symlink_to(other)
    program(str(tmp_path), "hang")
    assert other.read_text() == "kept"


def test_a_dump_without_a_thread_shows_its_first_line() -> None:
    """An interpreter that was broken may write that much only."""
    assert stack_of("Fatal Python error: Aborted\n\n") == "Fatal Python error: Aborted"
    assert stack_of("") == ""
