"""The page at ``/`` and the JavaScript client: files that the daemon serves as they are."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Asset", "asset", "packed"]

FOLDER = Path(__file__).parent

TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".ts": "text/plain",
    ".LICENSE": "text/plain",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page. ``tag`` changes with its content."""

    content_type: str
    body: bytes
    tag: str


@cache
def _assets() -> dict[str, Asset]:
    """Read all files once; there is no other way to one, whatever a path looks like."""
    found = {}
    for file in sorted(FOLDER.rglob("*")):
        kind = TYPES.get(file.suffix)
        if kind is not None and file.is_file():
            body = file.read_bytes()
            tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
            found[file.relative_to(FOLDER).as_posix()] = Asset(kind, body, tag)
    return found


@cache
def packed(body: bytes) -> bytes:
    """Return a file's body compressed: once for each file, when it is first loaded."""
    return gzip.compress(body, mtime=0)


def asset(name: str) -> Asset | None:
    """Return a file by its path below this folder, or None."""
    return _assets().get(name)
