"""What the supervisor does with whatever a reader raises."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from sensord.device.backoff import LOCAL, REMOTE, Backoff, Limits
from sensord.device.reader import Link
from sensord.device.supervisor import Repeats, backoff_for, supervise
from sensord.errors import DeviceError
from tests.kit.link import RecordingLink, RecordingWatch
from tests.kit.loops import on_each_loop

LIMITS = Limits(first_s=1, cap_s=30, steady_s=10)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now_us = 0
        self.slept: list[float] = []

    def wall_us(self) -> int:
        return self.now_us

    def monotonic_us(self) -> int:
        return self.now_us

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_us += round(seconds * 1e6)
        await asyncio.sleep(0)


Run = Callable[[Link], None]


class Scripted:
    """A reader that does one thing a run, and waits for ever when the script is over."""

    def __init__(self, *script: Run) -> None:
        self._script = list(script)
        self.over = asyncio.Event()

    async def run(self, link: Link) -> None:
        if not self._script:
            self.over.set()
            await asyncio.Event().wait()
        self._script.pop(0)(link)


def fails(error: Exception, *, opened: bool = False, after_us: int = 0, time: Time) -> Run:
    def run(link: Link) -> None:
        if opened:
            link.opened("at last")
        time.now_us += after_us
        raise error

    return run


async def supervised(
    reader: Scripted, time: Time, link: RecordingLink | None = None
) -> RecordingWatch:
    """Run the script to its end, then cancel."""
    watch, backoff = RecordingWatch(), Backoff(LIMITS, lambda: 1.0)
    task = asyncio.ensure_future(
        supervise(
            "boiler",
            reader,
            link or RecordingLink(),
            watch,
            backoff=backoff,
            clock=time,
            sleep=time.sleep,
        )
    )
    await reader.over.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return watch


@on_each_loop
async def test_a_failed_run_is_followed_by_another() -> None:
    """The watch is told each state, with the wait before the next attempt."""
    time = Time()
    error = DeviceError("no such port", "plug it in")
    watch = await supervised(Scripted(fails(error, time=time)), time)
    assert watch.told == [
        ("connecting",),
        ("down", "no such port", "plug it in"),
        ("connecting",),
    ]
    assert watch.retries_s == time.slept == [1.0]


@on_each_loop
async def test_the_watch_learns_that_the_device_is_up() -> None:
    """Opening is told to the link first, then to the watch."""
    time, link = Time(), RecordingLink()
    run = fails(DeviceError("unplugged"), opened=True, time=time)
    watch = await supervised(Scripted(run), time, link)
    assert watch.told[:3] == [("connecting",), ("up", "at last"), ("down", "unplugged", "")]
    assert link.details == ["at last"]


@on_each_loop
async def test_everything_handed_on_reaches_the_link() -> None:
    """The supervisor stands in nobody's way."""
    time, link = Time(), RecordingLink()

    def run(given: Link) -> None:
        given.data(b"abc")
        given.samples([])
        given.fault("no answer", "")

    await supervised(Scripted(run), time, link)
    assert link.stream == b"abc"
    assert link.batches == [[]]
    assert link.faults == [("no answer", "")]


@on_each_loop
async def test_a_run_that_returns_has_ended() -> None:
    """The end of a source is handled like a fault."""
    watch = await supervised(Scripted(lambda _link: None), Time())
    assert watch.told[1] == ("down", "source ended", "")


@on_each_loop
async def test_waits_grow_until_a_run_stays_up() -> None:
    """A steady run resets the backoff."""
    time = Time()
    gone = DeviceError("gone")
    steady = fails(gone, opened=True, after_us=10_000_000, time=time)
    script = [fails(gone, time=time)] * 3 + [steady]
    await supervised(Scripted(*script), time)
    assert time.slept == [1, 2, 4, 1]


@pytest.mark.parametrize("error", [ValueError("a fault of ours"), OSError(5, "I/O error")])
def test_an_unexpected_error_stays_with_its_device(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, logged with its traceback and the device's name, and tried again."""

    async def main() -> RecordingWatch:
        time = Time()
        return await supervised(Scripted(fails(error, time=time)), time)

    with caplog.at_level(logging.INFO):
        watch = asyncio.run(main())
    assert watch.told[1][:2] == ("down", "reader failed")
    assert watch.told[2] == ("connecting",)
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert record.__dict__["device"] == "boiler"
    (last,) = [one for one in caplog.records if one.getMessage() == "reader stopped"]
    assert (last.__dict__["runs"], last.__dict__["unexpected"]) == (2, 1)


def test_a_device_that_the_log_calls_down_is_called_up_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However soon it came back; of 25 times only those that are told at all are told twice."""

    async def main() -> None:
        time = Time()
        flap = fails(DeviceError("unplugged"), opened=True, time=time)
        await supervised(Scripted(*[flap] * 25), time, RecordingLink())

    with caplog.at_level(logging.INFO):
        asyncio.run(main())
    told = [one.getMessage() for one in caplog.records if one.name == "sensord.readers"]
    downs = [i for i, text in enumerate(told) if text == "device is down"]
    assert len(downs) == 3
    assert [told[i + 1] for i in downs[:-1]] == ["device is up"] * 2
    assert told.count("device is up") < 6


def test_a_device_error_is_logged_without_traceback_and_not_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The same fault is logged first and then every five minutes, with the count between."""

    async def main() -> Time:
        time = Time()
        runs = [fails(DeviceError("no such port"), time=time)] * 25
        await supervised(Scripted(*runs), time)
        return time

    with caplog.at_level(logging.INFO):
        time = asyncio.run(main())
    records = [one for one in caplog.records if one.getMessage() == "device is down"]
    assert sum(time.slept) > 600
    assert all(one.levelno == logging.WARNING and not one.exc_info for one in records)
    counts = [one.__dict__.get("unlogged", 0) for one in records]
    # 1 + 2 + 4 + 8 + 16 s, then 30 s each: the 14th failure comes 300 s after the first.
    assert counts == [0, 13, 9]


@on_each_loop
async def test_a_cancelled_reader_is_not_called_again() -> None:
    """Cancelling ends the run and the supervision with it."""
    ended: list[str] = []

    class Waiting:
        async def run(self, link: Link) -> None:
            link.opened("")
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("closed")

    watch = RecordingWatch()
    task = asyncio.ensure_future(supervise("boiler", Waiting(), RecordingLink(), watch))
    await watch.until(lambda watch: watch.count("up"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["closed"]
    assert watch.count("connecting") == 1


def test_a_reader_may_say_how_patient_to_be() -> None:
    """Its limits are used; one that names none is treated like a remote one."""

    class Local:
        limits = LOCAL

        async def run(self, link: Link) -> None: ...

    class Silent:
        async def run(self, link: Link) -> None: ...

    def longest(backoff: Backoff) -> float:
        return max(backoff.after(0) for _ in range(50))

    assert longest(backoff_for(Local())) <= LOCAL.cap_s
    assert LOCAL.cap_s < longest(backoff_for(Silent())) <= REMOTE.cap_s


def test_different_faults_are_logged_each() -> None:
    """The limit is per kind of fault."""
    repeats = Repeats(period_us=100)
    assert [repeats.note(kind, 0) for kind in "aba"] == [0, 0, None]
    assert [repeats.note(kind, 100) for kind in "ab"] == [1, 0]
