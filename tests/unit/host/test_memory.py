"""Memory that was freed goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from pathlib import Path
from sensord.host.tuning import tune

def resident():
    (line,) = [l for l in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in l]
    return int(line.split()[1]) * 1024

tune()
del (once := [bytes(16 << 20)])[:]
before = resident()
large, small = [], []
for number in range(32):
    large.append(bytearray(b"x") * (1 << 20))
    small += [bytearray(b"y") * 4000 for _ in range(20)]  # behind it: the heap cannot shrink
large.clear()
print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_large_blocks_leave_no_holes_in_the_heap() -> None:
    """One large block had been freed; then 32 MiB stayed when they were freed, too."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 4 << 20
