"""Opening in threads, endings, and the wording of network errors."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading

import pytest

from sensord.errors import DeviceError
from sensord.readers.blocking import Ending, in_thread, network_error
from tests.kit.loops import on_each_loop


@on_each_loop
async def test_the_result_of_the_thread_is_returned() -> None:
    """What the call returns comes back, and it ran in a thread of that name."""
    assert await in_thread("open:x", lambda: threading.current_thread().name) == "open:x"


@on_each_loop
async def test_what_the_thread_raises_is_raised() -> None:
    """An error travels to the caller."""

    def fail() -> None:
        raise DeviceError("no such port")

    with pytest.raises(DeviceError, match="no such port"):
        await in_thread("open:x", fail)


@on_each_loop
async def test_what_was_opened_too_late_is_discarded() -> None:
    """A caller that is cancelled meanwhile leaks nothing."""
    started, go_on, discarded = threading.Event(), threading.Event(), threading.Event()

    def open_slowly() -> str:
        started.set()
        assert go_on.wait(60)
        return "opened"

    def discard(result: str) -> None:
        assert result == "opened"
        discarded.set()

    task = asyncio.ensure_future(in_thread("open:x", open_slowly, discard))
    await asyncio.to_thread(started.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    assert await asyncio.to_thread(discarded.wait, 60)


@on_each_loop
async def test_what_was_opened_in_the_turn_of_the_cancellation_is_discarded() -> None:
    """Cancelled after the delivery and before its turn, the caller leaks nothing either."""
    discarded = threading.Event()
    task = asyncio.ensure_future(in_thread("open:x", lambda: "opened", lambda _: discarded.set()))
    loop = asyncio.get_running_loop()
    # Callbacks run in their order: this step always comes between the delivery and the task's.
    while not (waiting := getattr(task, "_fut_waiter", None)) or not waiting.done():
        assert not task.done()
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await loop.run_in_executor(None, discarded.wait, 60)


def test_what_was_opened_after_the_loop_is_discarded() -> None:
    """A thread that outlives the loop closes what it opened."""
    started, go_on, discarded = threading.Event(), threading.Event(), threading.Event()

    def open_slowly() -> str:
        started.set()
        assert go_on.wait(60)
        return "opened"

    async def main() -> None:
        task = asyncio.ensure_future(in_thread("x", open_slowly, lambda _: discarded.set()))
        await asyncio.to_thread(started.wait, 60)
        task.cancel()

    asyncio.run(main())
    go_on.set()
    assert discarded.wait(60)


@on_each_loop
async def test_the_first_fault_ends_a_run() -> None:
    """What follows from a fault does not hide it."""
    ending = Ending()
    ending.fail(DeviceError("unplugged"))
    ending.fail(DeviceError("silent"))
    assert ending.is_reached()
    with pytest.raises(DeviceError, match="unplugged"):
        await ending.reached()


@on_each_loop
async def test_a_wait_ends_with_what_it_waits_for() -> None:
    """The answer is whether it came in time."""
    ending = Ending()
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    assert not await ending.wait(until=answer, timeout_s=0.001)
    answer.set_result(None)
    assert await ending.wait(until=answer, timeout_s=60)


@on_each_loop
async def test_a_wait_ends_with_the_run() -> None:
    """A fault is raised where something else is awaited."""
    ending = Ending()
    asyncio.get_running_loop().call_soon(ending.fail, DeviceError("unplugged"))
    with pytest.raises(DeviceError, match="unplugged"):
        await ending.wait(timeout_s=60)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(111, "refused"), "connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "host not found"),
        (TimeoutError("timed out"), "connection timed out"),
        (OSError(113, "No route to host"), "host unreachable"),
        (ConnectionResetError(104, "reset"), "connection lost"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "TLS failed"),
        (OSError(99, "Cannot assign requested address"), "connection failed"),
    ],
)
def test_network_errors_have_constant_reasons(error: OSError, reason: str) -> None:
    """The place stands in the detail, so that the reason can be counted."""
    translated = network_error(error, "broker:1883")
    assert translated.reason == reason
    assert "broker:1883" in translated.detail
