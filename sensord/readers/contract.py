"""The contract that every reader keeps, as checks that any test runner can call.

A *bench* plays the device's side: it makes the device appear and vanish, has it send the n-th
message, and garbage. `checks` lists the promises; each is a coroutine function that takes a
bench and raises `BrokenContractError` with what was broken. A third party's package tests its
reader with the same few lines as ours; see `docs/readers.md`.

Nothing here sleeps to let something happen: each wait ends with an event or with a deadline.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Protocol

from sensord.decode.base import Sample
from sensord.device.reader import DEVICE, Link, Reader, Route
from sensord.errors import DeviceError
from sensord.model.readings import Metadata, Value

__all__ = ["Bench", "BrokenContractError", "RecordedLink", "checks"]

DEADLINE_S = 30.0
"""Longer than any step needs on a busy machine."""

CANCELLED_AT_MOST = 64
"""Turns of the loop after which a run is cancelled, one run each: enough to connect in."""

MESSAGES = 20


class BrokenContractError(Exception):
    """A reader does not do what every reader does."""


class RecordedLink(Link):
    """A link that counts what it is handed, and can be waited on."""

    def __init__(self) -> None:
        self.opened_times = 0
        self.handed_on = 0
        """Bytes of a stream, messages, and samples."""
        self.stream = bytearray()
        self.payloads: list[bytes] = []
        self.samples_count = 0
        self.faults: list[str] = []
        self.place: Value = None
        self.is_early = False
        """Whether something was handed on before `opened`."""
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[RecordedLink], object], what: str) -> None:
        """Wait until ``condition`` holds.

        Raises:
            BrokenContractError: It did not within the deadline.
        """
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not condition(self):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise BrokenContractError(f"{what}: not within {DEADLINE_S:g} s") from None

    def opened(self, detail: str) -> None:
        """Count it."""
        if not detail:
            raise BrokenContractError("opened: the detail says how the device was reached")
        self.opened_times += 1
        self._changed.set()

    def data(self, data: bytes) -> None:
        """Keep the bytes."""
        self.stream += data
        self._came(len(data))

    def message(self, route: Route, payload: bytes) -> None:
        """Keep the message."""
        del route
        self.payloads.append(payload)
        self._came(1)

    def samples(self, samples: Iterable[Sample], route: Route = DEVICE) -> None:
        """Count the samples."""
        del route
        count = sum(1 for _ in samples)
        self.samples_count += count
        self._came(count)

    def availability(self, name: str, *, is_there: bool) -> None:
        """Accept it: no reader must have any."""

    def describe(self, field: str, metadata: Metadata, *, device: str = "") -> None:
        """Accept it: no reader must have any."""

    def received(self, data: bytes, source: str = "") -> None:
        """Do nothing: it is for lenses."""

    def sent(self, data: bytes, source: str = "") -> None:
        """Do nothing: it is for lenses."""

    def when_kept(self, act: Callable[[], None]) -> None:
        """Call ``act`` at once: nothing is kept here."""
        act()

    def position(self) -> Value:
        """Return the last position."""
        return self.place

    def reached(self, position: Value) -> None:
        """Keep the position."""
        self.place = position

    def fault(self, reason: str, detail: str, *, device: str = "") -> None:
        """Keep the reason."""
        del detail, device
        self.faults.append(reason)
        self._changed.set()

    def _came(self, count: int) -> None:
        self.is_early = self.is_early or not self.opened_times
        self.handed_on += count
        self._changed.set()


class Bench(Protocol):
    """The device's side of one reader.

    ``vanishes`` says whether the device can be away and go away: that of a reader that makes up its
    own signals cannot. What blocks does so in a thread.
    """

    vanishes: bool

    def reader(self) -> Reader:
        """Return a new reader of this device."""
        ...

    async def appear(self) -> None:
        """Make the device available."""
        ...

    async def vanish(self) -> None:
        """Make it unavailable, in the middle of whatever it does."""
        ...

    async def speak(self, number: int) -> None:
        """Send a message that the reader passes on."""
        ...

    async def garbage(self) -> None:
        """Send what no device should."""
        ...

    def has(self, link: RecordedLink, count: int) -> bool:
        """Return whether the link has been handed the first ``count`` messages, each once."""
        ...


Check = Callable[[Bench], Awaitable[None]]


async def starts_without_its_device(bench: Bench) -> None:
    """A device that is missing is a DeviceError, and nothing is open."""
    if not bench.vanishes:
        return
    link = RecordedLink()
    await _fails(bench.reader(), link)
    if link.opened_times or link.handed_on:
        raise BrokenContractError("a missing device was opened")


async def hands_on_what_is_said(bench: Bench) -> None:
    """It is opened once, before anything is passed on; each message comes once, in order."""
    await bench.appear()
    link = RecordedLink()
    async with _Run(bench.reader(), link):
        await link.until(lambda link: link.opened_times, "opened")
        for number in range(MESSAGES):
            await bench.speak(number)
        await link.until(lambda link: bench.has(link, MESSAGES), f"{MESSAGES} messages")
    if link.opened_times != 1 or link.is_early:
        raise BrokenContractError("opened is called once a run, before anything is handed on")


async def reports_a_loss_and_returns(bench: Bench) -> None:
    """A device that vanishes ends the run with a DeviceError; the next run reads it again."""
    if not bench.vanishes:
        return
    await bench.appear()
    link = RecordedLink()
    reader = bench.reader()
    run = asyncio.ensure_future(reader.run(link))
    try:
        await link.until(lambda link: link.opened_times, "opened")
        await bench.speak(0)
        await link.until(lambda link: bench.has(link, 1), "the first message")
        await bench.vanish()
        await _ends_with_device_error(run)
    finally:
        await _cancelled(run)
    await bench.appear()
    again = RecordedLink()
    async with _Run(reader, again):
        await again.until(lambda link: link.opened_times, "opened again")
        await bench.speak(0)
        await again.until(lambda link: bench.has(link, 1), "a message after the return")


async def survives_garbage(bench: Bench) -> None:
    """Garbage ends nothing: the messages after it come."""
    await bench.appear()
    link = RecordedLink()
    async with _Run(bench.reader(), link) as run:
        await link.until(lambda link: link.opened_times, "opened")
        await bench.garbage()
        await bench.speak(0)
        await link.until(lambda link: link.handed_on, "something after the garbage")
        if run.done():
            raise BrokenContractError("garbage ended the run")


async def can_be_cancelled_anywhere(bench: Bench) -> None:
    """Cancelled at any await it ends as cancelled, and leaves no descriptor and no thread."""
    await bench.appear()
    await _cancelled_after(bench, CANCELLED_AT_MOST)  # what is loaded once is loaded now
    before = _held()
    for turns in range(CANCELLED_AT_MOST):
        await _cancelled_after(bench, turns)
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while left := _held() - before:  # a thread that opens closes what it opened, then ends
        if asyncio.get_running_loop().time() > deadline:
            raise BrokenContractError(f"left behind: {', '.join(sorted(left))}")
        await asyncio.sleep(0.01)


async def _cancelled_after(bench: Bench, turns: int) -> None:
    run = asyncio.ensure_future(bench.reader().run(RecordedLink()))
    for _ in range(turns):
        await asyncio.sleep(0)
    if run.done():
        await _ends_with_device_error(run)
        return
    run.cancel()
    await asyncio.wait((run,), timeout=DEADLINE_S)
    if not run.done():
        raise BrokenContractError(f"cancelled after {turns} turns, the run goes on")
    if not run.cancelled() and run.exception() is None:
        raise BrokenContractError(f"cancelled after {turns} turns, the run returned")


checks: tuple[Check, ...] = (
    starts_without_its_device,
    hands_on_what_is_said,
    reports_a_loss_and_returns,
    survives_garbage,
    can_be_cancelled_anywhere,
)
"""Every promise, in the order in which a new reader had best keep them."""


class _Run:
    """A run for as long as the block, which must not end before it."""

    def __init__(self, reader: Reader, link: RecordedLink) -> None:
        self._reader = reader
        self._link = link

    async def __aenter__(self) -> asyncio.Future[None]:
        self._run = asyncio.ensure_future(self._reader.run(self._link))
        return self._run

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._run.done() and kind is None:
            self._run.result()
        await _cancelled(self._run)


async def _cancelled(run: asyncio.Future[None]) -> None:
    run.cancel()
    await asyncio.wait((run,))


async def _fails(reader: Reader, link: RecordedLink) -> None:
    run = asyncio.ensure_future(reader.run(link))
    try:
        await _ends_with_device_error(run)
    finally:
        await _cancelled(run)


async def _ends_with_device_error(run: asyncio.Future[None]) -> None:
    await asyncio.wait((run,), timeout=DEADLINE_S)
    if not run.done():
        raise BrokenContractError(f"the run did not end within {DEADLINE_S:g} s")
    error = run.exception()
    if error is not None and not isinstance(error, DeviceError):
        raise BrokenContractError(f"{error!r} is no DeviceError") from error


def _held() -> set[str]:
    gc.collect()
    descriptors: set[str] = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            descriptors.add(f"descriptor {entry.name} {entry.readlink()}")
        except FileNotFoundError:
            continue  # the one that lists the folder
    return descriptors | {f"thread {thread.name}" for thread in threading.enumerate()}
