"""File systems in a mount namespace of a daemon's own, so that no other process sees them."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

__all__ = ["Namespace", "make_image", "needs_loop", "needs_mount", "run_mounted"]

SHUTDOWN = 0x8004587D
"""The ioctl that makes a file system answer everything with EIO, as when its disk is pulled."""
NO_FLUSH = 2


def _can(script: str) -> bool:
    if os.geteuid() or not shutil.which("unshare") or not shutil.which("nsenter"):
        return False
    command = ["unshare", "-m", "sh", "-c", script]
    return not subprocess.run(command, check=False, capture_output=True).returncode


needs_mount = pytest.mark.skipif(
    not _can("mount -t tmpfs none /mnt"), reason="mounting takes root, unshare and nsenter"
)
needs_loop = pytest.mark.skipif(
    not (_can("losetup -f") and shutil.which("mkfs.ext4")),
    reason="an image takes root, a loop device and mkfs.ext4",
)


class Namespace:
    """How to start a daemon in a namespace of its own, and to mount there afterwards."""

    def __init__(self, fstab: Path | None = None) -> None:
        setup = "" if fstab is None else f'mount --bind "{fstab}" /etc/fstab && '
        self.under: Sequence[str] = ("unshare", "-m", "sh", "-c", f'{setup}exec "$0" "$@"')

    @staticmethod
    def run(pid: int, *command: str) -> None:
        """Run a command in the namespace of a process."""
        subprocess.run(["nsenter", "-t", str(pid), "-m", *command], check=True)

    def shut_down(self, pid: int, folder: Path) -> None:
        """Let the file system at a folder fail from here on, as when its disk is pulled."""
        self.run(pid, sys.executable, __file__, str(folder))


def make_image(path: Path, size: int = 32 << 20) -> None:
    """Make a file with an empty ext4 file system in it."""
    with path.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(path)], check=True)


def run_mounted(mount: Sequence[str], place: Path, *command: str) -> None:
    """Run a command while something is mounted that nobody else sees."""
    script = f'{" ".join(mount)} && "$@"; status=$?; umount "$0"; exit $status'
    run = ["unshare", "-m", "sh", "-c", script, str(place), *command]
    subprocess.run(run, check=True)


def shut_down(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", NO_FLUSH))
    os.close(descriptor)


if __name__ == "__main__":
    shut_down(Path(sys.argv[1]))
