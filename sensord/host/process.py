"""What the operating system knows of this process: processor time, memory, descriptors."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["Usage", "usage"]


class Usage(NamedTuple):
    """What the process has used and uses; None where the system does not report it."""

    cpu_s: float
    resident_bytes: int | None
    descriptors: int | None
    most_descriptors: int
    started_s: float | None
    """Unix time of the process's start."""


def usage(proc: Path = Path("/proc")) -> Usage:
    """Return the usage of this process."""
    times = os.times()
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Usage(
        times.user + times.system,
        _resident_bytes(proc),
        _descriptors(proc),
        soft,
        _started_s(proc),
    )


def _resident_bytes(proc: Path) -> int | None:
    try:
        pages = int((proc / "self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _descriptors(proc: Path) -> int | None:
    try:
        return len(os.listdir(proc / "self/fd"))  # noqa: PTH208  # the names are enough
    except OSError:
        return None


def _started_s(proc: Path) -> float | None:
    try:
        # The command in parentheses may hold blanks; the start is the 22nd field, in ticks.
        fields = (proc / "self/stat").read_text().rpartition(")")[2].split()
        since_boot_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot_s
