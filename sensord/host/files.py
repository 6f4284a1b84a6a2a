"""Read the files that an operator names, so that none of them can make the daemon wait.

Opening a fifo waits for a writer, and a device may have no end: only regular files up to a size are
read.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["check_regular", "read_text"]

MOST_CHARACTERS = 32 * 1024 * 1024


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """Return the content of a regular file.

    Raises:
        OSError: It cannot be read, is too long, or is not a regular file.
        UnicodeDecodeError: It is no text in this encoding.
    """
    # Without effect on regular files; a fifo is opened at once, and refused.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _check(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, encoding=encoding) as file:
        text = file.read(MOST_CHARACTERS + 1)
    if len(text) > MOST_CHARACTERS:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    return text


def check_regular(path: Path) -> None:
    """Refuse what is not a regular file, before a library opens it.

    Raises:
        OSError: It is missing, or is not a regular file.
    """
    _check(path.stat(), path)


def _check(found: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
