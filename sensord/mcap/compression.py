"""The compressions of other writers' chunks, besides zstd: ``lz4``, if its package is installed.

Pure but for the import of a package that need not be installed.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["lz4_content", "missing"]

READ = {"", "zstd"}


def missing(compression: str) -> str:
    """Return the package needed to read chunks of a compression; empty if nothing is missing."""
    if compression in READ or (compression == "lz4" and _lz4() is not None):
        return ""
    if compression == "lz4":
        return "chunks are compressed with lz4; to read them, install sensord[lz4], or lz4"
    return f"the compression {compression!r} is not supported"


def lz4_content(data: bytes, size: int) -> bytes:
    """Decompress an lz4 frame that becomes ``size`` bytes.

    Raises:
        ValueError: It is damaged, of another size, or the package is not installed.
    """
    lz4 = _lz4()
    if lz4 is None:
        raise ValueError(missing("lz4"))
    try:
        # One byte more than it should be shows one that is larger, whatever it would become.
        raw: bytes = lz4.LZ4FrameDecompressor().decompress(data, max_length=size + 1)
    except RuntimeError as error:
        raise ValueError(f"lz4: {error}") from error
    if len(raw) != size:
        raise ValueError("lz4: the size is not the one announced")
    return raw


def _lz4() -> Any:  # noqa: ANN401  # a package without types
    try:
        return importlib.import_module("lz4.frame")
    except ImportError:
        return None
