"""What the operating system knows of this process."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sensord.host.process import usage


def test_the_usage_of_this_process_is_plausible() -> None:
    """Compared with what the interpreter knows."""
    found = usage()
    assert found.cpu_s > 0
    assert found.resident_bytes is not None
    assert 5 * 2**20 < found.resident_bytes < 8 * 2**30
    assert found.descriptors is not None
    before = found.descriptors
    with open(os.devnull, "rb"):  # noqa: PTH123  # a descriptor is all that is wanted
        assert usage().descriptors == before + 1
    assert found.started_s is not None
    assert 0 <= time.time() - found.started_s < 24 * 3600


def test_without_the_proc_file_system_it_is_left_out(tmp_path: Path) -> None:
    """Processor time is known all the same."""
    found = usage(tmp_path)
    assert (found.resident_bytes, found.descriptors, found.started_s) == (None, None, None)
    assert found.cpu_s > 0
