"""Ask the devices on an open line: requests in turn, each when it is due, one at a time.

Theory of operation. Of the requests that are due, the one that has waited longest is sent; it has
the line to itself until its last step is answered, or will not be. Its answers are whole messages,
those of a poll a part of the device's stream, to which all belongs that comes at other times.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import NoReturn

from sensord.decode.base import excerpt
from sensord.device.reader import Link, Route
from sensord.errors import DeviceError
from sensord.readers.answers import Answer
from sensord.readers.blocking import Ending
from sensord.readers.line import Line, Settings
from sensord.readers.requests import Request, Step, baud_of, message_of, pause_of
from sensord.readers.ticks import next_tick

__all__ = ["Asker"]


class _UnansweredError(Exception):
    """A step that was not answered; the text is for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Asker:
    """Asks over one open line; ``turn`` is the lock on the line."""

    def __init__(
        self, line: Line, link: Link, ending: Ending, settings: Settings, turn: asyncio.Lock
    ) -> None:
        self._line = line
        self._link = link
        self._ending = ending
        self._settings = settings
        self._turn = turn
        self._baud = settings.baud
        self._answer: Answer | None = None
        self._answered: asyncio.Future[None] | None = None
        self._route: Route | None = None
        """Of the messages in answers; None where these are part of the device's stream."""
        self._is_pausing = False
        self._is_between = False
        """Whether an answer has come, and what follows may belong to the next step."""
        self._spare = bytearray()
        """What has come since then."""

    def data(self, data: bytes) -> None:
        """Pass on what arrived, to the step that waits for it or to the device's decoder."""
        answer = self._answer
        if answer is None:
            if self._is_between:
                self._spare += data
            else:
                self._link.data(data)
            return
        is_complete = answer.feed(data)
        own = len(data) - (len(answer.rest) if is_complete else 0)
        if own:
            if answer.is_held:
                self._link.received(data[:own])
            else:
                self._link.data(data[:own])
        if is_complete:
            assert self._answered is not None
            self._answer = None
            self._is_between = True
            self._pass_on(answer)
            self._spare += data[own:]
            if not self._answered.done():
                self._answered.set_result(None)

    def _pass_on(self, answer: Answer) -> None:
        if self._route is None or self._is_pausing:
            return
        for fault in answer.faults:
            self._link.fault(fault.reason, fault.excerpt.decode("ascii", "backslashreplace"))
        for message in answer.messages:
            self._link.message(self._route, message)

    async def run(self, requests: Sequence[Request], *, is_stream: bool) -> NoReturn:
        """Send each request at its ticks; ``is_stream`` passes answers on as they come.

        Raises:
            DeviceError: The line is gone, or nothing on it has answered for too long.
        """
        due = [time.monotonic()] * len(requests)
        unanswered = [0] * len(requests)
        while True:
            number = due.index(min(due))
            request = requests[number]
            if not is_stream:
                several = f"request {number + 1}" if len(requests) > 1 else ""
                self._route = Route(request.name or several, scope=number)
            async with self._turn:
                failure = await self._failure(request)
            if failure is None:
                unanswered = [0] * len(requests)
            else:
                unanswered[number] += 1
                self._report(request, failure, unanswered[number])
            due[number], _ = next_tick(due[number], request.interval, time.monotonic())
            await self._ending.wait(timeout_s=max(0.0, min(due) - time.monotonic()))

    def _report(self, request: Request, failure: _UnansweredError, times: int) -> None:
        name = f" {request.name}:" if request.name else ""
        detail = f"{self._settings.port}:{name} {failure.detail}"
        self._link.fault(failure.reason, detail)
        if times == request.retries_before_reopen:
            raise DeviceError(failure.reason, f"{detail}, {times} times in a row")

    async def _failure(self, request: Request) -> _UnansweredError | None:
        """Carry out a request with all its steps; return what went wrong, or None."""
        groups: dict[str, str] = {}
        failure = None
        try:
            for step in request.steps:
                groups |= await self._step(step, groups)
        except _UnansweredError as unanswered:
            failure = unanswered
        finally:
            self._wait_for(None)
        if self._baud != self._settings.baud:
            await self._tune(self._settings.baud)
        return failure

    async def _step(self, step: Step, groups: dict[str, str]) -> dict[str, str]:
        """Carry out one step; return the named groups of its answer.

        A late answer is passed on like any other bytes. If it comes after the next request was
        It counts as the next request's answer if that was sent: the protocol is unknown here.
        """
        try:
            pause_s, baud = pause_of(step, groups), baud_of(step, groups)
        except ValueError as error:
            raise _UnansweredError("unexpected answer", str(error)) from error
        if pause_s:
            await self._pause(step, pause_s)
        is_stream = self._route is None
        answer = step.waited_for(is_stream=is_stream) if step.is_answered else None
        message = message_of(step, groups)
        deadline = time.monotonic() + step.timeout
        self._wait_for(answer, has_come=not message)
        await self._send(message, step.timeout, baud)
        if answer is None:
            return {}
        if baud is not None:
            deadline = time.monotonic() + step.timeout  # sending at a low rate needs long
        left_s = max(0.0, deadline - time.monotonic())
        if await self._ending.wait(until=self._answered, timeout_s=left_s):
            return answer.groups
        raise _unanswered(answer, step)

    async def _pause(self, step: Step, pause_s: float) -> None:
        end = step.until.encode("latin-1")
        self._is_pausing = True
        self._wait_for(Answer(end, 0, is_held=True) if end else None, has_come=bool(end))
        await self._ending.wait(until=self._answered, timeout_s=pause_s)
        self._is_pausing = False

    def _wait_for(self, answer: Answer | None, *, has_come: bool = False) -> None:
        """Expect an answer from now on; with ``has_come``, in what has come already, too."""
        spare, self._spare = bytes(self._spare), bytearray()
        self._is_between = False
        if spare and not has_come:
            self._link.data(spare)
        self._answered = asyncio.get_running_loop().create_future()
        self._answer = answer
        if spare and has_come:
            self.data(spare)

    async def _send(self, message: bytes, timeout_s: float, baud: int | None) -> None:
        if not message:
            return
        began = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                await self._line.write(message)
            self._link.sent(message)
        except TimeoutError:
            raise _UnansweredError("cannot send", f"waited {timeout_s:g} s") from None
        if baud is not None:
            # Adapters report bytes as sent that are still in their own buffer.
            settings = self._settings
            bits = 1 + settings.bytesize + (settings.parity != "none") + settings.stopbits
            sent_s = began + len(message) * bits / self._baud - time.monotonic()
            await self._ending.wait(timeout_s=max(0.0, sent_s))
            await self._tune(baud)

    async def _tune(self, baud: int) -> None:
        await self._line.set_baud(baud)
        self._baud = baud


def _unanswered(answer: Answer, step: Step) -> _UnansweredError:
    waited = f"waited {step.timeout:g} s"
    if answer.faults and answer.is_held:
        reason, quoted, _ = answer.faults[-1]
        return _UnansweredError(reason, f"{waited}; {quoted.hex(' ')}")
    if answer.strange:
        shown = excerpt(answer.strange).decode("ascii", "backslashreplace")
        return _UnansweredError("unexpected answer", f'{waited}; the last was "{shown}"')
    return _UnansweredError("incomplete answer" if answer.received else "no answer", waited)
