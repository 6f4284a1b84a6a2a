"""What the page takes from others is what its checksums say."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_vendored_files_have_their_checksums() -> None:
    """And each of them has one, its licence included."""
    assert subprocess.run([ROOT / "scripts" / "vendor"], check=False).returncode == 0
    folder = ROOT / "sensord" / "web" / "vendor"
    sums = (folder / "SHA256SUMS").read_text()
    named = {line.split()[1] for line in sums.splitlines()}
    assert named == {file.name for file in folder.iterdir()} - {"SHA256SUMS"}
    assert "uPlot.LICENSE" in named
