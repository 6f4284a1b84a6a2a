"""Why the run before was aborted: the stack that the loop hung in, kept for the next start.

Owns one file in the service's state folder. A loop that hangs cannot report; systemd's watchdog
ends it with SIGABRT, and then the interpreter itself writes the stack of each thread. Without a
state folder the stack goes to stderr only.

Source: sd_watchdog_enabled(3), systemd.service(5) WatchdogSignal=, Python's faulthandler.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["FILE", "Abort", "stack_of"]

FILE = "aborted"

MOST_BYTES = 16 * 1024
"""Of what is kept: the stacks of more threads than the daemon has."""

_THREAD = re.compile(
    r"^(Current thread|Thread) .*\(most recent call first\):\n((?:  .*\n?)+)", re.MULTILINE
)


class Abort:
    """The stack of an aborted run, and the file that the next one is written to."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        # systemd lists several folders with colons; the first one is ours.
        folder = environment.get("STATE_DIRECTORY", "").partition(":")[0]
        self._file = Path(folder, FILE) if folder else None

    def watch(self) -> str:
        """Return the stack that the run before was aborted in, or an empty text; watch this one.

        The innermost call comes first.
        """
        # Without a file, and where it cannot be written, the stack is in the log alone.
        faulthandler.enable()
        if self._file is None:
            return ""
        before = ""
        with contextlib.suppress(OSError):
            before = self._file.read_bytes()[:MOST_BYTES].decode("utf-8", "replace")
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW
            # Kept open until the end of the process: then it is too late to open one.
            faulthandler.enable(os.open(self._file, flags, 0o600))
        return stack_of(before)


def stack_of(dump: str) -> str:
    """Return the calls of the thread that got the signal, the innermost first, in one line."""
    found = _THREAD.findall(dump)
    if not found:
        return dump.strip().partition("\n")[0]
    # The kernel gives the signal to the main thread, which runs the loop; it is the last one too.
    calls = next((calls for kind, calls in found if kind.startswith("Current")), found[-1][1])
    return "; ".join(line.strip() for line in calls.splitlines())
