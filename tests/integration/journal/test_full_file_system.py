"""Real file systems that are full; they are mounted, which takes root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FILLER = [sys.executable, "-m", "tests.kit.journal_filler"]


def can_mount() -> bool:
    if os.geteuid() or not shutil.which("unshare"):
        return False
    probe = 'mount -t tmpfs none "$0"'
    return not subprocess.run(["unshare", "-m", "sh", "-c", probe, "/mnt"], check=False).returncode


needs_root = pytest.mark.skipif(not can_mount(), reason="mounting takes root and unshare")


def run_mounted(folder: Path, mount: str) -> None:
    """Run the filler with a file system mounted on ``folder``, in a mount namespace of its own."""
    script = f'{mount} && folder=$0 && "$@"; status=$?; umount "$0"; exit $status'
    command = [*FILLER, str(folder), "disk"]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, str(folder), *command],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@needs_root
def test_a_small_tmpfs(tmp_path: Path) -> None:
    """Full, it keeps the newest; with room it comes back by itself."""
    run_mounted(tmp_path, 'mount -t tmpfs -o size=4m none "$0"')


@needs_root
def test_a_small_ext4_image(tmp_path: Path) -> None:
    """The same where blocks are allocated late and metadata has a journal."""
    image, folder = tmp_path / "image", tmp_path / "mounted"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    run_mounted(folder, f'mount -o loop "{image}" "$0"')


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    """As of a service with LimitFSIZE: failed while it holds, and not killed by a signal."""
    done = subprocess.run(
        [*FILLER, str(tmp_path), "limit"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
