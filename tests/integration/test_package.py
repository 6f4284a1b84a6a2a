"""The Debian packages: their scripts, and in a trial their contents."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kit.daemon import REPOSITORY

PACKAGING = REPOSITORY / "packaging"
ELF_MACHINE = {"amd64": 62, "arm64": 183}
"""``e_machine``, at byte 18 of an ELF file."""


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_the_maintainer_scripts_end_at_the_first_error(script: str) -> None:
    """Dpkg must see a failure; the shell finds no fault in them."""
    file = PACKAGING / script
    assert file.read_text().startswith("#!/bin/sh\nset -e\n")
    subprocess.run(["dash", "-n", str(file)], check=True, timeout=60)


def test_only_purge_deletes_configuration_and_data() -> None:
    """Neither upgrade nor removal touches what belongs to the operator."""
    purge = (PACKAGING / "postrm").read_text().partition('if [ "$1" = purge ]')[2]
    scripts = "".join((PACKAGING / name).read_text() for name in ("postinst", "prerm", "postrm"))
    assert scripts.count("rm -rf") == purge.count("rm -rf") == 1


@pytest.mark.trial
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_the_packages_hold_the_program_and_libraries_of_their_processor(tmp_path: Path) -> None:
    """Each has its unit, a first configuration and compiled modules for its own processor only."""
    subprocess.run(["scripts/package"], cwd=REPOSITORY, check=True, timeout=500)
    for arch, machine in ELF_MACHINE.items():
        file = max((REPOSITORY / "dist").glob(f"*_{arch}.deb"), key=lambda one: one.stat().st_mtime)
        root = tmp_path / arch
        subprocess.run(["dpkg-deb", "-x", str(file), str(root)], check=True, timeout=60)
        unit = (root / "lib/systemd/system/sensord.service").read_text()
        assert "ExecStart=/usr/bin/sensord run /etc/sensord/config.toml\n" in unit
        assert (root / "usr/share/sensord/config.toml").exists()
        assert not (root / "etc").exists()
        compiled = [*root.rglob("*.so")]
        assert {one.read_bytes()[18] for one in compiled} == {machine}
        assert len(compiled) > 3
