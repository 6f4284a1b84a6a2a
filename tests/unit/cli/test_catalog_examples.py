"""The examples in the help are true."""

from __future__ import annotations

import shlex

from sensord.cli.catalog import GROUPS
from tests.kit.daemon import sensord


def test_the_example_of_try_decodes_without_a_fault() -> None:
    """A wrong checksum in it would be the first thing that a newcomer sees."""
    (example,) = [group["try"].example for group in GROUPS.values() if "try" in group]
    done = sensord(*shlex.split(example)[1:])
    assert done.returncode == 0, done.stderr
    assert "fault" not in done.stdout + done.stderr
    assert done.stdout.strip()
