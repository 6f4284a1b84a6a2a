"""A wall clock that a test sets, for a process of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

__all__ = ["ShiftedClock", "needs_compiler"]

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


class ShiftedClock:
    """The system's clock, shifted by as much as a test says."""

    def __init__(self, folder: Path) -> None:
        library = folder / "timeshim.so"
        source = Path(__file__).with_name("timeshim.c")
        compiling = ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source)]
        subprocess.run(compiling, check=True)
        self._file = folder / "timeshift"
        self.set(0.0)
        self.under: Sequence[str] = (
            "env",
            f"LD_PRELOAD={library}",
            f"TIMESHIFT_FILE={self._file}",
        )
        """A command that runs another one by this clock."""

    def set(self, shift_s: float) -> None:
        """Shift the clock by so much from here on, in one step."""
        new = self._file.with_suffix(".new")
        new.write_text(repr(shift_s))
        new.replace(self._file)
