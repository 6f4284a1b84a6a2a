"""The listening sockets that the service manager opened for the daemon.

Owns the reading of ``LISTEN_FDS``. Knows nothing of addresses that are wanted.

systemd keeps such a socket open while the daemon restarts, so connections wait instead of being
refused.

Source: sd_listen_fds(3), systemd.socket(5).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

__all__ = ["FIRST", "passed_sockets"]

FIRST = 3
"""SD_LISTEN_FDS_START: the first descriptor after the standard ones."""


def passed_sockets(
    environment: Mapping[str, str], *, pid: int | None = None, first: int = FIRST
) -> list[socket.socket]:
    """Return the sockets that were passed to this process; call it once.

    They are not inherited by programs that the daemon starts.
    """
    # The variables are meant for one process; a child inherits them, but not the descriptors.
    if environment.get("LISTEN_PID") != str(os.getpid() if pid is None else pid):
        return []
    count = environment.get("LISTEN_FDS", "")
    if not (count.isascii() and count.isdigit()):
        return []
    passed = []
    for descriptor in range(first, first + int(count)):
        os.set_inheritable(descriptor, False)  # noqa: FBT003  # the standard library's
        made = socket.socket(fileno=descriptor)
        made.settimeout(0)
        passed.append(made)
    return passed
