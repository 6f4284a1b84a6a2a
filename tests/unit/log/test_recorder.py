"""The recorder: a log without its journal gets it as soon as that can be opened."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sensord.bus import Bus
from sensord.errors import JournalError
from sensord.log import Log
from sensord.log.journal import Options, Reader, State, Writer, first_offset
from sensord.log.memory import MANY_WAITING
from sensord.log.recorder import Recorder
from sensord.mcap.disk import Disk
from sensord.model.readings import Metadata, Position, Reading, ValueType
from tests.kit.journal import found_in
from tests.kit.loops import on_each_loop
from tests.unit.manual import START_US, ManualClock

FIRST = first_offset(START_US)


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """Try again at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sensord.log.recorder.RETRY_S", 0.001)
        patch.setattr("sensord.log.recorder.OPEN_S", 0.5)
        yield


class Station:
    """A log that begins without its journal: a file stands where the folder should be."""

    def __init__(self, folder: Path, clock: ManualClock | None = None) -> None:
        self.folder = folder / "journal"
        self.clock = clock or ManualClock()
        self.recorder = Recorder(Options(folder=str(self.folder)), self.clock)
        self.log = Log("000000000000aaaa", 4096, first_offset(self.clock.wall_us()))
        self.bus = Bus(self.log, self.clock)
        self.channel = self.bus.channel("plant/a", Metadata())
        self.states: list[tuple[State, str]] = []
        self._told = asyncio.Event()

    def block(self) -> None:
        self.folder.write_text("not a folder")

    def earlier(self) -> str:
        """Let there be a journal of 100 readings."""
        writer = Writer(Options(folder=str(self.folder)))
        writer.open(self.clock.wall_us(), 0)
        log_ = Log(writer.epoch, 4096)
        bus = Bus(log_, self.clock)
        channel = bus.channel("plant/a", Metadata())
        records = [bus.publish(channel, Reading(0, i)) for i in range(100)]
        writer.commit(records, self.clock.wall_us(), 0)
        writer.close(self.clock.wall_us(), 1)
        return writer.epoch

    def publish(self, count: int) -> None:
        for _ in range(count):
            self.bus.publish(self.channel, Reading(self.clock.wall_us(), self.log.tail))

    def tell(self) -> None:
        statistics = self.recorder.statistics()
        self.states.append((statistics.state, statistics.reason))
        self._told.set()

    async def fail_to_open(self) -> None:
        with pytest.raises(JournalError):
            await self.recorder.open()
        assert not self.recorder.is_open

    async def join(self) -> Any:
        """Begin to join, and wait until that failed for the second time."""
        joining = asyncio.ensure_future(self.recorder.join(self.log, self.tell))
        await self.until_told(3)
        assert not joining.done()
        return joining

    async def until_told(self, times: int) -> None:
        while len(self.states) < times:
            self._told.clear()
            await self._told.wait()


@on_each_loop
async def test_what_memory_holds_is_recorded_when_the_journal_opens(tmp_path: Path) -> None:
    """Until then the state is failed, with the reason; position and epoch stay."""
    station = Station(tmp_path)
    before = station.earlier()
    hidden = station.folder.rename(tmp_path / "hidden")
    station.block()
    await station.fail_to_open()
    station.publish(10)
    joining = await station.join()
    station.publish(10)
    assert {state for state, _ in station.states} == {State.FAILED}
    assert "File exists" in station.states[-1][1] or "Not a directory" in station.states[-1][1]
    station.folder.unlink()
    hidden.rename(station.folder)
    recovery = await joining
    assert station.recorder.is_open
    assert recovery.epochs == (before, "000000000000aaaa")
    assert station.log.epochs == {before, "000000000000aaaa"}
    assert station.log.position == Position("000000000000aaaa", FIRST + 20)
    station.publish(5)
    await station.recorder.close(station.log)
    found, holes = found_in(Reader(station.folder).scan(0))
    assert [each.offset for each in found] == [*range(100), *range(FIRST, FIRST + 25)]
    assert [(hole.first, hole.end) for hole in holes] == [(100, FIRST)]


@on_each_loop
async def test_what_left_the_memory_before_is_named(tmp_path: Path) -> None:
    """The journal begins with the oldest reading that there still is."""
    station = Station(tmp_path)
    station.block()
    await station.fail_to_open()
    joining = await station.join()
    station.publish(10_000)
    held = station.log.first
    assert held > FIRST
    station.folder.unlink()
    await joining
    await station.recorder.close(station.log)
    found, holes = found_in(Reader(station.folder).scan(FIRST))
    assert [each.offset for each in found] == list(range(held, FIRST + 10_000))
    assert [(hole.first, hole.end) for hole in holes] == [(FIRST, held)]
    assert holes[0].reason.startswith("dropped: cannot open the journal")
    assert station.recorder.statistics().dropped == held - FIRST


