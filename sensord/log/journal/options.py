"""What an operator may set about the journal."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from sensord.config.schema import Duration, Printable, Size, Within

__all__ = ["Options"]

MIB = 1 << 20
TIB = 1 << 40
_DAY_S = 86400.0


_NOT_FOR_FILES = {"proc", "sys", "dev", "run"}
"""What is made of them is no disk's: the kernel's own trees, and what is empty after each start."""

_SYSTEM = {"bin", "boot", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "root", "sbin"}
_SYSTEM |= {"srv", "tmp", "usr", "var"}


def folder_fault(folder: str) -> str | None:
    """Return what is wrong with a journal's folder, or None; no disk is looked at."""
    if not folder.startswith("/"):
        return f'expected a path that begins with /, such as "/srv/sensord/journal", got "{folder}"'
    levels = [level for level in posixpath.normpath(folder).split("/") if level]
    if not levels or (len(levels) == 1 and levels[0] in _SYSTEM):
        return f"{folder} belongs to the system; give the journal a folder of its own"
    if levels[0] in _NOT_FOR_FILES and levels[:2] != ["dev", "shm"]:
        return f"{folder} is not on a disk; readings would not outlive a restart"
    return None


@dataclass(frozen=True, slots=True)
class Options:
    """The ``[journal]`` table."""

    folder: Printable = ""
    """Empty: where the system keeps a service's or a user's state."""
    enabled: bool = True
    commit_interval: Annotated[Duration, Within(0.05, 60)] = 1.0
    """What a power cut may cost; each commit writes at least 4 KiB."""
    max_bytes: Annotated[Size, Within(8 * MIB, 16 * TIB)] = 2048 * MIB
    max_age: Annotated[Duration, Within(60, 36_500 * _DAY_S)] = 30 * _DAY_S
    min_free: Annotated[Size, Within(0, 16 * TIB)] = 64 * MIB
    """Room that is left to others: below it the oldest segments go, then recording stops."""
    segment_bytes: Annotated[Size, Within(MIB // 4, 1024 * MIB)] = 16 * MIB
    segment_age: Annotated[Duration, Within(1, 366 * _DAY_S)] = 3600.0

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Yield a folder in memory, and an age that whole segments cannot keep."""
        if posixpath.normpath(self.folder).startswith("/dev/shm"):  # noqa: S108  # compared only
            yield "folder", "is in memory: readings do not outlive a restart of the machine"
        if self.segment_age > self.max_age:
            yield "segment_age", "is more than max_age: whole segments are removed"

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what a single field cannot know."""
        if self.folder and (message := folder_fault(self.folder)):
            yield "folder", message
        if self.segment_bytes * 2 > self.max_bytes:
            yield "segment_bytes", "must be at most half of max_bytes: whole segments are removed"
