"""A span of time selects what was logged in it, also where the clock was set."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensord.log.journal import Batch, Reader, Writer
from sensord.log.journal.timeline import ClockRecord, Timeline, Trust
from sensord.log.journal.window import Bound, Window, correct_records
from sensord.model.readings import Channel, Level, Metadata, Quality, Reading, Record
from tests.kit.journal import open_writer, small_shape

S = 10**6
NOW = 1_800_000_000 * S
IN_2024 = 1_717_200_000 * S
CHANNEL = Channel(0, "t", Metadata())
CLOCK = Quality(Level.UNCERTAIN, "clock")
CORRECTED = Quality(Level.UNCERTAIN, "clock_corrected")


class Board:
    """A boot whose clock is wrong by so much at first, with a reading a second."""

    def __init__(self, ahead_us: int, set_after: int, count: int) -> None:
        self.records: list[Record] = []
        self.real: list[Record] = []
        first, boot = [NOW + ahead_us, NOW], "boot"
        for i in range(count):
            at_us = NOW + i * S
            is_set = i >= set_after
            said_us = at_us if is_set else at_us + ahead_us
            value, quality = float(i), Quality(Level.GOOD) if is_set else CLOCK
            self.records.append(Record(i, said_us, CHANNEL, Reading(said_us, value, quality)))
            shown = Quality(Level.GOOD) if is_set else CORRECTED
            self.real.append(Record(i, at_us, CHANNEL, Reading(at_us, value, shown)))
        set_us = NOW + set_after * S
        self.clocks = [
            ClockRecord(0, boot, 0, first[0], Trust.UNSET),
            ClockRecord(set_after, boot, set_after * S, set_us, Trust.SET),
        ]

    def write(self, writer: Writer, at_a_time: int) -> None:
        set_after = self.clocks[1].first
        for i in range(0, len(self.records), at_a_time):
            part = self.records[i : i + at_a_time]
            clocks = [one for one in self.clocks if i <= one.first < i + at_a_time]
            wall_us = part[-1].log_us
            writer.commit(part, wall_us, part[-1].offset * S, clocks)
        assert set_after < len(self.records)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    st.sampled_from([IN_2024 - NOW, -3600 * S, 3600 * S]),
    st.integers(1, 99),
    st.sampled_from([1, 7, 50]),
    st.integers(0, 100),
    st.integers(0, 100),
    st.booleans(),
)
def test_a_span_selects_what_was_logged_in_it_whatever_the_clock_said(
    tmp_path_factory: object,
    ahead_us: int,
    set_after: int,
    at_a_time: int,
    since: int,
    until: int,
    is_ago: bool,  # drawn
) -> None:
    """By times put right, or by time that passed; from the disk as from memory."""
    folder: Path = tmp_path_factory.mktemp("journal")  # type: ignore[attr-defined]  # pytest's
    board = Board(ahead_us, set_after, 100)
    writer = open_writer(folder, small_shape(chunk_bytes=1 << 10))
    try:
        board.write(writer, at_a_time)
        timeline = writer.view.timeline
        shifts = timeline.present if is_ago else timeline.corrections
        window = Window(Bound(NOW + since * S, shifts), Bound(NOW + until * S, shifts))
        found = found_in(Reader(writer), window, timeline)
        kept = found_in(Reader(writer, kept=4), window, timeline)
    finally:
        writer.abandon()
    expected = [one for one in board.real if since <= one.offset < until]
    assert plain(found) == plain(expected)
    assert plain(kept) == plain(expected)
    chosen = [one for one in board.records if window.holds(one.offset, one.log_us)]
    assert correct_records(chosen, Timeline.of(board.clocks).corrections) == expected


def found_in(reader: Reader, window: Window, timeline: Timeline) -> list[Record]:
    scan = reader.scan(window=window, corrections=timeline.corrections)
    return [record for item in scan if isinstance(item, Batch) for record in item.records()]


def plain(records: list[Record]) -> list[tuple[int, int, Reading]]:
    return [(one.offset, one.log_us, one.reading) for one in records]


def test_times_that_a_device_gave_are_not_put_right() -> None:
    """They were not of the clock that was wrong."""
    board = Board(IN_2024 - NOW, 10, 20)
    own = board.records[3]._replace(reading=Reading(NOW + 5, 1.0))
    corrections = Timeline.of(board.clocks).corrections
    (found,) = correct_records([own], corrections)
    assert found.log_us == NOW + 3 * S
    assert found.reading == own.reading


def test_a_heartbeat_after_the_clock_was_set_has_the_right_source_time() -> None:
    """It says again what was taken before."""
    board = Board(IN_2024 - NOW, 10, 20)
    old = board.records[3].reading._replace(restates=True)
    beat = board.records[15]._replace(reading=old)
    (found,) = correct_records([beat], Timeline.of(board.clocks).corrections)
    assert found.log_us == beat.log_us
    assert found.reading == Reading(NOW + 3 * S, 3.0, CORRECTED, restates=True)
