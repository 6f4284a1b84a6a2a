"""Disks that are small or sick."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from sensord.mcap.disk import Disk

__all__ = ["SickDisk", "SmallDisk"]


class SmallDisk(Disk):
    """Has room for so many bytes in a folder, and for others' files beside the journal's."""

    def __init__(self, folder: Path, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.others = 0
        self._folder = folder

    def used(self) -> int:
        return self.others + sum(path.stat().st_size for path in self._folder.iterdir())

    def free_bytes(self, folder: Path) -> int:
        assert folder == self._folder
        return max(0, self.capacity - self.used())

    def write(self, descriptor: int, data: bytes, position: int) -> None:
        size = os.fstat(descriptor).st_size
        growth = max(0, position + len(data) - size)
        room = max(0, self.capacity - self.used())
        if growth > room:
            # As the kernel does: what fits is written.
            super().write(descriptor, data[: len(data) - growth + room], position)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(descriptor, data, position)


class SickDisk(Disk):
    """Fails with ``error`` while that is set, from the named calls or from all that write."""

    def __init__(self) -> None:
        super().__init__()
        self.error: int | None = None
        self.only: set[str] = set()
        self.failures = 0

    def _may_fail(self, call: str) -> None:
        if self.error is not None and (not self.only or call in self.only):
            self.failures += 1
            raise OSError(self.error, os.strerror(self.error))

    def create(self, path: Path) -> int:
        self._may_fail("create")
        return super().create(path)

    def open(self, path: Path) -> int:
        self._may_fail("open")
        return super().open(path)

    def write(self, descriptor: int, data: bytes, position: int) -> None:
        self._may_fail("write")
        super().write(descriptor, data, position)

    def sync(self, descriptor: int) -> None:
        self._may_fail("sync")
        super().sync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        self._may_fail("truncate")
        super().truncate(descriptor, size)

    def replace(self, old: Path, new: Path) -> None:
        self._may_fail("replace")
        super().replace(old, new)

    def remove(self, path: Path) -> None:
        self._may_fail("remove")
        super().remove(path)

    def sync_folder(self, folder: Path) -> None:
        self._may_fail("sync_folder")
        super().sync_folder(folder)
