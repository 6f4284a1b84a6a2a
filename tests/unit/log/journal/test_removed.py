"""A segment that somebody removed is reported; one that retention removed is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from sensord.log.journal import Options, Writer
from sensord.log.journal.registry import read_facts
from sensord.log.journal.survey import survey
from sensord.mcap.segment import sealed_path
from tests.kit.journal import START_US, mixed_readings

COUNT = 500


def journal(folder: Path, segments: int) -> None:
    """Write so many sealed segments."""
    for first in range(0, segments * COUNT, COUNT):
        writer = Writer(Options(folder=str(folder)))
        writer.open(START_US, 0)
        writer.commit(mixed_readings(COUNT, first=first), START_US, 0)
        writer.close(START_US, 1)


@pytest.mark.parametrize("segments", [1, 3])
def test_the_oldest_segment_that_somebody_removed_is_reported_once(
    tmp_path: Path, segments: int
) -> None:
    """It looked like one that retention had removed: 55,008 readings went without a warning."""
    journal(tmp_path, segments)
    gone = sealed_path(tmp_path, 0)
    gone.unlink()
    (damage,) = survey(tmp_path).damage
    assert (damage.file, damage.first, damage.count) == (gone.name, 0, COUNT)
    writer = Writer(Options(folder=str(tmp_path)))
    recovery = writer.open(START_US, 0)
    assert [one.file for one in recovery.damage] == [gone.name]
    writer.close(START_US, 1)
    assert not survey(tmp_path).damage


def test_what_retention_removed_is_not_reported(tmp_path: Path) -> None:
    """Neither after a clean stop nor after a kill."""
    journal(tmp_path, 3)
    writer = Writer(Options(folder=str(tmp_path)))
    writer.open(START_US, 0)
    assert writer._store.segments._remove_oldest()
    assert read_facts(tmp_path / "registry").removed_before == COUNT
    assert not survey(tmp_path).damage
    writer.abandon()
    assert not survey(tmp_path).damage
    writer.open(START_US, 0)
    writer.close(START_US, 1)
    assert not survey(tmp_path).damage


def test_a_registry_that_does_not_know_what_was_removed_reports_nothing(tmp_path: Path) -> None:
    """One of a version before wrote no such line."""
    journal(tmp_path, 3)
    registry = tmp_path / "registry"
    lines = registry.read_bytes().splitlines(keepends=True)
    registry.write_bytes(b"".join(line for line in lines if b"removed_before" not in line))
    sealed_path(tmp_path, 0).unlink()
    assert not survey(tmp_path).damage
