"""What a test leaves behind: descriptors, threads, processes."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["Held", "held", "left_behind"]

ENDING_S = 10.0
"""For a thread that was told to end to do so on a busy machine."""

OURS = Path("/proc/self")


class Held(NamedTuple):
    """What this process holds."""

    descriptors: dict[int, str]
    threads: set[threading.Thread]
    children: set[str]

    def since(self, before: Held) -> list[str]:
        """Name what is held now and was not before."""
        opened = dict(self.descriptors.items() - before.descriptors.items())
        return [
            *(f"descriptor {number}: {name}" for number, name in sorted(opened.items())),
            *(f"thread {thread.name}" for thread in self.threads - before.threads),
            *(f"process {number}: {command(number)}" for number in self.children - before.children),
        ]


def held() -> Held:
    descriptors = {}
    for entry in (OURS / "fd").iterdir():
        try:
            descriptors[int(entry.name)] = str(entry.readlink())
        except FileNotFoundError:
            continue  # the one that lists the folder
    children: set[str] = set()
    for task in (OURS / "task").iterdir():
        try:
            children.update((task / "children").read_text().split())
        except OSError:
            continue  # a thread that ended, or a kernel that does not tell
    return Held(descriptors, set(threading.enumerate()), children)


def command(number: str) -> str:
    try:
        return Path("/proc", number, "cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return "gone"


def left_behind(before: Held, ending_s: float = ENDING_S) -> list[str]:
    """Name what is still held when garbage is collected and threads had time to end."""
    if not held().since(before):
        return []
    gc.collect()
    deadline = time.monotonic() + ending_s
    for thread in set(threading.enumerate()) - before.threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return held().since(before)
