"""The calls that change the disk, in one place, so that they are counted and can be made to fail.

Owns no file and no state but two counters. Tests replace it with a disk that runs full, fails, or
loses what was not synced at a power cut.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

__all__ = ["PAGE_BYTES", "Disk", "is_full"]

PAGE_BYTES = 4096
"""The least that the kernel writes, however few bytes changed."""


def is_full(error: OSError) -> bool:
    """Return whether a write failed for lack of space, which removing a file can cure."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


class Disk:
    """The real disk."""

    def __init__(self) -> None:
        self.written_bytes = 0
        """Whole pages written to the kernel, without what the file system adds."""
        self.syncs = 0

    def create(self, path: Path) -> int:
        """Create a file that must not exist and return its descriptor."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def open(self, path: Path) -> int:
        """Open an existing file and return its descriptor."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)

    def write(self, descriptor: int, data: bytes, position: int) -> None:
        """Write all of ``data`` at ``position``, or raise; it is durable only after `sync`."""
        view, at = memoryview(data), position
        while view:
            done = os.pwrite(descriptor, view, at)
            view, at = view[done:], at + done
        first, last = position // PAGE_BYTES, -(-at // PAGE_BYTES)
        self.written_bytes += (last - first) * PAGE_BYTES

    def sync(self, descriptor: int) -> None:
        """Return when the file's data is on the device."""
        self.syncs += 1
        os.fdatasync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Truncate the file."""
        os.ftruncate(descriptor, size)

    def replace(self, old: Path, new: Path) -> None:
        """Rename the file, replacing any file of that name."""
        old.replace(new)

    def remove(self, path: Path) -> None:
        """Remove the file; a missing one is no error."""
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        """Return when the folder's names are on the device."""
        self.syncs += 1
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, folder: Path) -> int:
        """Return the space that the file system has for this process."""
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize
