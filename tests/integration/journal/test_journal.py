"""A journal gives back what was committed: all of it, a part of it, while it is written."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensord.log.journal import Batch, Hole, Options, Reader, Writer
from sensord.log.journal.retention import SETTLE_US
from sensord.log.journal.shape import Shape
from sensord.log.journal.timeline import ClockRecord, Trust
from sensord.mcap.batch import Batch as AnyBatch
from sensord.model.readings import Channel, Metadata, Record
from sensord.model.topics import matches
from tests.kit.journal import (
    START_US,
    Killed,
    Row,
    channels,
    expected_payload,
    found_in,
    killed_journal,
    mixed_readings,
    open_writer,
    oracle_rows,
    row,
    rows,
    small_shape,
    walk_readings,
)

S = 1_000_000
OF = channels(20)


def fill(
    writer: Writer,
    seconds: int,
    *,
    first: int = 0,
    rate: int = 50,
    at_us: int = 0,
    wall_us: int = 0,
) -> list[Record]:
    """Commit once a second; return what was committed."""
    given: list[Record] = []
    for second in range(seconds):
        now_us = at_us + (second + 1) * S
        start_us = (wall_us or START_US) + now_us
        given += walk_readings(
            rate, first=first + len(given), start_us=start_us, rate=1e5, of=OF, seed=second
        )
        writer.commit(given[-rate:], start_us, now_us)
    return given


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """A journal with segments sealed and open, and a ring in use."""
    return killed_journal(tmp_path_factory.mktemp("journal") / "journal", mixed=True)


def test_everything_comes_back_in_order(killed: Killed) -> None:
    """From all the places where it may stand."""
    found, holes = found_in(Reader(killed.folder).scan())
    assert found == list(killed.given.values())
    assert holes == []


def test_other_programs_read_sealed_segments(killed: Killed) -> None:
    """The mcap package with its checks on, by the index and from end to end."""
    offset = 0
    for path in sorted(killed.folder.glob("*.mcap")):
        assert path.name == f"{offset:020}.mcap"
        for sequence, log_ns, publish_ns, topic, payload in oracle_rows(path):
            given = killed.given[offset]
            assert sequence == offset
            assert (log_ns, publish_ns) == (given.log_us * 1000, given.time_us * 1000)
            assert (topic, payload) == (given.topic, expected_payload(given))
            offset += 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_query_gives_what_a_filter_over_everything_gives(
    killed: Killed, data: st.DataObject
) -> None:
    """Offsets, times, topics and limit in any combination."""
    end, times = killed.next_offset, sorted(row.log_us for row in killed.given.values())
    start = data.draw(st.none() | st.integers(0, end + 5))
    stop = data.draw(st.none() | st.integers(0, end + 5))
    since_us = data.draw(st.none() | st.sampled_from(times))
    until_us = data.draw(st.none() | st.sampled_from(times))
    patterns = ["mixed/+", "plant/#", "plant/area0/device2/+", "mixed/json", "none"]
    topics = data.draw(st.none() | st.lists(st.sampled_from(patterns)))
    limit = data.draw(st.none() | st.integers(0, 300))
    expected = [
        row
        for row in killed.given.values()
        if (start is None or row.offset >= start)
        and (stop is None or row.offset < stop)
        and (since_us is None or row.log_us >= since_us)
        and (until_us is None or row.log_us < until_us)
        and (topics is None or any(matches(each, row.topic) for each in topics))
    ]
    asked: dict[str, Any] = {"since_us": since_us, "until_us": until_us, "topics": topics}
    # What other queries left decoded must make no difference.
    keeping = _KEEPING.setdefault(killed.folder, Reader(killed.folder, kept=3))
    for reader in (Reader(killed.folder), keeping):
        scan = reader.scan(start, stop, limit=limit, **asked)
        found, holes = found_in(scan)
        assert found == expected[:limit]
        assert holes == []
        assert scan.position <= max(end, start or 0)


_KEEPING: dict[Path, Reader] = {}


def test_a_scan_goes_on_where_one_stopped(killed: Killed) -> None:
    """Its position, and each batch's, is where."""
    found: list[Row] = []
    position = 0
    while position < killed.next_offset:
        batch = next(iter(Reader(killed.folder).scan(position, limit=777)))
        assert isinstance(batch, AnyBatch)
        found += rows(batch.records())
        position = batch.next_offset
    assert found == list(killed.given.values())


def test_a_scan_that_is_closed_lets_go_at_once(killed: Killed) -> None:
    """Without the collector, which comes seldom: a large history would pile up its chunks."""
    scan = Reader(killed.folder).scan(0)
    next(scan)
    left = weakref.ref(scan)
    gc.disable()
    try:
        scan.close()
        del scan
        assert left() is None
    finally:
        gc.enable()


def test_channels_are_whose_the_caller_says(killed: Killed) -> None:
    """The daemon's own objects, made once for each topic and metadata."""
    made: dict[tuple[str, Metadata], Channel] = {}

    def channel_for(topic: str, metadata: Metadata) -> Channel:
        assert (topic, metadata) not in made
        made[topic, metadata] = Channel(len(made) + 100, topic, metadata)
        return made[topic, metadata]

    for batch in Reader(killed.folder, channel_for).scan():
        assert isinstance(batch, Batch)
        for record in batch.records():
            assert record.channel is made[record.channel.topic, record.channel.metadata]


def test_metadata_that_changes_makes_another_channel(tmp_path: Path) -> None:
    """Each reading keeps the unit that it was recorded with."""
    writer = open_writer(tmp_path)
    one, two = Channel(0, "t", Metadata(unit="Cel")), Channel(1, "t", Metadata(unit="[degF]"))
    given = [
        record._replace(channel=two if record.offset > 50 else one) for record in walk_readings(100)
    ]
    writer.commit(given, START_US, 0)
    assert found_in(Reader(tmp_path).scan())[0] == rows(given)
    writer.abandon()


def test_a_journal_is_read_while_it_is_written(tmp_path: Path) -> None:
    """By its own process through the writer, and by another through the folder."""
    shape = small_shape(segment_bytes=16 << 10, max_bytes=1 << 30)
    writer = open_writer(tmp_path, shape)
    faults: list[object] = []
    done = threading.Event()

    def read(source: Writer | Path) -> None:
        while not done.is_set():
            scan, position = Reader(source).scan(), 0
            for item in scan:
                if isinstance(item, Hole):
                    faults.append(item)
                    return
                for record in item.records():
                    if record.offset != position:
                        faults.append((source, record.offset, position))
                        return
                    position += 1

    threads = [threading.Thread(target=read, args=(source,)) for source in (writer, tmp_path)]
    for thread in threads:
        thread.start()
    given = fill(writer, 400)
    done.set()
    for thread in threads:
        thread.join()
    assert not faults
    assert found_in(Reader(writer).scan())[0] == rows(given)
    writer.abandon()


def test_a_segment_removed_while_it_is_read_is_a_hole(tmp_path: Path) -> None:
    """Its readings are named, the others come."""
    writer = open_writer(tmp_path, small_shape(segment_bytes=16 << 10))
    fill(writer, 100)
    reader = Reader(writer)
    first, second = writer.view.sealed[:2]
    (tmp_path / f"{second.first:020}.mcap").unlink()
    found, holes = found_in(reader.scan())
    assert [(hole.first, hole.end) for hole in holes] == [(second.first, second.end)]
    assert [each.offset for each in found[: first.count + 1]] == [*range(first.end), second.end]
    writer.abandon()


def test_segments_end_at_their_age_by_the_monotonic_clock(tmp_path: Path) -> None:
    """Also a quiet one, and no clock step makes it wait."""
    writer = open_writer(tmp_path, small_shape(segment_age_us=60 * S))
    fill(writer, 5)
    writer.commit((), START_US - 3600 * S, 70 * S)
    assert [segment.count for segment in writer.view.sealed] == [250]
    assert not writer.view.pending
    writer.abandon()


@pytest.mark.parametrize("step_us", [-3600 * S, 3600 * S])
def test_a_clock_step_begins_a_segment_and_keeps_the_order(tmp_path: Path, step_us: int) -> None:
    """Within each segment log times rise, and offsets do over all."""
    writer = open_writer(tmp_path)
    given = fill(writer, 10)
    given += fill(writer, 10, first=500, at_us=10 * S, wall_us=START_US + step_us)
    writer.close(START_US + step_us + 20 * S, 20 * S)
    assert [segment.first for segment in writer.view.sealed] == [0, 500]
    assert found_in(Reader(tmp_path).scan()) == (rows(given), [])
    for path in tmp_path.glob("*.mcap"):
        times = [each[1] for each in oracle_rows(path)]
        assert times == sorted(times)


HOUR = 3600 * S
IN_2024 = 1_717_200_000 * S


