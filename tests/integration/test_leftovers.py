"""What a test leaves behind is named."""

from __future__ import annotations

import os
import subprocess
import threading

from tests.kit.leftovers import held, left_behind


def test_a_descriptor_is_named() -> None:
    """By its number and what it is open on."""
    before = held()
    descriptor = os.open("/dev/null", os.O_RDONLY)
    try:
        assert left_behind(before) == [f"descriptor {descriptor}: /dev/null"]
    finally:
        os.close(descriptor)
    assert left_behind(before) == []


def test_what_only_garbage_holds_is_not_left() -> None:
    """It is collected first."""

    class Holder:
        def __init__(self) -> None:
            self.itself = self
            self.descriptor = os.dup(0)

        def __del__(self) -> None:
            os.close(self.descriptor)

    before = held()
    Holder()
    assert left_behind(before) == []


def test_a_thread_has_time_to_end() -> None:
    """One that does not is named."""
    before = held()
    end = threading.Event()
    threading.Thread(target=end.wait, name="waits").start()
    assert left_behind(before, ending_s=0.01) == ["thread waits"]
    end.set()
    assert left_behind(before) == []


def test_a_process_is_named() -> None:
    """By its number and its command, until somebody has waited for it."""
    before = held()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        assert f"process {child.pid}: cat" in left_behind(before)
    assert left_behind(before) == []