@on_each_loop
async def test_a_journal_that_is_ahead_makes_the_log_begin_anew(tmp_path: Path) -> None:
    """The clock was in 1970: the log goes on in the journal's epoch, and no offset comes twice."""
    station = Station(tmp_path, clock=ManualClock(wall_us=5_000_000))
    before = station.earlier()
    hidden = station.folder.rename(tmp_path / "hidden")
    station.block()
    await station.fail_to_open()
    joining = await station.join()
    station.publish(150)
    station.folder.unlink()
    hidden.rename(station.folder)
    await joining
    assert station.log.epochs == {before}
    assert (station.log.first, station.log.tail) == (150, 150)
    station.publish(5)
    await station.recorder.close(station.log)
    found, holes = found_in(Reader(station.folder).scan(0))
    assert [each.offset for each in found] == [*range(100), *range(150, 155)]
    assert [(hole.first, hole.end) for hole in holes] == [(100, 150)]


@on_each_loop
async def test_a_disk_that_hangs_does_not_keep_the_daemon_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it answers at last, the journal takes the log over."""
    answers = threading.Event()
    look = Writer._look  # what hangs is the system call in it

    def hang(writer: Writer) -> Any:
        answers.wait()
        return look(writer)

    monkeypatch.setattr(Writer, "_look", hang)
    station = Station(tmp_path)
    await station.fail_to_open()
    joining = asyncio.ensure_future(station.recorder.join(station.log, station.tell))
    station.publish(10)
    await station.until_told(1)
    assert station.states[0] == (State.FAILED, "the disk does not answer")
    answers.set()
    recovery = await joining
    assert recovery.epoch == station.log.epoch
    await station.recorder.close(station.log)
    found, _ = found_in(Reader(station.folder).scan(FIRST))
    assert [each.offset for each in found] == list(range(FIRST, FIRST + 10))


@on_each_loop
async def test_a_recorder_that_never_opened_closes(tmp_path: Path) -> None:
    """And leaves what stands there as it is."""
    station = Station(tmp_path)
    station.block()
    await station.fail_to_open()
    await station.recorder.close(station.log)
    assert station.folder.read_text() == "not a folder"


@on_each_loop
async def test_a_log_beyond_its_reservation_goes_on_under_another_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever must know is told: after a crash these offsets might be given again."""
    monkeypatch.setattr("sensord.log.recorder.MAX_GATHERED", 1 << 25)
    station = Station(tmp_path)
    station.recorder = Recorder(
        Options(folder=str(station.folder), commit_interval=0.001), station.clock
    )
    recovery = await station.recorder.open()
    station.log = Log(recovery.epoch, 4096, recovery.next_offset, recovery.epochs)
    station.publish(3)
    renewed = asyncio.Event()
    running = asyncio.ensure_future(station.recorder.run(station.log, lambda: None, renewed.set))
    await renewed.wait()
    running.cancel()
    await asyncio.wait({running})
    assert station.log.epoch != recovery.epoch
    assert recovery.epoch in station.log.epochs
    await station.recorder.close(station.log)
    again = Writer(Options(folder=str(station.folder)))
    assert set(again.open(START_US, 0).epochs) >= station.log.epochs
    again.abandon()


@pytest.mark.parametrize("is_heavy", [True, False])
@on_each_loop
async def test_what_a_slow_disk_holds_up_is_bounded_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_heavy: bool
) -> None:
    """In readings and in bytes; what the ring has dropped then is a hole in the journal."""
    monkeypatch.setattr("sensord.log.recorder.MAX_GATHERED", 5_000)
    monkeypatch.setattr("sensord.log.recorder.MAX_GATHERED_BYTES", 1_000_000)
    station = Station(tmp_path)
    options = Options(folder=str(station.folder), commit_interval=0.001)
    recorder = station.recorder = Recorder(options, station.clock)
    recovery = await recorder.open()
    log = station.log = Log(recovery.epoch, 1024, recovery.next_offset, recovery.epochs)
    bus = Bus(log, station.clock)
    channel = bus.channel("plant/text", Metadata(ValueType.STRING if is_heavy else ValueType.FLOAT))
    begun, may_go_on = threading.Event(), threading.Event()
    commit = recorder.writer.commit

    def slow(*arguments: Any) -> Any:
        begun.set()
        may_go_on.wait()
        return commit(*arguments)

    monkeypatch.setattr(recorder.writer, "commit", slow)
    running = asyncio.ensure_future(recorder.run(log, lambda: None, lambda: None))
    await asyncio.to_thread(begun.wait)
    count = 400 if is_heavy else 20_000
    for number in range(count):
        bus.publish(channel, Reading(0, f"{number:010000}" if is_heavy else float(number)))
    gathered = recorder._gathered
    assert len(gathered) <= (200 if is_heavy else 5_000 + 1024)
    may_go_on.set()
    running.cancel()
    await asyncio.wait({running})
    await recorder.close(log)
    kept, holes = found_in(Reader(station.folder).scan(recovery.next_offset))
    offsets = [row.offset for row in kept]
    missing = [offset for hole in holes for offset in range(hole.first, hole.end)]
    assert sorted(offsets + missing) == list(range(recovery.next_offset, log.tail))
    assert len(offsets) >= 1024 if not is_heavy else offsets
    assert missing


