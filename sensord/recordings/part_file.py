"""A file that has its name only when it is complete."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

__all__ = ["PartFile", "part_path", "sync_folder"]


def part_path(path: Path) -> Path:
    """Return the name of a file while this process writes it: in the same folder, to be renamed."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the device."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class PartFile:
    """Written under another name; leaving the block with an error or an interrupt removes it.

    Call `complete` after the last write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = part_path(path)
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        self._file = self._part.open("xb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.file.close()
        self._part.unlink(missing_ok=True)

    @property
    def file(self) -> BinaryIO:
        """The file, open for writing."""
        assert self._file is not None
        return self._file

    def complete(self) -> None:
        """Give the file its name, in place of any that has it, when its bytes are on the device.

        Raises:
            OSError: It has not got it.
        """
        self.file.flush()
        os.fsync(self.file.fileno())
        self._part.replace(self.path)
        sync_folder(self.path.parent)
