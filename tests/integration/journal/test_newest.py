"""The last reading of each channel is found from the journal's end, wherever it stands."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from sensord.log.journal import Described, Reader
from sensord.model.readings import Channel, Metadata, Record
from tests.kit.journal import (
    START_US,
    Killed,
    Row,
    channels,
    killed_journal,
    open_writer,
    rows,
    walk_readings,
)

S = 1_000_000


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """A journal with segments sealed and open, and a ring in use."""
    return killed_journal(tmp_path_factory.mktemp("journal") / "journal", mixed=True)


def described(of: Iterable[Channel]) -> list[Described]:
    return [Described(channel.topic, channel.metadata) for channel in of]


def last_of_each(given: Iterable[Row]) -> dict[tuple[str, Metadata], Row]:
    return {(row.topic, row.metadata): row for row in given}


def found_in(folder: Path, wanted: Iterable[Described]) -> dict[tuple[str, Metadata], Row]:
    """Search to the end; each channel is found once."""
    steps = [rows(step) for step in Reader(folder).newest(wanted)]
    found = [row for step in steps for row in step]
    assert len(last_of_each(found)) == len(found)
    return last_of_each(found)


def test_the_last_reading_of_every_channel_is_found(killed: Killed) -> None:
    """In the ring, the open segment or a sealed one, of every type and quality."""
    expected = last_of_each(killed.given.values())
    assert len(expected) > 20
    assert found_in(killed.folder, [Described(*key) for key in expected]) == expected


def test_only_what_is_wanted_is_found(killed: Killed) -> None:
    """And a channel that the journal does not know is no error."""
    expected = last_of_each(killed.given.values())
    (key, row), *_ = expected.items()
    unknown = Described("un/known", Metadata())
    assert found_in(killed.folder, [Described(*key), unknown]) == {key: row}
    assert found_in(killed.folder, []) == {}


def with_a_quiet_channel(folder: Path) -> tuple[Channel, Record]:
    """Write one reading of a channel, and then many of others; return it."""
    quiet, *others = channels(6)
    writer = open_writer(folder)
    (first,) = walk_readings(1, of=[quiet])
    writer.commit([first], START_US, 0)
    for second in range(1, 40):
        records = walk_readings(
            100, first=1 + (second - 1) * 100, start_us=START_US + second * S, of=others
        )
        writer.commit(records, START_US + second * S, second * S)
    writer.close(START_US + 40 * S, 40 * S)
    return quiet, first


def test_a_channel_that_was_quiet_for_long_is_found_far_back(tmp_path: Path) -> None:
    """Chunks without it are passed over by their index; whoever asks may stop before."""
    quiet, first = with_a_quiet_channel(tmp_path)
    wanted = described([quiet])
    assert list(found_in(tmp_path, wanted).values()) == rows([first])
    steps = list(Reader(tmp_path).newest(wanted))
    assert len(steps) > 5
    assert [len(step) for step in steps] == [0] * (len(steps) - 1) + [1]


def test_damage_leads_to_an_older_reading(tmp_path: Path) -> None:
    """Nothing is raised, and nothing wrong is found."""
    of = channels(3)
    writer = open_writer(tmp_path)
    given: list[Row] = []
    for second in range(1, 60):
        records = walk_readings(
            100, first=(second - 1) * 100, start_us=START_US + second * S, of=of
        )
        writer.commit(records, START_US + second * S, second * S)
        given += rows(records)
    writer.close(START_US + 60 * S, 60 * S)
    newest_file = max(tmp_path.glob("*.mcap"))
    data = bytearray(newest_file.read_bytes())
    first = data.index(b"\x28\xb5\x2f\xfd")  # the data of the first chunk
    data[first + 40] ^= 0xFF
    newest_file.write_bytes(data)
    found = found_in(tmp_path, described(of))
    assert len(found) == 3
    assert all(row in given for row in found.values())
    newest_file.unlink()
    older = found_in(tmp_path, described(of))
    assert all(older[key].offset < found[key].offset for key in found)
