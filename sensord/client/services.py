"""A service that a program offers: a name and the function that answers its calls.

`docs/protocol.md`, section 3.10, is the reference.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Self

from sensord.client.conversation import Called, Items
from sensord.client.errors import LostError
from sensord.client.inflow import Inflow, Line
from sensord.device.conform import value_fault
from sensord.errors import SensordError
from sensord.model.readings import Value
from sensord.wire.ops import Result
from sensord.wire.ops.services import Failure, Reply, Serve, Yield

__all__ = ["Asked", "FailedError", "Handler", "RejectedError", "Service"]

log = logging.getLogger("sensord.client")

MAX_REASON_CHARACTERS, MAX_MESSAGE_CHARACTERS = 40, 500


class RejectedError(SensordError):
    """Raise this in a handler to refuse a call: nothing was done.

    ``message`` advises what to do; ``reason`` is a word for programs.
    """

    def __init__(self, message: str, reason: str = "rejected") -> None:
        super().__init__(message)
        self.reason = _checked_reason(reason)


class FailedError(SensordError):
    """Raise this in a handler to report that a call failed but may have acted.

    ``message`` advises what to do; ``reason`` is a word for programs. Any other exception is
    logged and reported as ``failed``, too.
    """

    def __init__(self, message: str, reason: str = "failed") -> None:
        super().__init__(message)
        self.reason = _checked_reason(reason)


class Asked:
    """A call, as the handler receives it; ``timeout_s`` is the time that was left."""

    __slots__ = ("_call", "_line", "args", "caller_id", "caller_name", "timeout_s")

    def __init__(self, called: Called, line: Line) -> None:
        self.args = called.args
        self.caller_id = called.caller_id
        self.caller_name = called.caller_name
        self.timeout_s = called.timeout_s
        self._call = called.call
        self._line = line

    async def part(self, value: Value) -> int:
        """Send a part of the answer; return how many callers got it, 0 if nobody waits.

        Returns when the callers have read enough: a handler sends as fast as they read.

        Raises:
            TypeError: The value cannot be sent.
            ProtocolError: The call has ended.
            ClientError: The connection is lost; the caller got the outcome ``unknown``.
        """
        part = Yield(self._line.number(), self._call, _checked(value))
        if not self._line.fits(part):
            raise TypeError("the part is too large; send it in several")
        return (await self._line.ask(part)).receivers


Handler = Callable[[Asked], Awaitable[Value]]


class Service(Inflow[Called]):
    """A service, offered again whenever the connection comes back.

    Entering it waits until others can call it. Each call runs in a task of its own, which is
    cancelled when its time is up or nobody waits for its answer any more.
    """

    def __init__(self, asked: Serve, handler: Handler, line: Line) -> None:
        super().__init__(asked.id)
        self.name = asked.name
        self._asked = asked
        self._handler = handler
        self._line = line
        self._is_offered = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        while not self._is_offered and not self._is_ended:
            self._woken.clear()
            await self._woken.wait()
        if self._error is not None:
            raise self._error
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = self._tasks - {asyncio.current_task()}
        self.close()
        if tasks:
            await asyncio.wait(tasks)

    async def wait(self) -> None:
        """Wait until the service ends: it is closed, or the same client offers it elsewhere.

        Raises:
            ProtocolError: It was refused, perhaps because another client has taken the name.
            ClientError: The client has ended.
        """
        while not self._is_ended:
            self._woken.clear()
            await self._woken.wait()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Withdraw the offer and cancel the calls in progress."""
        if not self._is_ended:
            self.end(None)
            self._line.cancel(self.request)

    # -- events of the connection ------------------------------------------------------------------

    def opening(self) -> Serve:
        """Return the request that offers it."""
        return replace(self._asked, id=self.request)

    def answered(self, _result: Result) -> None:
        """Record that it is offered."""
        self._is_offered = True
        self._woken.set()

    def lost(self) -> None:
        """Cancel the calls: the server reported them as ``unknown``."""
        self._cancel()

    def end(self, error: Exception | None) -> None:
        """End the service and its calls."""
        super().end(error)
        self._cancel()

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _take(self, event: Items) -> None:
        if self._is_ended:
            return
        for called in event.items:
            if isinstance(called, Called):
                task = asyncio.create_task(self._do(called), name=f"service:{self.name}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    # -- calls -------------------------------------------------------------------------------------

    async def _do(self, called: Called) -> None:
        limit = asyncio.timeout(called.timeout_s)
        value: Value = None
        failure: Failure | None = None
        try:
            async with limit:
                value = _checked(await self._handler(Asked(called, self._line)))
        except RejectedError as exc:
            failure = _failure(exc.reason, str(exc), may_have_acted=False)
        except FailedError as exc:
            failure = _failure(exc.reason, str(exc), may_have_acted=True)
        except LostError:
            return  # raised by `Asked.part`: the caller got ``unknown``
        # An exception of the program's function goes to the caller; it must not end the connection.
        except Exception as exc:
            if limit.expired():
                return  # the caller got the outcome
            log.exception("a service failed", extra={"service": self.name})
            failure = _failure("failed", f"{type(exc).__name__}: {exc}", may_have_acted=True)
        reply = Reply(self._line.number(), called.call, value, failure)
        if not self._line.fits(reply):
            failure = _failure("failed", "the answer is too large", may_have_acted=True)
            reply = replace(reply, value=None, error=failure)
        with contextlib.suppress(SensordError):  # the client has ended, or sends nothing
            self._line.send(reply)


def _checked_reason(reason: str) -> str:
    if not 1 <= len(reason) <= MAX_REASON_CHARACTERS or not reason.isprintable():
        raise ValueError(f"a reason has 1 to {MAX_REASON_CHARACTERS} plain characters")
    return reason


def _checked(value: Value) -> Value:
    fault = value_fault(value)
    if fault is not None:
        raise TypeError(f"it cannot be sent: {fault}")
    return value


def _failure(reason: str, text: str, *, may_have_acted: bool) -> Failure:
    plain = "".join(one if one.isprintable() else " " for one in text)[:MAX_MESSAGE_CHARACTERS]
    return Failure(reason, plain, may_have_acted)
