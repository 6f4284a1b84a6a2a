"""Acts at a hub go to the gateway: it checks, acts, and its answer is the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sensord.device.calls import Call, PromptQueue, What
from sensord.errors import ProtocolError
from sensord.hub.stream import Stream, StreamError
from sensord.model.readings import Value
from sensord.uplinks.orders import LONGEST_S, Order

__all__ = ["Forward"]

MOST_OPEN = 64
"""Acts that may be under way to one gateway; more are refused."""


class Forward:
    """A target that passes calls of one kind on to a gateway."""

    timeout_s = LONGEST_S

    def __init__(self, what: What, stream: Stream) -> None:
        self.queue = PromptQueue(self._start)
        self._what = what
        self._stream = stream
        self._open: set[asyncio.Task[None]] = set()

    def check(self, args: Mapping[str, Value]) -> Mapping[str, Value]:
        """Accept any arguments: the gateway checks them.

        Raises:
            ProtocolError: Too many are under way.
        """
        if len(self._open) + len(self.queue) >= MOST_OPEN:
            raise ProtocolError("too_many", f"{MOST_OPEN} acts are under way to this gateway")
        return args

    def _start(self, call: Call) -> None:
        call.acting()
        task = asyncio.create_task(self._pass_on(call), name="hub:order")
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _pass_on(self, call: Call) -> None:
        left_s = call.deadline - asyncio.get_running_loop().time()
        order = Order(
            self._what,
            call.name,
            dict(call.args),
            call.key,
            min(LONGEST_S, max(0.01, left_s)),
            call.who.name,
            call.who.address,
            call.who.token,
        )
        try:
            report = await self._stream.order(order)
        except StreamError as exc:
            call.failed("unknown", f"{exc}; find out before you try again", may_have_acted=True)
            return
        if report.reason:
            call.failed(report.reason, report.message, may_have_acted=report.may_have_acted)
        else:
            call.done(report.value)