class Boots:
    """A board that boots with a wrong clock, on one journal; a reading a minute."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        self.folder = folder
        self.real_us = START_US
        self.given: list[Record] = []
        self._shape = shape
        self._boots = 0

    def boot(self, wall_us: int) -> None:
        """Begin with a clock that says a time."""
        self._boots += 1
        self._booted_us, self._ahead_us = self.real_us - 20 * S, wall_us - self.real_us
        self.writer = Writer(Options(folder=str(self.folder)), shape=self._shape)
        self.next = self.writer.open(*self.clocks).next_offset
        self.note_clock(Trust.UNSET)

    @property
    def clocks(self) -> tuple[int, int]:
        """The wall clock and the monotonic one."""
        return self.real_us + self._ahead_us, self.real_us - self._booted_us

    def set_clock(self) -> None:
        """Set it right."""
        self._ahead_us = 0
        self.note_clock(Trust.SYNCHRONISED)

    def note_clock(self, trust: Trust) -> None:
        wall_us, monotonic_us = self.clocks
        record = ClockRecord(self.next, f"boot {self._boots}", monotonic_us, wall_us, trust)
        self.writer.commit((), wall_us, monotonic_us, [record])

    def run(self, minutes: int) -> None:
        """Let time pass."""
        for _ in range(minutes):
            self.real_us += 60 * S
            made = walk_readings(5, first=self.next, start_us=self.clocks[0], rate=1e5, of=OF)
            self.writer.commit(made, *self.clocks)
            self.given += made
            self.next += len(made)

    def lose_power(self) -> None:
        self.writer.abandon()

    def has_all(self) -> bool:
        found, _ = found_in(Reader(self.folder).scan())
        return [one.offset for one in found] == [one.offset for one in self.given]


def test_fourteen_boots_in_2024_that_are_set_right_remove_nothing(tmp_path: Path) -> None:
    """A tenth of the limit for each added up: readings that were minutes old were removed."""
    boots = Boots(tmp_path, small_shape(max_age_us=30 * 24 * HOUR, segment_age_us=600 * S))
    for _ in range(14):
        boots.boot(IN_2024)
        boots.run(10)
        boots.set_clock()
        boots.run(130)
        boots.lose_power()
        assert boots.has_all()
    boots.boot(IN_2024)
    boots.run(70)
    assert boots.has_all()
    boots.lose_power()


def test_a_boot_in_1970_ages_what_it_records_like_everything_else(tmp_path: Path) -> None:
    """By the time that it runs."""
    boots = Boots(tmp_path, small_shape(max_age_us=3 * HOUR, segment_age_us=600 * S))
    boots.boot(5 * S)
    boots.run(240)
    found, _ = found_in(Reader(tmp_path).scan())
    span_us = boots.given[-1].log_us - found[0].log_us
    assert 3 * HOUR <= span_us <= 3 * HOUR + 1300 * S
    boots.lose_power()


def test_a_journal_without_clock_records_begins_to_age_with_the_first(tmp_path: Path) -> None:
    """An older sensord wrote it: when, nobody knows for certain."""
    shape = small_shape(max_age_us=3 * HOUR, segment_age_us=600 * S)
    writer = open_writer(tmp_path, shape)
    given = fill(writer, 10)
    writer.close(START_US + 10 * S, 10 * S)
    boots = Boots(tmp_path, shape)
    boots.given, boots.real_us = given, START_US + 365 * 24 * HOUR
    boots.boot(boots.real_us)
    boots.set_clock()
    boots.run(170)
    assert boots.has_all()
    boots.run(20)
    found, _ = found_in(Reader(tmp_path).scan())
    assert found[0].offset == 500
    boots.lose_power()


def test_age_removes_what_no_uplink_needs(tmp_path: Path) -> None:
    """A saved cursor holds its segments back."""
    shape = small_shape(max_age_us=3600 * S, segment_age_us=60 * S, segment_bytes=8 << 10)
    writer = open_writer(tmp_path, shape)
    writer.commit((), START_US, 0, [ClockRecord(0, "boot", 0, START_US, Trust.UNSET)])
    given = fill(writer, 100)
    held = writer.view.sealed[3]
    writer.hold = held.first
    for at_us in range(400 * S, 4 * SETTLE_US, 100 * S):
        given += fill(writer, 1, first=len(given), at_us=at_us)
    assert writer.view.sealed[0] == held
    writer.hold = None
    writer.commit((), START_US + 4 * SETTLE_US, 4 * SETTLE_US)
    oldest = writer.view.sealed[0]
    assert START_US + 3 * SETTLE_US <= oldest.until_us <= START_US + 3 * SETTLE_US + 300 * S
    writer.abandon()


def test_the_journal_keeps_to_its_size(tmp_path: Path) -> None:
    """The oldest go, and a reader who asks for them learns it."""
    shape = small_shape(segment_bytes=16 << 10, max_bytes=200 << 10)
    writer = open_writer(tmp_path, shape)
    given = fill(writer, 500)
    assert writer.statistics().used_bytes <= (200 + 16) << 10
    start = writer.view.start
    assert start > 0
    found, holes = found_in(Reader(writer).scan(0))
    assert holes == [Hole(0, start, "removed by retention")]
    assert found == rows(given[start:])
    writer.close(START_US + 600 * S, 600 * S)
    again = Writer(Options(folder=str(tmp_path)), shape=shape)
    assert again.open(START_US, 0).next_offset == len(given)
    start = again.view.start
    assert found_in(Reader(again).scan(start)) == (rows(given[start:]), [])
    again.abandon()


def test_nothing_is_written_when_there_is_nothing_to_commit(tmp_path: Path) -> None:
    """An idle gateway spares its card."""
    writer = open_writer(tmp_path)
    fill(writer, 3)
    written = writer.statistics().written_bytes
    for second in range(4, 1000):
        writer.commit((), START_US + second * S, second * S)
    assert writer.statistics().written_bytes == written
    writer.abandon()


def test_a_clean_stop_skips_no_offset(tmp_path: Path) -> None:
    """And the epoch stays."""
    writer = open_writer(tmp_path)
    fill(writer, 10)
    writer.close(START_US, 10 * S)
    again = Writer(Options(folder=str(tmp_path)), shape=small_shape())
    recovery = again.open(START_US, 0)
    assert (recovery.epoch, recovery.next_offset) == (writer.epoch, 500)
    assert recovery.was_closed
    assert recovery.findings == ()
    assert {each.topic for each in recovery.channels} == {channel.topic for channel in OF}
    again.abandon()


def test_a_crash_skips_to_the_reservation_and_says_so(tmp_path: Path) -> None:
    """Monitors may have seen offsets that were not committed."""
    writer = open_writer(tmp_path)
    fill(writer, 10)
    reserved = writer.reserved
    writer.abandon()
    again = Writer(Options(folder=str(tmp_path)), shape=small_shape())
    recovery = again.open(START_US, 0)
    assert not recovery.was_closed
    assert recovery.next_offset == reserved
    assert [(hole.first, hole.end) for hole in recovery.holes] == [(500, reserved)]
    assert recovery.recovered == 500
    assert any("not closed" in text for text in recovery.findings)
    again.abandon()


def test_an_epoch_can_be_renewed_in_the_same_folder(tmp_path: Path) -> None:
    """Offsets go on rising, so the order of the files stays that of the readings."""
    writer = open_writer(tmp_path)
    given = fill(writer, 10)
    old = writer.epoch
    new = writer.renew_epoch()
    assert new != old
    given += fill(writer, 10, first=500, at_us=10 * S)
    assert found_in(Reader(tmp_path).scan()) == (rows(given), [])
    assert Reader(tmp_path).view().epoch == new
    writer.abandon()


def test_more_channels_than_a_file_can_number_begin_new_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stood under the old ones is put away first."""
    monkeypatch.setattr("sensord.log.journal.numbering.MAX_NUMBER", 30)
    writer = open_writer(tmp_path)
    given: list[Record] = []
    for i in range(8):
        of = [Channel(n, f"t/{i}/{n}", Metadata()) for n in range(20)]
        given += walk_readings(40, first=len(given), start_us=START_US + i * S, of=of)
        writer.commit(given[-40:], START_US + i * S, i * S)
    assert found_in(Reader(tmp_path).scan()) == (rows(given), [])
    crowd = [Channel(n, f"crowd/{n}", Metadata()) for n in range(40)]
    late = walk_readings(400, first=len(given), start_us=START_US + 9 * S, of=crowd)
    writer.commit(late, START_US + 10 * S, 10 * S)
    assert writer.statistics().dropped == 400
    writer.abandon()


def test_large_values_are_kept(tmp_path: Path) -> None:
    """Larger than a frame, a chunk or the ring."""
    writer = open_writer(tmp_path)
    given = []
    for i, size in enumerate([10, 50_000, 10, 500_000, 10, 3_000_000, 10]):
        (record,) = mixed_readings(1, first=i, start_us=START_US + i * S)
        value = {"text": "".join(chr(33 + (i * 7 + k * k) % 90) for k in range(size))}
        given.append(record._replace(reading=record.reading._replace(value=value)))  # type: ignore[arg-type]
        writer.commit(given[-1:], START_US + i * S, i * S)
    assert found_in(Reader(tmp_path).scan()) == (list(map(row, given)), [])
    writer.abandon()
    again = Writer(Options(folder=str(tmp_path)), shape=small_shape())
    again.open(START_US, 0)
    assert found_in(Reader(again).scan(0, 7)) == (list(map(row, given)), [])
    again.abandon()
