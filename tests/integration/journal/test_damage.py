"""No damage makes a reading wrong, refuses a start, or loses anything without naming it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sensord.log.journal import Options, Reader, Writer
from tests.kit.journal import (
    START_US,
    Killed,
    check_cover,
    found_in,
    killed_journal,
    oracle_rows,
    small_shape,
    walk_readings,
)

LARGEST_CHUNK = 200
"""Readings that the largest chunk or frame of these journals has."""


@pytest.fixture(scope="module", params=["numbers", "mixed"])
def killed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """A journal that was being written."""
    folder = tmp_path_factory.mktemp("killed") / "journal"
    return killed_journal(folder, mixed=request.param == "mixed")


def survive(killed: Killed, damaged: Path) -> set[int]:
    """Read the damaged copy, start on it, go on, close and read again; return what is lost."""
    reader = Reader(damaged)
    # Who only reads cannot know of readings that came after the last one there is.
    found, holes = found_in(reader.scan(0))
    end = reader.view().end
    lost = check_cover(found, holes, killed.given, end)
    writer = Writer(Options(folder=str(damaged)), shape=small_shape())
    recovery = writer.open(START_US + 10**9, 0)
    assert recovery.next_offset >= killed.next_offset
    lost_then = check_cover(*found_in(Reader(writer).scan(0)), killed.given)
    assert {offset for offset in lost_then if offset < end} <= lost
    records = walk_readings(50, first=recovery.next_offset, start_us=START_US + 10**9)
    writer.commit(records, START_US + 10**9, 10)
    writer.close(START_US + 10**9, 20)
    found, holes = found_in(Reader(damaged).scan(0))
    assert [each.offset for each in found[-50:]] == [each.offset for each in records]
    assert check_cover(found[:-50], holes, killed.given) == lost_then
    return lost_then


def truncate(path: Path, rng: random.Random) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(rng.randrange(size))


def flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def trial(
    killed: Killed, folder: Path, seed: int, damage: Callable[[Path, random.Random], None]
) -> tuple[Path, set[int]]:
    """Damage one file of a copy, files that are larger more often, and see it survive."""
    rng = random.Random(seed)
    shutil.copytree(killed.folder, folder)
    files = sorted(folder.iterdir())
    (victim,) = rng.choices(files, [path.stat().st_size ** 0.5 for path in files])
    damage(victim, rng)
    lost = survive(killed, folder)
    shutil.rmtree(folder)
    return victim, lost


def is_open(path: Path) -> bool:
    return path.suffix == ".open"


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_costs_one_chunk_at_most(killed: Killed, tmp_path: Path, seed: int) -> None:
    """And nothing comes out that did not go in."""
    _, lost = trial(killed, tmp_path / "copy", seed, flip)
    assert len(lost) <= LARGEST_CHUNK


@pytest.mark.parametrize("seed", range(40))
def test_a_cut_file_gives_back_what_is_left(killed: Killed, tmp_path: Path, seed: int) -> None:
    """The rest is named, and the other files are untouched by it."""
    trial(killed, tmp_path / "copy", seed, truncate)


@pytest.mark.trial
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("damage", [flip, truncate])
def test_a_thousand_damages(
    killed: Killed, tmp_path: Path, damage: Callable[[Path, random.Random], None]
) -> None:
    """500 on each of the two journals."""
    for seed in range(500):
        _, lost = trial(killed, tmp_path / str(seed), 10_000 + seed, damage)
        if damage is flip:
            assert len(lost) <= LARGEST_CHUNK


def test_without_damage_nothing_is_lost(killed: Killed, tmp_path: Path) -> None:
    """A kill alone costs nothing that was committed."""
    shutil.copytree(killed.folder, tmp_path / "copy")
    assert survive(killed, tmp_path / "copy") == set()


@pytest.mark.parametrize("name", ["ring", "registry", "both"])
def test_without_ring_or_registry_the_segments_are_read(
    killed: Killed, tmp_path: Path, name: str
) -> None:
    """Only what had not come to a segment is lost."""
    shutil.copytree(killed.folder, tmp_path / "copy")
    for victim in ("ring", "registry") if name == "both" else (name,):
        (tmp_path / "copy" / victim).unlink()
    lost = survive(killed, tmp_path / "copy")
    assert len(lost) <= 2 * LARGEST_CHUNK


def test_a_segment_that_is_gone_is_a_hole(killed: Killed, tmp_path: Path) -> None:
    """Those around it are not."""
    shutil.copytree(killed.folder, tmp_path / "copy")
    victim = sorted((tmp_path / "copy").glob("*.mcap"))[1]
    count = len(oracle_rows(victim))
    victim.unlink()
    assert len(survive(killed, tmp_path / "copy")) == count
