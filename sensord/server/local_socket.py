"""The Unix socket for programs on this machine, whose user the kernel reports."""

from __future__ import annotations

import contextlib
import grp
import os
import socket
import stat
import struct
from pathlib import Path

from sensord.errors import StartError
from sensord.server.addresses import BACKLOG

__all__ = ["bound", "is_owner", "unlinked"]

_PEERGROUPS = 59
"""SO_PEERGROUPS of socket(7), which Python does not name."""

_MOST_GROUPS = 256
"""Python reads at most 1,024 bytes of an option; a user in more groups is not recognised."""

OPEN_TO_ALL = 0o666
"""Every user may connect; user and groups decide what each may do."""


def bound(path: str) -> socket.socket:
    """Return a socket that listens at a path; one that a dead process left is replaced.

    Raises:
        StartError: Another process listens there, or it cannot be made.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(0)
        _make_room(Path(path))
        made.bind(path)
        Path(path).chmod(OPEN_TO_ALL)
        made.listen(BACKLOG)
    except OSError as exc:
        made.close()
        raise StartError(f"cannot listen on {path}: {exc.strerror or exc}") from exc
    except StartError:
        made.close()
        raise
    return made


def _make_room(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise StartError(f"cannot listen on {path}: it is a file; choose another server.socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise StartError(f"cannot listen on {path}: is another sensord running?")


def unlinked(path: str) -> None:
    """Remove the socket's name."""
    with contextlib.suppress(OSError):
        Path(path).unlink()


def is_owner(descriptor: int, group: str) -> bool:
    """Return whether the other end is root, our own user or a member of ``group``."""
    with socket.socket(fileno=os.dup(descriptor)) as peer:
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, user, primary = struct.unpack("3i", raw)
        if user in {0, os.geteuid()}:
            return True
        if not group:
            return False
        try:
            wanted = grp.getgrnam(group).gr_gid
            more = peer.getsockopt(socket.SOL_SOCKET, _PEERGROUPS, 4 * _MOST_GROUPS)
        except (KeyError, OSError):
            return False
    return wanted == primary or wanted in struct.unpack(f"{len(more) // 4}I", more)
