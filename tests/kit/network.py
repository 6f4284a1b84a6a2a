"""A network namespace of a daemon's own, whose addresses a test adds while it runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

import pytest

__all__ = ["alone", "inside", "needs_network"]

TOOLS = ("unshare", "nsenter", "ip", "sysctl")


def alone(setup: str = "true") -> Sequence[str]:
    """Return the command that runs another one alone in a network, with a loopback."""
    return ("unshare", "-n", "sh", "-ec", f'ip link set lo up; {setup}; exec "$0" "$@"')


def inside(pid: int, *command: str) -> str:
    """Run a command in the network of a process; return its output."""
    done = subprocess.run(
        ["nsenter", "-t", str(pid), "-n", *command],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


def _can() -> bool:
    if os.geteuid() or not all(shutil.which(tool) for tool in TOOLS):
        return False
    command = [*alone("sysctl -q -w net.ipv6.conf.all.disable_ipv6=1"), "true"]
    return not subprocess.run(command, check=False, capture_output=True).returncode


needs_network = pytest.mark.skipif(
    not _can(), reason=f"a network of its own takes root and {', '.join(TOOLS)}"
)
