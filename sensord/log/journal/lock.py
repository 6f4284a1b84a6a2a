"""The lock that lets one process write a journal."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from sensord.errors import JournalBusyError

__all__ = ["FolderLock"]


class FolderLock:
    """Locks the folder itself, so that no lock file is left behind by a crash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None

    def take(self) -> None:
        """Acquire the lock, again if it is held: the folder may have been replaced.

        Raises:
            OSError: The folder cannot be opened.
            JournalBusyError: Another process has the lock.
        """
        self.release()
        self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            text = f"the journal in {self._folder} is being written by another process"
            raise JournalBusyError(text) from None

    def release(self) -> None:
        """Give the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
