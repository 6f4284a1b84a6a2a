"""How the C library returns memory to the system."""

from __future__ import annotations

import ctypes

__all__ = ["return_large_blocks"]

M_MMAP_THRESHOLD = -3
"""From ``malloc.h``."""

LARGE_BYTES = 256 * 1024
"""Blocks from here on go back to the system when they are freed: chunks, frames, tables."""


def return_large_blocks() -> bool:
    """Have large blocks returned to the system when they are freed; return whether that is so.

    By default, glibc raises its threshold to the largest block that was ever freed, up to 32 MiB.
    From then on, such blocks leave holes in the heap that small ones keep open, and the memory in
    use seems to grow for as long as the daemon runs.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(M_MMAP_THRESHOLD, LARGE_BYTES) == 1
