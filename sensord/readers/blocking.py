"""Run blocking connection attempts in threads, and explain failures in an operator's words.

Opening a serial port, resolving a name and a TLS handshake may each block for seconds. They run in
a thread of their own, named after what it opens. A thread cannot be cancelled, so one whose caller
has gone closes what it opened, whenever that comes: nothing leaks. Such a thread is a daemon
thread, for a name server that does not answer must not hold up the end of the process.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from sensord.errors import DeviceError

__all__ = ["Ending", "beside", "in_thread", "network_error", "whole"]

T = TypeVar("T")

SWALLOWED_S = 0.1
"""A cancellation that had no effect for so long is repeated."""


class Ending:
    """The end of a run: callbacks report the fault, the waiting coroutine raises it.

    Only the first fault counts; what follows from it would hide it.
    """

    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, error: Exception) -> None:
        """End the run with ``error``, unless it has ended already."""
        if not self._future.done():
            self._future.set_exception(error)
            self._future.exception()  # retrieved: the run may be closing, with no one waiting

    def is_reached(self) -> bool:
        """Return whether the run has ended."""
        return self._future.done()

    async def wait(self, *, until: asyncio.Future[Any] | None = None, timeout_s: float) -> bool:
        """Wait for ``until``; return whether it came in time, raise if the run ends first."""
        futures: tuple[asyncio.Future[Any], ...]
        futures = (self._future,) if until is None else (self._future, until)
        await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if self._future.done():
            self._future.result()
        return until is not None and until.done()

    async def reached(self) -> None:
        """Wait for the end of the run and raise it."""
        await self._future


async def whole(work: Coroutine[Any, Any, None], name: str) -> None:
    """Run a library's work, which may swallow its cancellation; wait for its end even so."""
    task = asyncio.create_task(work, name=name)
    try:
        await asyncio.wait((task,))
    except asyncio.CancelledError:
        while not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=SWALLOWED_S)
        if not task.cancelled():
            task.exception()  # retrieved
        raise
    await task


async def beside(ending: Ending, **works: Coroutine[Any, Any, None]) -> None:
    """Run ``works`` beside each other, by name, until the run ends; raise what ended it.

    What one of them raises ends the run.
    """

    async def carried(work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  # carried to run, which raises it
            ending.fail(error)

    try:
        async with asyncio.TaskGroup() as tasks:
            for name, work in works.items():
                tasks.create_task(carried(work), name=f"reader:{name}")
            await ending.reached()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def in_thread(
    name: str, call: Callable[[], T], discard: Callable[[T], object] | None = None
) -> T:
    """Run ``call`` in a thread of its own and return its result, or raise what it raised.

    If the caller is cancelled meanwhile, ``discard`` gets the result once it is there.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def unwanted(result: T) -> None:
        # In a thread again: what blocks while it opens may block while it closes.
        if discard is not None:
            threading.Thread(target=discard, args=(result,), name=name, daemon=True).start()

    def deliver(result: T) -> None:
        if done.cancelled():
            unwanted(result)
        else:
            done.set_result(result)

    def fail(error: BaseException) -> None:
        if not done.cancelled():
            done.set_exception(error)

    def work() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001  # carried to the caller, who judges it
            with suppress(RuntimeError):  # the loop is closed, and with it the caller gone
                loop.call_soon_threadsafe(fail, error)
            return
        try:
            loop.call_soon_threadsafe(deliver, result)
        except RuntimeError:  # as above
            unwanted(result)

    threading.Thread(target=work, name=name, daemon=True).start()
    try:
        return await done
    except asyncio.CancelledError:
        # Cancelled between the delivery and this turn: no other code will see the result.
        if not done.cancelled() and done.exception() is None:
            unwanted(done.result())
        raise


_BY_ERRNO = {
    errno.ECONNREFUSED: ("connection refused", "nothing listens there; is the service running?"),
    errno.EHOSTUNREACH: ("host unreachable", "check the cable, the route and the host"),
    errno.ENETUNREACH: ("network unreachable", "check the cable and the route"),
    errno.ECONNRESET: ("connection lost", "the other side reset it"),
    errno.EPIPE: ("connection lost", "the other side closed it"),
    errno.ETIMEDOUT: ("connection timed out", "check the address and the firewalls on the way"),
}


def network_error(error: OSError, where: str) -> DeviceError:
    """Translate what went wrong on the way to ``where`` (``host:port``)."""
    match error:
        case socket.gaierror():
            return DeviceError("host not found", f"{where}: {error.strerror}; check the name")
        case ssl.SSLCertVerificationError():
            text = getattr(error, "verify_message", None) or error
            detail = f"{where}: {text}; check tls.ca_file and the host name"
            return DeviceError("certificate not trusted", detail)
        case ssl.SSLError():
            text = getattr(error, "reason", None) or error
            return DeviceError("TLS failed", f"{where}: {text}; does this port speak TLS?")
        case TimeoutError():
            reason, hint = _BY_ERRNO[errno.ETIMEDOUT]
            return DeviceError(reason, f"{where}: {hint}")
    if error.errno in _BY_ERRNO:
        reason, hint = _BY_ERRNO[error.errno]
        return DeviceError(reason, f"{where}: {hint}")
    return DeviceError("connection failed", f"{where}: {error.strerror or error}")
