"""The process, set up for serving many monitors."""

from __future__ import annotations

import faulthandler
import resource
import sys

from sensord.host.memory import return_large_blocks

__all__ = ["tune"]


def tune() -> None:
    """Set the process up for serving many monitors."""
    # A loop that hangs is ended by the watchdog with SIGABRT: then its stack is in the log.
    faulthandler.enable()
    # Threads encode for the journal and decode from it: the loop must not wait 5 ms for its turn.
    sys.setswitchinterval(0.0005)
    return_large_blocks()
    _raise_descriptor_limit()


def _raise_descriptor_limit() -> None:
    """Raise the limit of descriptors to the maximum: uvloop drops connections beyond, silently."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
