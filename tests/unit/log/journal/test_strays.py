"""What stands in a journal's folder and is no part of it costs nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sensord.log.journal import Options, Reader, Writer
from sensord.log.journal.ring import SLOT_BYTES, read_ring
from sensord.log.journal.survey import survey
from sensord.mcap.segment import open_path, sealed_path
from sensord.recordings import RecordingError, open_recording
from tests.kit.journal import START_US, found_in, mixed_readings
from tests.kit.journal_damage import damage

COUNT = 500
BEYOND = 10_000_000
HEADER_BYTES = 68
"""Of a frame in the ring."""


def journal(folder: Path, *, first: int = 0, sealed: bool = False) -> Path:
    """Write a journal whose newest readings stand in the ring only; or in a sealed segment."""
    writer = Writer(Options(folder=str(folder)))
    writer.open(START_US, 0)
    writer.commit(mixed_readings(COUNT, first=first), START_US, 0)
    if sealed:
        writer.close(START_US, 1)
    else:
        writer.abandon()
    return folder


def sealed_of_another(folder: Path) -> Path:
    """Return a sealed segment of another journal."""
    other = journal(folder.parent / "other", sealed=True)
    return next(other.glob("*.mcap"))


def make_folder(path: Path) -> None:
    path.mkdir()


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_empty(path: Path) -> None:
    path.touch()


def make_foreign(path: Path) -> None:
    shutil.copy(sealed_of_another(path.parent), path)


def make_garbage(path: Path) -> None:
    path.write_bytes(b"nothing of ours" * 100)


STRAYS: list[tuple[str, Callable[[Path], None]]] = [
    ("x.mcap", make_folder),
    ("x.part", make_folder),
    ("x.mcap", make_fifo),
    ("x.part", make_fifo),
    (sealed_path(Path(), BEYOND).name, make_folder),
    (sealed_path(Path(), BEYOND).name, make_fifo),
    (sealed_path(Path(), BEYOND).name, make_empty),
    (sealed_path(Path(), BEYOND).name, make_foreign),
    (sealed_path(Path(), BEYOND).name, make_garbage),
    (open_path(Path(), BEYOND).name, make_fifo),
    (open_path(Path(), BEYOND).name, make_empty),
    (open_path(Path(), BEYOND).name, make_foreign),
    (sealed_path(Path(), 10**20 - 1).name, make_empty),
    (sealed_path(Path(), 10**20 - 1).name, make_foreign),
]


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize(("name", "make"), STRAYS)
def test_a_stray_costs_no_reading_and_is_named_and_left_alone(
    tmp_path: Path, name: str, make: Callable[[Path], None], *, sealed: bool
) -> None:
    """Neither at the start, nor for whoever reads the folder, nor after the next stop."""
    folder = journal(tmp_path / "journal", sealed=sealed)
    make(folder / name)
    before = (folder / name).lstat()
    found, holes = found_in(Reader(folder).scan(0))
    assert len(found) == COUNT
    assert not holes
    writer = Writer(Options(folder=str(folder)))
    recovery = writer.open(START_US, 0)
    assert [stray.file for stray in recovery.strays] == [name]
    assert writer.statistics().state.value == "ok"
    assert recovery.end == COUNT
    writer.close(START_US, 1)
    found, _ = found_in(Reader(folder).scan(0))
    assert [row.offset for row in found] == list(range(COUNT))
    after = (folder / name).lstat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)


def test_a_segment_under_another_number_is_left_alone(tmp_path: Path) -> None:
    """Its readings would have the offsets of others."""
    folder = journal(tmp_path / "journal", sealed=True)
    (segment,) = folder.glob("*.mcap")
    shutil.copy(segment, sealed_path(folder, BEYOND))
    found = survey(folder)
    assert found.end == COUNT
    assert [stray.reason for stray in found.strays] == ["was given another name"]


def later_segment_of_another(folder: Path) -> Path:
    """Return a segment of another journal whose offsets are higher, and stand in its name."""
    other = journal(folder.parent / "other", sealed=True)
    (other / "ring").unlink()  # it continues well beyond all that it knows
    first = survey(other).next_offset
    journal(other, first=first, sealed=True)
    return sealed_path(other, first)


@pytest.mark.parametrize("corruption", ["registry: bit in the epoch", "registry: deleted"])
def test_a_foreign_segment_hides_nothing_though_the_registry_is_damaged(
    tmp_path: Path, corruption: str
) -> None:
    """It was adopted, and the committed readings that only the ring had were gone."""
    folder = journal(tmp_path / "journal")
    foreign = later_segment_of_another(folder)
    shutil.copy(foreign, folder)
    damage(folder, corruption, 1)
    found, _ = found_in(Reader(folder).scan(0))
    assert [row.offset for row in found] == list(range(COUNT))
    assert [stray.file for stray in survey(folder).strays] == [foreign.name]


OURS = (0, 1000, 3000)
"""Where sealed segments of 500 readings begin; the newest 300 readings are in ring and segment."""


def long_journal(folder: Path) -> dict[int, object]:
    """Write a journal whose ring has only its newest readings; return all of them."""
    for first in OURS:
        journal(folder, first=first, sealed=True)
    writer = Writer(Options(folder=str(folder)))
    writer.open(START_US, 0)
    for offset in range(5000, 5300):
        writer.commit(mixed_readings(1, first=offset), START_US, 0)
    writer.abandon()
    found, _ = found_in(Reader(folder).scan(0))
    return {row.offset: (row.topic, row.value) for row in found}


def journal_of_two_epochs(folder: Path) -> list[str]:
    """Write readings under two epochs, with a real gap between them; return both."""
    journal(folder)
    journal(folder, first=survey(folder).next_offset, sealed=True)
    writer = Writer(Options(folder=str(folder)))
    recovery = writer.open(START_US, 0)
    present = writer.renew_epoch()
    writer.commit(mixed_readings(COUNT, first=recovery.next_offset), START_US, 0)
    writer.close(START_US, 1)
    return [recovery.epoch, present]


@pytest.mark.parametrize("is_open", [False, True])
def test_a_foreign_segment_in_a_gap_is_left_alone_though_the_registry_is_lost(
    tmp_path: Path, *, is_open: bool
) -> None:
    """Its values were served in the gap: an epoch before the present one could not be excluded."""
    folder = tmp_path / "journal"
    epochs = journal_of_two_epochs(folder)
    given = [row.offset for row in found_in(Reader(folder).scan(0))[0]]
    assert len(given) == 3 * COUNT
    other = journal(tmp_path / "other", sealed=True)
    journal(other, first=10 * COUNT, sealed=True)
    foreign = open_path(folder, 10 * COUNT) if is_open else sealed_path(folder, 10 * COUNT)
    shutil.copy(sealed_path(other, 10 * COUNT), foreign)
    for _ in range(2):  # the registry that the first start wrote is lost, too
        (folder / "registry").unlink()
        assert [row.offset for row in found_in(Reader(folder).scan(0))[0]] == given
        writer = Writer(Options(folder=str(folder)))
        recovery = writer.open(START_US, 0)
        assert [stray.file for stray in recovery.strays] == [foreign.name]
        assert list(recovery.epochs) == epochs
        writer.close(START_US, 1)
    assert [row.offset for row in found_in(Reader(folder).scan(0))[0]] == given


def test_a_ring_without_a_list_of_epochs_hides_no_segment_of_a_former_one(tmp_path: Path) -> None:
    """As an older version left it: the first start finds the epochs in the segments."""
    folder = tmp_path / "journal"
    epochs = journal_of_two_epochs(folder)
    given = [row.offset for row in found_in(Reader(folder).scan(0))[0]]
    forget_lists(folder / "ring")
    for _ in range(2):
        (folder / "registry").unlink()
        writer = Writer(Options(folder=str(folder)))
        recovery = writer.open(START_US, 0)
        assert not recovery.strays
        assert list(recovery.epochs) == epochs
        writer.close(START_US, 1)
        assert [row.offset for row in found_in(Reader(folder).scan(0))[0]] == given


def forget_lists(ring: Path) -> None:
    """Write zeros behind all frames."""
    content = bytearray(ring.read_bytes())
    for frame in read_ring(bytes(content)):
        at = frame.head.slot * SLOT_BYTES
        end = HEADER_BYTES + int.from_bytes(content[at + 20 : at + 24], "little")
        content[at + end : at + frame.slots * SLOT_BYTES] = bytes(frame.slots * SLOT_BYTES - end)
    ring.write_bytes(content)


def flip(path: Path, where: bytes, behind: int = 0) -> None:
    """Flip a bit of a file, so many bytes behind the end of a text in it."""
    content = bytearray(path.read_bytes())
    content[content.index(where) + len(where) + behind] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("first", "hurt"),
    [
        *((first, hurt) for first in (900, 1200, 5100) for hurt in ("head", "epoch", "deleted")),
        *((700, hurt) for hurt in ("head", "epoch", "sealed")),
    ],
)
@pytest.mark.parametrize("is_open", [False, True])
def test_a_foreign_segment_with_lower_offsets_replaces_no_reading(
    tmp_path: Path, first: int, hurt: str, *, is_open: bool
) -> None:
    """It was adopted where its own head or the registry is damaged, and its values were served."""
    other = journal(tmp_path / "other", sealed=True)
    journal(other, first=first, sealed=True)
    folder = tmp_path / "journal"
    given = long_journal(folder)
    foreign = open_path(folder, first) if is_open else sealed_path(folder, first)
    shutil.copy(sealed_path(other, first), foreign)
    match hurt:
        case "head":
            flip(foreign, b"MCAP")
        case "deleted":
            (folder / "registry").unlink()
        case _:
            flip(folder / "registry", f'"{hurt}":'.encode(), 1)
    found, _ = found_in(Reader(folder).scan(0))
    assert {row.offset: (row.topic, row.value) for row in found} == given
    assert [stray.file for stray in survey(folder).strays] == [foreign.name]


@pytest.mark.parametrize("field", [b"epoch", b"first_offset"])
def test_a_flipped_bit_in_the_head_of_the_open_segment_hides_none_of_its_readings(
    tmp_path: Path, field: bytes
) -> None:
    """All of it was left alone as another journal's: 28,672 of 30,000 committed readings."""
    folder = journal(tmp_path / "journal", sealed=True)
    writer = Writer(Options(folder=str(folder)))
    writer.open(START_US, 0)
    writer.commit(mixed_readings(30_000, first=COUNT), START_US, 0)
    writer.abandon()
    (segment,) = folder.glob("*.open")
    flip(segment, field, 4)
    found, holes = found_in(Reader(folder).scan(0))
    assert [row.offset for row in found] == list(range(COUNT + 30_000))
    assert not holes
    assert not survey(folder).strays


@pytest.mark.parametrize("name", ["ring", "registry"])
def test_a_fifo_in_the_place_of_a_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    """It is named, and nobody waits for a writer of it."""
    folder = journal(tmp_path / "journal")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(OSError, match=f"{name} is not a regular file"):
        survey(folder)


def test_a_fifo_given_as_a_recording_is_refused_at_once(tmp_path: Path) -> None:
    """Also where it is the file that is asked for."""
    os.mkfifo(tmp_path / "x.mcap")
    with pytest.raises(RecordingError, match="not a regular file"):
        open_recording(tmp_path / "x.mcap")
