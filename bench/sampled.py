"""Run a sensord command and sample where its CPU time goes: ``python -m bench.sampled FILE run …``.

The kernel's profiling timer counts the CPU time of the process; each time it is up, the innermost
Python function that `PARTS` knows gets a sample. C code counts for who called it: the system call
of `transport.write` for the group that flushes. Samples are written to FILE as JSON at the end.

A profiler from outside would have to stop the process for each look, and then sees it mostly where
it is stopped most easily: in system calls.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from sensord.cli import main

__all__ = ["PARTS", "REST"]

INTERVAL_S = 0.001
"""Of CPU time; the kernel looks when its clock ticks, so it may be less often."""

PARTS = (
    ("sensord/wire/frames.py", "", "encoding frames"),
    ("sensord/server/live/group.py", "flush", "sending: uvloop's transport.write and the kernel"),
    ("sensord/server/live/group.py", "push", "bus, log, pushing to groups"),
    ("sensord/server/live/group.py", "_schedule", "bus, log, pushing to groups"),
    ("sensord/server/live/group.py", "", "encoding frames"),
    ("sensord/bus.py", "", "bus, log, pushing to groups"),
    ("sensord/log/memory.py", "", "bus, log, pushing to groups"),
    ("sensord/device/conform.py", "", "intake: type, range, decimals"),
    ("sensord/device/policy.py", "", "intake: publish policy"),
    ("sensord/device/intake.py", "", "intake: from sample to reading"),
    ("sensord/device/device.py", "", "intake: from sample to reading"),
    ("sensord/readers/", "", "source: the simulated reader"),
    ("sensord/server/", "", "connections and sessions"),
)
"""A part of a file's path, a function's name or nothing, and what is done there."""

REST = "event loop and the rest"

counts: Counter[str] = Counter()
parts: dict[object, str | None] = {}
"""By code object: each is looked up once."""


def part(frame: FrameType) -> str | None:
    """Return what is done in a frame, or None if that is not known."""
    code = frame.f_code
    if code not in parts:
        path = code.co_filename
        found = (what for file, name, what in PARTS if file in path and name in {"", code.co_name})
        parts[code] = next(found, None)
    return parts[code]


def take(_number: int, frame: FrameType | None) -> None:
    """Take one sample."""
    while frame is not None:
        if (found := part(frame)) is not None:
            counts[found] += 1
            return
        frame = frame.f_back
    counts[REST] += 1


def start(_number: int, _frame: FrameType | None) -> None:
    """Begin to sample: the start of the daemon is not of interest."""
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)


if __name__ == "__main__":
    signal.signal(signal.SIGPROF, take)
    signal.signal(signal.SIGUSR1, start)
    status = main(sys.argv[2:])
    signal.setitimer(signal.ITIMER_PROF, 0.0)
    Path(sys.argv[1]).write_text(json.dumps(counts))
    sys.exit(status)