@on_each_loop
async def test_who_waits_is_called_when_the_commit_is_on_the_disk(tmp_path: Path) -> None:
    """And many who wait do not wait for the interval."""
    station = Station(tmp_path)
    station.recorder.options = replace(station.recorder.options, commit_interval=1000.0)
    await station.recorder.open()
    nothing = lambda: None  # noqa: E731  # nobody is told
    running = asyncio.ensure_future(station.recorder.run(station.log, nothing, nothing))
    await asyncio.sleep(0)  # it begins
    kept: list[int] = []
    done = asyncio.Event()
    for i in range(MANY_WAITING):
        station.publish(1)
        station.log.when_kept(lambda i=i: kept.append(i))  # type: ignore[misc]  # bound now
    station.log.when_kept(done.set)
    assert not kept
    await done.wait()
    assert kept == list(range(MANY_WAITING))
    assert station.recorder.statistics().committed_offset >= station.log.tail
    running.cancel()
    await asyncio.wait({running})
    station.log.when_kept(lambda: kept.append(-1))
    assert kept[-1] == -1, "nothing keeps it any more"
    await station.recorder.close(station.log)


@on_each_loop
async def test_a_disk_that_hangs_keeps_nobody_waiting_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live readings do not depend on it."""
    monkeypatch.setattr("sensord.log.recorder.HANG_S", -1.0)
    station = Station(tmp_path)
    station.recorder.options = replace(station.recorder.options, commit_interval=0.01)
    await station.recorder.open()
    hanging = threading.Event()
    commit = station.recorder.writer.commit

    def hang(*arguments: Any) -> Any:
        hanging.wait()
        return commit(*arguments)

    monkeypatch.setattr(station.recorder.writer, "commit", hang)
    nothing = lambda: None  # noqa: E731  # nobody is told
    running = asyncio.ensure_future(station.recorder.run(station.log, nothing, nothing))
    await asyncio.sleep(0)  # it begins
    for _ in range(2):
        done = asyncio.Event()
        station.log.when_kept(done.set)
        await done.wait()
    hanging.set()
    running.cancel()
    await asyncio.wait({running})
    await station.recorder.close(station.log)


async def failed(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the journal be open, and the disk fail then."""
    options = Options(folder=str(station.folder), commit_interval=0.001)
    station.recorder = Recorder(options, station.clock)
    recovery = await station.recorder.open()
    station.log = Log(recovery.epoch, 4096, recovery.next_offset, recovery.epochs)
    station.bus = Bus(station.log, station.clock)
    station.channel = station.bus.channel("plant/a", Metadata())

    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(Disk, "write", fail)
    station.publish(10)
    running = asyncio.ensure_future(station.recorder.run(station.log, station.tell, lambda: None))
    while station.recorder.statistics().state is not State.FAILED:
        await station.until_told(len(station.states) + 1)
    running.cancel()
    await asyncio.wait({running})
    station.publish(10)


@on_each_loop
async def test_a_stop_tries_again_what_a_failed_disk_left_uncommitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However short ago it failed: there is no later."""
    station = Station(tmp_path)
    with monkeypatch.context() as patch:
        await failed(station, patch)
    await station.recorder.close(station.log)
    found, holes = found_in(Reader(station.folder).scan(0))
    assert len(found) == 20
    assert not holes


@on_each_loop
async def test_a_stop_that_cannot_commit_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon ends with an error, and the gap claims no bound that does not hold."""
    station = Station(tmp_path)
    with monkeypatch.context() as patch:
        await failed(station, patch)
        with pytest.raises(JournalError, match="too many open files"):
            await station.recorder.close(station.log)
    again = Writer(Options(folder=str(station.folder)))
    again.open(station.clock.wall_us(), 0)
    (hole,) = again.view.holes
    assert "all since the disk failed" in hole.reason
    again.abandon()


@on_each_loop
async def test_a_stop_opens_a_journal_that_could_not_be_opened_before(tmp_path: Path) -> None:
    """What the memory holds is in it then."""
    station = Station(tmp_path)
    station.block()
    await station.fail_to_open()
    station.publish(10)
    joining = await station.join()
    joining.cancel()
    await asyncio.wait({joining})
    station.folder.unlink()
    await station.recorder.close(station.log)
    found, _ = found_in(Reader(station.folder).scan(0))
    assert [each.offset for each in found] == list(range(FIRST, FIRST + 10))
