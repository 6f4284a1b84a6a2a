"""Node, as far as it is there: the command that runs it with WebSocket."""

from __future__ import annotations

import shutil
import subprocess

import pytest

__all__ = ["node"]


def node() -> list[str]:
    """Return the command; skip the test that needs it if there is none."""
    if shutil.which("node") is not None:
        for command in (["node"], ["node", "--experimental-websocket"]):
            if subprocess.call([*command, "-e", "WebSocket"], stderr=subprocess.DEVNULL) == 0:
                return command
    pytest.skip("Node 20.10 or newer is needed; scripts/test installs it where it may")
