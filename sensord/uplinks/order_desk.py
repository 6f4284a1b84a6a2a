"""The desk at which a gateway accepts the orders of hubs."""

from __future__ import annotations

import asyncio
import contextlib

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from sensord.device.calls import Outcome
from sensord.errors import ProtocolError
from sensord.sharing.identity import Identity
from sensord.uplinks.context import Context
from sensord.uplinks.orders import Order, Report, subject_for

__all__ = ["OrderDesk"]

MOST_OPEN = 64
"""Orders that may be under way; more are refused."""

HUB = "hub"
"""What the ids of hubs' clients begin with."""


class OrderDesk:
    """Passes orders on to what acts, and sends back what became of them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._open: set[asyncio.Task[None]] = set()
        self._subscription: Subscription | None = None

    async def open(self, client: Client, stream: str) -> None:
        """Accept orders."""
        subject = subject_for(stream)
        self._subscription = await client.subscribe(subject, cb=self._accept)

    async def close(self) -> None:
        """Accept no more; those under way go on, and nobody hears of them here."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()
        for task in self._open:
            task.cancel()

    async def _accept(self, message: Msg) -> None:
        if len(self._open) >= MOST_OPEN:
            await message.respond(_refused("too_many", "too many orders are under way").write())
            return
        task = asyncio.create_task(self._carry_out(message), name="uplink:order")
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _carry_out(self, message: Msg) -> None:
        report = await self._report(message.data)
        with contextlib.suppress(nats.errors.Error):
            await message.respond(report.write())

    async def _report(self, data: bytes) -> Report:
        try:
            order = Order.read(data)
        except (ValueError, RecursionError) as exc:
            return _refused("bad_request", f"not an order: {exc}")
        # One identity for each token: a key that comes again through another hub is the same.
        who = Identity(f"{HUB}:{order.token}", order.client, order.address, order.token)
        try:
            call = self._context.ask(
                order.what, who, order.name, order.args, order.key, order.timeout_s
            )
        except ProtocolError as exc:
            return _refused(exc.code, exc.message)
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        call.follow(ended.set_result)
        try:
            outcome = await ended
        finally:
            call.unfollow(ended.set_result)
        return Report(outcome.value, outcome.reason, outcome.message, outcome.may_have_acted)


def _refused(reason: str, message: str) -> Report:
    return Report(reason=reason, message=message)
