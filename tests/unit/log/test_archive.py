"""Reading the journal off the loop: what cannot be read is a hole, and is reported."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensord.log import JournalArchive
from sensord.log.archive import Fetched, Wanted
from sensord.log.journal import Losses, Writer
from sensord.log.journal.timeline import NO_SHIFTS
from sensord.log.journal.view import View
from sensord.log.journal.window import EVER
from sensord.mcap.chunk import ChunkCodec
from sensord.mcap.records import ChunkEntry
from sensord.model.readings import Channel, Metadata
from tests.kit.journal import START_US, Row, channels, open_writer, row, walk_readings
from tests.kit.loops import on_each_loop

OF = channels(3)


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[tuple[Writer, dict[int, Row]]]:
    """A journal of some chunks, all of it in a sealed segment."""
    writer = open_writer(tmp_path / "journal")
    given: dict[int, Row] = {}
    for i in range(20):
        start_us = START_US + i * 1_000_000
        records = walk_readings(50, first=50 * i, start_us=start_us, of=OF, seed=i)
        writer.commit(records, records[-1].log_us, i)
        given |= {record.offset: row(record) for record in records}
    writer.rotate(given[999].log_us, 20)
    yield writer, given
    writer.abandon()


def known(topic: str, metadata: Metadata) -> Channel:
    return {(c.topic, c.metadata): c for c in OF}[topic, metadata]


async def fetch_all(archive: JournalArchive, stop: int) -> Fetched:
    """Fetch piece by piece, as a cursor does."""
    total = Fetched([], [], 0)
    while total.next_offset < stop:
        done: asyncio.Future[Fetched] = asyncio.get_running_loop().create_future()
        archive.fetch(
            Wanted(total.next_offset, stop, ("#",), EVER, NO_SHIFTS), 100, done.set_result
        )
        got = await done
        records, holes = total.records + got.records, total.holes + got.holes
        total = Fetched(records, holes, got.next_offset)
    return total


def check(got: Fetched, given: dict[int, Row]) -> list[int]:
    """Everything is right, and what is missing is in a hole; return it."""
    found = {record.offset: row(record) for record in got.records}
    assert found == {offset: given[offset] for offset in found}
    missing = sorted(given.keys() - found.keys())
    assert missing == [offset for hole in got.holes for offset in range(hole.first, hole.end)]
    return missing


@on_each_loop
async def test_a_read_that_nobody_foresaw_is_one_hole(
    recorded: tuple[Writer, dict[int, Row]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is counted, named once with file and place, and the chunks around it are given."""
    writer, given = recorded
    decode, places = ChunkCodec.decode, set[int]()

    def decode_but_one(codec: ChunkCodec, entry: ChunkEntry, record: bytes) -> bytes:
        places.add(entry.position)
        if entry.position == max(places) and len(places) == 3:
            raise ZeroDivisionError("nobody foresaw this")
        return decode(codec, entry, record)

    monkeypatch.setattr(ChunkCodec, "decode", decode_but_one)
    archive = JournalArchive(known, asyncio.get_running_loop())
    archive.open(writer)
    with caplog.at_level(logging.WARNING):
        missing = check(await fetch_all(archive, 1000), given)
        places.clear()
        check(await fetch_all(archive, 1000), given)
    await archive.close()
    assert 0 < len(missing) < 200
    assert archive.ledger.losses()[:2] == (1, len(missing))
    assert archive.ledger.losses().unforeseen >= 1
    # On a busy machine asyncio's debug mode warns of slow callbacks, too.
    (line,) = [line for line in caplog.records if line.name.startswith("sensord")]
    assert line.levelname == "ERROR"
    assert line.exc_info is not None
    assert vars(line)["file"] == "00000000000000000000.mcap"
    assert vars(line)["at"] > 0
    assert (vars(line)["first"], vars(line)["count"]) == (missing[0], len(missing))


@on_each_loop
async def test_a_channel_that_is_known_nowhere_is_a_hole(
    recorded: tuple[Writer, dict[int, Row]],
) -> None:
    """And no KeyError, which would end the daemon."""
    writer, given = recorded
    channel = OF[0]

    def known_but_one(topic: str, metadata: Metadata) -> Channel:
        if topic == channel.topic:
            raise KeyError(topic)
        return known(topic, metadata)

    archive = JournalArchive(known_but_one, asyncio.get_running_loop())
    archive.open(writer)
    got = await fetch_all(archive, 1000)
    await archive.close()
    assert check(got, given)
    assert all(channel.topic in hole.reason for hole in got.holes)


@on_each_loop
async def test_a_journal_that_cannot_be_looked_at_is_a_hole(
    recorded: tuple[Writer, dict[int, Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over all that was wanted: nobody can name the piece."""

    def look(_: Writer) -> View:
        raise MemoryError

    writer, given = recorded
    archive = JournalArchive(known, asyncio.get_running_loop())
    archive.open(writer)
    monkeypatch.setattr(Writer, "view", property(look))
    got = await fetch_all(archive, 1000)
    await archive.close()
    assert check(got, given) == list(range(1000))
    assert archive.ledger.losses() == Losses(1, 1000, 1)
