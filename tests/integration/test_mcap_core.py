"""Segments, exports and recordings opened by `@mcap/core`, as Foxglove and Lichtblick open them.

A trial, for npm fetches the library.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sensord.log.journal import Batch, Hole
from sensord.recordings import EVERYTHING, open_recording
from sensord.recordings.mcap_output import McapOutput
from tests.kit.broker import needed
from tests.kit.daemon import REPOSITORY
from tests.kit.journal import START_US, channels, open_writer, oracle_rows, walk_readings

COUNT = 3000


def read_by_mcap_core(folder: Path, path: Path) -> dict[str, Any]:
    done = subprocess.run(
        ["node", "read.mjs", str(path)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.trial
def test_mcap_core_reads_the_same(tmp_path: Path) -> None:
    """By the index, in order, each CRC and each payload, as the `mcap` package for Python does."""
    library = tmp_path / "library"
    shutil.copytree(REPOSITORY / "tests" / "kit" / "mcap_core", library)
    npm = needed("npm", "npm")
    subprocess.run(
        [npm, "install", "--no-audit", "--no-fund"], cwd=library, check=True, timeout=200
    )
    journal = tmp_path / "journal"
    writer = open_writer(journal)
    records = walk_readings(COUNT, of=channels(5))
    for i in range(0, COUNT, 100):
        writer.commit(records[i : i + 100], START_US, i)
    writer.close(START_US, COUNT)
    output = tmp_path / "x.mcap"
    with McapOutput(output, "") as whole:
        for item in open_recording(journal).scan(EVERYTHING):
            assert isinstance(item, Batch)
            whole.add(item)
        whole.hole(Hole(COUNT, 7, "expired"))
        whole.complete()
    total = 0
    for path in (output, *sorted(journal.glob("*.mcap"))):
        found = read_by_mcap_core(library, path)
        expected = [[row[0], str(row[1]), row[3], row[4]] for row in oracle_rows(path)]
        assert found["rows"] == expected
        assert found["counted"] == len(expected)
        assert found["chunks"] > 0
        assert found["notes"] == (["sensord", "sensord.hole"] if path == output else ["sensord"])
        total += len(expected)
    assert total == 2 * COUNT
