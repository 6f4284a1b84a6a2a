"""The player: everything once, in order, at its time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from sensord.log.journal import Hole
from sensord.model.clocks import Clock, SystemClock
from sensord.model.readings import Record
from sensord.playback import MAX, Options, Player, State
from sensord.recordings import RecordingError, Selection, in_order, open_recording
from tests.kit.journal import START_US, Row, channels, open_writer, rows, small_shape, walk_readings
from tests.kit.loops import on_each_loop
from tests.unit.manual import ManualClock

COUNT = 3000


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a journal of three seconds in several segments."""
    folder = tmp_path_factory.mktemp("journal")
    writer = open_writer(folder, small_shape(segment_bytes=20 * 1024))
    records = walk_readings(COUNT, of=channels(5))
    for i in range(0, COUNT, 100):
        writer.commit(records[i : i + 100], START_US, i)
    writer.close(START_US, COUNT)
    return folder


class Heard:
    """Takes what a player hands on, and can stop it."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.log_us: list[int] = []
        self.holes: list[Hole] = []
        self.enough = asyncio.Event()
        self.wanted = 1 << 60

    def take(self, records: Sequence[Record], shift_us: int) -> None:
        self.rows += rows(records)
        self.log_us += [record.log_us + shift_us for record in records]
        if len(self.rows) >= self.wanted:
            self.enough.set()

    def player(self, *paths: Path, options: Options, clock: Clock | None = None) -> Player:
        recordings = in_order([open_recording(path) for path in paths])
        return Player(
            recordings, options, clock or SystemClock(), self.take, on_hole=self.holes.append
        )


def all_rows(journal: Path, selection: Selection = Selection()) -> list[Row]:  # noqa: B008  # frozen
    batches = open_recording(journal).scan(selection)
    return [
        row for batch in batches if not isinstance(batch, Hole) for row in rows(batch.records())
    ]


def segments_of(journal: Path) -> list[Path]:
    segments = sorted(journal.glob("*.mcap"))
    assert len(segments) > 2
    return segments


@on_each_loop
async def test_every_reading_is_handed_on_once_in_order(journal: Path) -> None:
    """At full speed."""
    heard = Heard()
    player = heard.player(journal, options=Options(speed=MAX))
    await player.run()
    assert heard.rows == all_rows(journal)
    progress = player.progress()
    assert (progress.state, progress.readings, progress.round) == (State.ENDED, COUNT, 1)
    assert (progress.offset, progress.log_us) == (COUNT - 1, heard.rows[-1].log_us)
    assert player.clock.wall_us() == heard.rows[-1].log_us


@on_each_loop
async def test_it_takes_as_long_as_the_recording_divided_by_the_speed(journal: Path) -> None:
    """No reading comes before its time."""
    heard, speed = Heard(), 20.0
    arrived: list[tuple[float, int]] = []
    loop = asyncio.get_running_loop()

    def take(records: Sequence[Record], shift_us: int) -> None:
        heard.take(records, shift_us)
        arrived.append((loop.time(), records[-1].log_us))

    options = Options(speed=speed)
    recordings = in_order([open_recording(journal)])
    await Player(recordings, options, SystemClock(), take).run()
    assert heard.rows == all_rows(journal)
    (began, first_us) = arrived[0]
    # A reading may wait for its turn, but it never comes early by more than the timer's grain.
    for at, log_us in arrived:
        assert at - began >= (log_us - first_us) / 1e6 / speed - 0.005


@on_each_loop
async def test_a_loop_moves_the_times_on_and_on(journal: Path) -> None:
    """A second after the last one the first comes again, later by the length of the recording."""
    heard = Heard()
    heard.wanted = 3 * COUNT
    player = heard.player(journal, options=Options(speed=MAX, is_looping=True))
    playing = asyncio.ensure_future(player.run())
    await heard.enough.wait()
    playing.cancel()
    await asyncio.wait((playing,))
    expected = all_rows(journal)
    for begin in (0, COUNT, 2 * COUNT):
        assert heard.rows[begin : begin + COUNT] == expected
    assert heard.log_us == sorted(heard.log_us)
    assert heard.log_us[COUNT] - heard.log_us[COUNT - 1] == 1_000_000
    assert player.progress().round >= 2


@on_each_loop
async def test_shifted_times_begin_now_and_keep_their_distances(journal: Path) -> None:
    """Now is what the clock says when the first reading is handed on."""
    heard, clock = Heard(), ManualClock(wall_us=2_000_000_000_000_000)
    options = Options(speed=MAX, is_shifted=True)
    await heard.player(journal, options=options, clock=clock).run()
    recorded = [row.log_us for row in heard.rows]
    assert heard.log_us[0] == clock.wall_us()
    assert [us - heard.log_us[0] for us in heard.log_us] == [us - recorded[0] for us in recorded]


@on_each_loop
async def test_a_selection_is_played_alone(journal: Path) -> None:
    """Topics, offsets and times."""
    heard = Heard()
    selection = Selection(["plant/area0/device0/value1"], start=1000, until_us=START_US + 2_500_000)
    await heard.player(journal, options=Options(speed=MAX, selection=selection)).run()
    assert heard.rows == all_rows(journal, selection)
    assert 0 < len(heard.rows) < COUNT / 5


@on_each_loop
async def test_what_is_missing_is_named_once(journal: Path) -> None:
    """And the rest is played; a second round does not name it again."""
    segments = segments_of(journal)
    heard = Heard()
    heard.wanted = 2 * COUNT
    player = heard.player(*segments[:1], *segments[2:], options=Options(speed=MAX, is_looping=True))
    playing = asyncio.ensure_future(player.run())
    await heard.enough.wait()
    playing.cancel()
    await asyncio.wait((playing,))
    (hole,) = heard.holes
    offsets = {row.offset for row in heard.rows}
    assert offsets == set(range(COUNT)) - set(range(hole.first, hole.end))
    assert player.progress().lost >= 2 * hole.count


@on_each_loop
async def test_a_file_that_cannot_be_read_on_fails_with_its_name(tmp_path: Path) -> None:
    """After what was whole."""
    path = tmp_path / "readings.csv"
    path.write_text(
        "offset,log_time,time,topic,value,unit,quality,reason,restated\n"
        + "1,2026-11-22T17:00:00.000000Z,2026-11-22T17:00:00.000000Z,a,1.0,,good,,false\n" * 2
    )
    heard = Heard()
    player = heard.player(path, options=Options(speed=MAX))
    path.unlink()
    with pytest.raises(RecordingError, match=r"readings\.csv: cannot be read"):
        await player.run()
    assert player.progress().state is State.FAILED


@on_each_loop
async def test_an_empty_recording_ends_at_once_even_in_a_loop(journal: Path) -> None:
    """Instead of turning for ever."""
    heard = Heard()
    options = Options(is_looping=True, selection=Selection(["no/such/topic"]))
    await heard.player(journal, options=options).run()
    assert heard.rows == []
