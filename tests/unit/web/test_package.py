"""The package for npm is the client that the daemon serves, under the version of the daemon."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

import sensord

ROOT = Path(__file__).parents[3]
WEB = ROOT / "sensord" / "web"
PACKAGE = ROOT / "clients" / "javascript"


def test_the_package_has_the_version_of_the_daemon() -> None:
    """They speak the same protocol."""
    assert json.loads((PACKAGE / "package.json").read_text())["version"] == sensord.__version__


def test_the_package_holds_the_client_that_the_daemon_serves(tmp_path: Path) -> None:
    """Byte for byte, with its types and the licence."""
    if shutil.which("npm") is None:
        pytest.skip("npm is missing")
    folder = tmp_path / "clients" / "javascript"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("client.*", "LICENSE"))
    (tmp_path / "sensord").mkdir()
    (tmp_path / "sensord" / "web").symlink_to(WEB)
    (tmp_path / "LICENSE").symlink_to(ROOT / "LICENSE")
    done = subprocess.run(
        ["npm", "pack", "--silent"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with tarfile.open(folder / done.stdout.split()[-1]) as packed:
        held = {
            Path(one.name).name: file.read()
            for one in packed.getmembers()
            if (file := packed.extractfile(one)) is not None
        }
    assert set(held) == {"package.json", "README.md", "LICENSE", "client.js", "client.d.ts"}
    for name in ("client.js", "client.d.ts"):
        assert held[name] == (WEB / name).read_bytes()
