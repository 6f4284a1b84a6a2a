"""The calls that change the disk, in one place, so that they are counted and can be made to fail.

Owns no file and no state but two counters. Tests put a disk in its place that runs full, fails, or
forgets what was not synced when its power is cut.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

__all__ = ["PAGE_BYTES", "Disk", "is_full"]

PAGE_BYTES = 4096
"""What the kernel writes at least, however few bytes of it were changed."""


def is_full(error: OSError) -> bool:
    """Tell whether a write failed for want of room, which removing a file can mend."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


class Disk:
    """The real disk."""

    def __init__(self) -> None:
        self.written_bytes = 0
        """Whole pages given to the kernel; what its file system adds of its own is not counted."""
        self.syncs = 0

    def create(self, path: Path) -> int:
        """Make a file that must not exist and return its descriptor."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def open(self, path: Path) -> int:
        """Open a file that exists and return its descriptor."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def close(self, descriptor: int) -> None:
        """Give a descriptor back."""
        os.close(descriptor)

    def write(self, descriptor: int, data: bytes, position: int) -> None:
        """Write all of ``data`` at ``position``, or raise; nothing is certain before `sync`."""
        view, at = memoryview(data), position
        while view:
            done = os.pwrite(descriptor, view, at)
            view, at = view[done:], at + done
        first, last = position // PAGE_BYTES, -(-at // PAGE_BYTES)
        self.written_bytes += (last - first) * PAGE_BYTES

    def sync(self, descriptor: int) -> None:
        """Return when what was written to the file is on the device."""
        self.syncs += 1
        os.fdatasync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file."""
        os.ftruncate(descriptor, size)

    def replace(self, old: Path, new: Path) -> None:
        """Give the file a new name, in place of any that has it."""
        old.replace(new)

    def remove(self, path: Path) -> None:
        """Remove the file; one that is gone already is as good."""
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        """Return when the names in the folder are on the device."""
        self.syncs += 1
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, folder: Path) -> int:
        """Return the room that the file system has for us."""
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize
