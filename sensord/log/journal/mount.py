"""Where file systems should be mounted above a folder, so that nothing is written beneath one.

The folder under a mount point that nothing is mounted at is on another file system. A journal that
was begun there would fill that one, and be out of sight as soon as the right one comes.

Source: docs/journal.md, When it cannot be opened.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["FSTAB", "missing_mount", "mount_of"]

FSTAB = Path("/etc/fstab")
_OCTAL = re.compile(r"\\([0-7]{3})")


def mount_of(folder: Path) -> Path | None:
    """Return the mount point that a folder is below, or None if that is the root."""
    return next(
        (path for path in _at_or_above(folder) if path.is_mount() and path != path.parent), None
    )


def missing_mount(folder: Path, fstab: Path | None = None) -> Path | None:
    """Return the ``fstab`` mount point at or above a folder if nothing is mounted there."""
    try:
        text = (fstab or FSTAB).read_text(errors="replace")
    except OSError:
        return None
    wanted = set(map(Path, _places(text)))
    return next(
        (path for path in _at_or_above(folder) if path in wanted and not path.is_mount()), None
    )


def _at_or_above(folder: Path) -> list[Path]:
    real = Path(os.path.realpath(folder))
    return [real, *real.parents]


def _places(text: str) -> list[str]:
    """Read the second field of each line, in which blanks are written in octal."""
    lines = [line.split() for line in text.splitlines()]
    return [
        _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[1])
        for fields in lines
        if len(fields) > 1 and not fields[0].startswith("#")
    ]
