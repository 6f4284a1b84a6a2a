"""Damage is reported: with its place and what it costs, once, and wherever one looks."""

from __future__ import annotations

import csv
import errno
import io
import re
import shutil
from pathlib import Path

import pytest

from sensord.log.journal import Damage, Ledger, Options, Reader, Recovery, State, Writer
from sensord.mcap.disk import Disk
from sensord.mcap.records import Opcode
from tests.kit.daemon import sensord
from tests.kit.journal import START_US, Killed, check_cover, found_in, killed_journal, small_shape
from tests.kit.journal_damage import flip_bit, records_of
from tests.kit.journal_faults import SickDisk


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    return killed_journal(tmp_path_factory.mktemp("killed") / "journal")


@pytest.fixture
def folder(killed: Killed, tmp_path: Path) -> Path:
    return Path(shutil.copytree(killed.folder, tmp_path / "journal"))


def open_again(folder: Path, disk: Disk | None = None) -> tuple[Writer, Recovery]:
    writer = Writer(Options(folder=str(folder)), shape=small_shape(), disk=disk)
    return writer, writer.open(START_US + 10**9, 0)


def damage_chunk(path: Path, which: int) -> None:
    """Flip a bit in the middle of the content of a chunk."""
    start, end = records_of(path, Opcode.CHUNK)[which]
    flip_bit(path, (start + end) // 2)


def unsealed(folder: Path) -> Path:
    (path,) = folder.glob("*.mcap.open")
    return path


def offsets_of(found: list[Damage]) -> set[int]:
    return {offset for one in found for offset in range(one.first, one.first + one.count)}


def test_unreadable_readings_are_not_counted_as_recovered(killed: Killed, folder: Path) -> None:
    """The start decompresses what is in no sealed segment, and reports what it cannot read."""
    writer, whole = open_again(folder)
    writer.abandon()
    shutil.rmtree(folder)
    shutil.copytree(killed.folder, folder)
    damage_chunk(unsealed(folder), 1)
    writer, recovery = open_again(folder)
    found, holes = found_in(Reader(writer).scan(0))
    writer.abandon()
    lost = check_cover(found, holes, killed.given)
    assert lost
    assert recovery.unreadable == len(lost)
    assert recovery.recovered == whole.recovered - len(lost)
    assert f"{len(lost)} cannot be read" in recovery.findings[0]
    (reported,) = recovery.damage
    assert offsets_of([reported]) == lost
    assert reported.file == unsealed(killed.folder).name
    assert reported.at is not None
    topics = {killed.given[offset].topic for offset in lost}
    assert set(reported.topics) == topics
    times = [killed.given[offset].log_us for offset in lost]
    assert (reported.start_us, reported.end_us) == (min(times), max(times))


def test_damage_of_a_sealed_segment_is_reported_when_it_is_read(
    killed: Killed, folder: Path
) -> None:
    """With its file and byte, also in the hole; a ledger names it once."""
    path = sorted(folder.glob("*.mcap"))[1]
    damage_chunk(path, 0)
    writer, recovery = open_again(folder)
    assert not recovery.damage
    ledger, reported = Ledger(), list[Damage]()

    def report(found: Damage, cause: Exception | None) -> None:
        assert cause is None
        if ledger.add(found):
            reported.append(found)

    reader = Reader(writer, report=report)
    found_in(reader.scan(0))
    found_in(reader.scan(0))
    found, holes = found_in(reader.scan(0))
    writer.abandon()
    lost = check_cover(found, holes, killed.given)
    (one,) = reported
    assert one.file == path.name
    assert offsets_of([one]) == lost
    assert ledger.losses()[:2] == (1, len(lost))
    assert any(f"{path.name}, byte {one.at}" in hole.reason for hole in holes)


def test_a_channel_number_flipped_in_an_index_hides_no_reading(
    killed: Killed, folder: Path
) -> None:
    """A history of one topic passed over the chunk, without a gap; sealing made it permanent."""
    path = unsealed(folder)
    for start, _ in records_of(path, Opcode.MESSAGE_INDEX)[:20]:
        flip_bit(path, start + 1, 3)  # the upper byte of the number
    writer, _ = open_again(folder)
    for topic in sorted({row.topic for row in killed.given.values()}):
        given = {offset: row for offset, row in killed.given.items() if row.topic == topic}
        assert not check_cover(*found_in(Reader(writer).scan(0, topics=[topic])), given)
    writer.abandon()


def test_a_flipped_topic_of_the_open_segment_comes_out_of_nothing(
    killed: Killed, folder: Path
) -> None:
    """Neither with the registry nor without it, nor from the file alone."""
    path = unsealed(folder)
    topics = {row.topic for row in killed.given.values()}
    start, _ = records_of(path, Opcode.CHANNEL)[0]
    flip_bit(path, start + 4 + 4 + 2, 4)  # inside the topic
    for text in (str(folder), str(path)):
        done = sensord("export", text, "--format", "csv")
        assert done.returncode == 0
        told = {row["topic"] for row in csv.DictReader(io.StringIO(done.stdout))}
        assert told
        assert {topic for topic in told if not topic.startswith("unknown/")} <= topics, text
    (folder / "registry").unlink()
    writer, recovery = open_again(folder)
    found, holes = found_in(Reader(writer).scan(0))
    writer.abandon()
    assert not check_cover(found, holes, killed.given)
    assert any("record of a channel" in one.reason for one in recovery.damage)


def test_a_segment_that_cannot_be_written_hides_no_reading(killed: Killed, folder: Path) -> None:
    """Recording fails; what can be read is read."""
    disk = SickDisk()
    disk.error, disk.only = errno.EROFS, {"open", "create", "remove", "replace"}
    writer, recovery = open_again(folder, disk)
    assert writer.statistics().state is State.FAILED
    assert recovery.next_offset >= killed.next_offset
    assert not check_cover(*found_in(Reader(writer).scan(0)), killed.given)
    writer.abandon()


def test_a_segment_that_cannot_be_read_hides_no_other(killed: Killed, folder: Path) -> None:
    """It is left alone, and named with its offsets and times."""
    path = sorted(folder.glob("*.mcap"))[1]
    path.unlink()
    path.symlink_to(path)  # root reads everything else
    writer, recovery = open_again(folder)
    found, holes = found_in(Reader(writer).scan(0))
    lost = check_cover(found, holes, killed.given)
    writer.abandon()
    (one,) = recovery.damage
    assert (one.file, offsets_of([one])) == (path.name, lost)
    assert one.start_us is not None
    assert path.is_symlink()


def test_a_start_warns_of_all_that_may_be_missing(killed: Killed, folder: Path) -> None:
    """After a kill of the last interval; without the ring of what only that had, as damage."""
    writer, recovery = open_again(folder)
    writer.abandon()
    assert not recovery.damage
    (hole,) = recovery.missing
    assert (hole.first, hole.end) == (killed.next_offset, recovery.next_offset)
    shutil.rmtree(folder)
    shutil.copytree(killed.folder, folder)
    (folder / "ring").unlink()
    writer, recovery = open_again(folder)
    found, holes = found_in(Reader(writer).scan(0))
    writer.abandon()
    lost = check_cover(found, holes, killed.given)
    (damage,), (hole,) = recovery.damage, recovery.missing
    assert damage.file == "ring"
    assert lost
    assert lost <= set(range(hole.first, killed.next_offset))


def test_info_names_damage(killed: Killed, folder: Path) -> None:
    """With file and byte, in a note."""
    damage_chunk(unsealed(folder), 1)
    done = sensord("info", str(folder))
    assert done.returncode == 0
    notes = [line for line in done.stdout.splitlines() if line.strip().startswith("note")]
    assert any(re.search(r"\.mcap\.open, byte \d+: .*cannot be read", note) for note in notes)
    assert "Traceback" not in done.stderr
