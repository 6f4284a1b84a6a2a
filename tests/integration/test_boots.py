"""Boards without a clock battery, with real processes: each boot begins in 2024.

A boot is a process in a time namespace of its own, whose monotonic clock begins near zero, with a
boot id of its own and a wall clock that the test sets. Losing power is kill -9. Before the daemon
removes anything, its clock must have run for an hour without a step; here it is a second.
"""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from sensord.log.journal import Reader
from sensord.log.journal.registry import read_facts
from tests.kit.daemon import Daemon
from tests.kit.journal import found_in
from tests.kit.shiftedclock import ShiftedClock, needs_compiler

BOOTS = 14
BOOT_ID = "/proc/sys/kernel/random/boot_id"
NAMESPACES = ("unshare", "--mount", "--time")
YEARS_S = 2 * 365 * 86_400.0

PROGRAM = """
import sys
import sensord.log.journal.writer
sensord.log.journal.writer.SETTLE_US = 1_000_000
from sensord.cli import main
sys.exit(main(sys.argv[1:]))
"""

CONFIG = """
journal = {{ folder = "{folder}", commit_interval = "50ms", max_age = "{max_age}" }}
[devices.steady]
reader = "simulated"
interval = "10ms"
signals.x = {{ high = 10 }}
publish = {{ policy = "every" }}
"""


def has_namespaces() -> bool:
    try:
        return not subprocess.run(
            [*NAMESPACES, "true"], capture_output=True, check=False
        ).returncode
    except FileNotFoundError:
        return False


pytestmark = [
    pytest.mark.trial,
    pytest.mark.timeout(900),
    needs_compiler,
    pytest.mark.skipif(not has_namespaces(), reason="no time namespaces, or not root"),
]


def booted(folder: Path, clock: ShiftedClock) -> Sequence[str]:
    """Return the command under which a process finds itself after a boot."""
    name = folder / "boot_id"
    name.write_text(f"{uuid.uuid4()}\n")
    offset = str(10 - int(time.clock_gettime(time.CLOCK_BOOTTIME)))
    script = f'mount --bind "{name}" {BOOT_ID} && exec "$@"'
    shifted = ("--monotonic", offset, "--boottime", offset)
    return (*NAMESPACES, *shifted, "sh", "-c", script, "sh", *clock.under)


def recorded(folder: Path) -> list[int]:
    found, _ = found_in(Reader(folder).scan())
    return [one.offset for one in found]


def committed(folder: Path, count: int) -> list[int]:
    """Wait until so many readings more are on the disk; return the offsets of all."""
    before, deadline = len(recorded(folder)), time.monotonic() + 60
    while len(found := recorded(folder)) < before + count:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def test_fourteen_real_boots_in_2024_that_are_set_right_remove_nothing(tmp_path: Path) -> None:
    """A tenth of the limit for each added up; here readings are seconds old."""
    folder, clock = tmp_path / "journal", ShiftedClock(tmp_path)
    config = CONFIG.format(folder=folder, max_age="30d")
    known: list[int] = []
    for boot in range(BOOTS):
        clock.set(-YEARS_S)
        under, command = booted(tmp_path, clock), (sys.executable, "-c", PROGRAM, "run")
        with Daemon(tmp_path, config, under=under, command=command) as daemon:
            assert set(known) <= set(committed(folder, 50)), f"boot {boot}, in 2024"
            clock.set(0.0)
            known = committed(folder, 300)  # three seconds: it could remove
            daemon.kill()
        assert set(known) <= set(recorded(folder)), f"boot {boot}, after the kill"
    assert len(known) >= BOOTS * 350
    records = read_facts(folder / "registry").clocks
    assert len({record.boot for record in records}) == BOOTS
    # All began near zero of their own clock, in 2024; and were set.
    assert all(record.monotonic_us < 600 * 1_000_000 for record in records)
    early = [record for record in records if record.wall_us < (time.time() - YEARS_S / 2) * 1e6]
    assert {record.boot for record in early} == {record.boot for record in records}
    assert len(early) < len(records)
