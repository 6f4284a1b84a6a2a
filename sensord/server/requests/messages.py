"""The requests ``send``, ``receive``, ``ack`` and ``groups``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Literal, cast

from sensord.errors import ProtocolError
from sensord.server.open.caller import Caller
from sensord.server.open.promise import Promise
from sensord.server.open.request import OpenRequest
from sensord.sharing.messages import ClientMessage, Receipt, Status, To
from sensord.wire.ops import Request, Result, messages
from sensord.wire.ops.messages import MAX_GROUPS, Ack, Groups, Receive, Send
from sensord.wire.ops.session import Error

__all__ = ["HANDLERS"]

RECEIPTS_AT_ONCE = 200
"""In one message: some 10 KiB."""

MESSAGES_AT_ONCE = 16
"""Written to one client in one turn of the loop."""


class _Sending(OpenRequest):
    """A message on its way; its sender gets a receipt when a recipient's status changes."""

    def __init__(self, request: Send, caller: Caller, message: ClientMessage) -> None:
        super().__init__(request.id, caller, caller.shared.groups.turns)
        self._caller = caller
        self._wait_s = request.wait_s
        self._message = message
        self._pending: dict[str, Status] = {}
        self._timer: asyncio.Handle | None = None
        self._is_late = False

    def begin(self) -> None:
        """Follow it from now on; what is known already is sent in the next turn."""
        caller = self._caller
        caller.keep(self.number, self)
        caller.shared.sharing.post.follow(self._message, self._became)
        statuses = self._message.statuses.items()
        self._pending = {c: status for c, status in statuses if status is not Status.SENT}
        self._timer = caller.shared.loop.call_later(self._wait_s, self._late)
        self._come_back()

    def close(self) -> None:
        """Stop following it; it is delivered all the same."""
        super().close()
        if self._timer is not None:
            self._timer.cancel()
        self._caller.shared.sharing.post.unfollow(self._message, self._became)

    def _became(self, receipt: Receipt) -> None:
        if receipt.status is not Status.SENT:
            self._pending[receipt.client] = receipt.status
            self._come_back()

    def _late(self) -> None:
        self._is_late = True
        self._come_back()

    def _advance(self) -> None:
        """Send the receipts that are pending; end if no more will follow."""
        while self._pending:
            if self._caller.is_congested:
                return
            part = dict(islice(self._pending.items(), RECEIPTS_AT_ONCE))
            for client in part:
                del self._pending[client]
            self._caller.send(_receipts(self.number, part))
        if self._message.is_over or self._is_late:
            self._caller.end(self.number)


def _receipts(number: int, statuses: Mapping[str, Status]) -> messages.Receipts:
    receipts = [
        messages.Receipt(client, "refused", status.value)
        if status.is_refusal
        else messages.Receipt(client, status.value)
        for client, status in statuses.items()
    ]
    return messages.Receipts(number, receipts)


class _Receiving(OpenRequest):
    """The messages for a client, sent as it reads them."""

    def __init__(self, number: int, caller: Caller) -> None:
        super().__init__(number, caller, caller.shared.groups.turns)
        self._caller = caller
        self._post = caller.shared.sharing.post
        self._recipient = caller.identity.id

    def begin(self, after: int | None) -> None:
        """Receive the messages that wait, and those that come from now on."""
        self._post.receive(self._recipient, self, after)
        self._advance()

    def wake(self) -> None:
        """Send what has come, at once if no other request waits for its turn."""
        self._come()

    def replaced(self) -> None:
        """End: another session of the client receives from now on."""
        self._caller.guard(self._caller.end, self.number)

    def close(self) -> None:
        """Receive no more; what is not acknowledged waits."""
        super().close()
        self._post.leave(self._recipient, self)

    def _advance(self) -> None:
        for _ in range(MESSAGES_AT_ONCE):
            if self._caller.is_congested:
                return
            message = self._post.next(self._recipient)
            if message is None:
                return
            self._caller.send(
                messages.Delivery(
                    self.number,
                    message.number,
                    message.sender,
                    {message.to.kind: message.to.name},
                    message.time_us,
                    message.body,
                )
            )
        self._come_back()


def send(caller: Caller, request: Send) -> None:
    """Send a message."""
    caller.check_room()  # a message that is sent must be followed
    post = caller.shared.sharing.post
    to = To(cast("Literal['client', 'group', 'watching']", request.kind), request.name)
    sent = post.send(caller.identity, to, request.body, request.size, request.key)
    promise = Promise(request.id, caller, is_followed=True)
    caller.keep(request.id, promise)

    def result() -> messages.Sent:
        return messages.Sent(
            request.id,
            sent.message.number or None,
            sent.message.time_us,
            len(sent.message.statuses),
            sent.is_repeated,
        )

    def accepted(error: Exception | None) -> None:
        if error is None:
            promise.answer(result, _Sending(request, caller, sent.message).begin)
        else:
            text = f"{error}; nothing was sent"
            promise.answer(lambda: Error(request.id, "unavailable", text))

    post.attend(sent.message, accepted)


def receive(caller: Caller, request: Receive) -> None:
    """Open the reception of messages for this client."""
    receiving = _Receiving(request.id, caller)
    caller.keep(request.id, receiving)
    caller.send(Result(request.id))
    receiving.begin(request.after)


def ack(caller: Caller, request: Ack) -> None:
    """Acknowledge messages."""
    caller.shared.sharing.post.acknowledge(caller.identity.id, request.message)
    caller.send(Result(request.id))


def groups(caller: Caller, request: Groups) -> None:
    """Join groups and leave others."""
    presence = caller.shared.sharing.presence
    member = presence.find(caller.identity.id)
    assert member is not None, "it has said hello and is here"
    joined = (member.groups - set(request.leave)) | set(request.join)
    if len(joined) > MAX_GROUPS:
        raise ProtocolError("too_many", f"leave one of your groups first; {MAX_GROUPS} are allowed")
    presence.set_groups(member, joined)
    caller.send(messages.GroupList(request.id, sorted(joined)))


HANDLERS: Mapping[type[Request[Result]], Callable[[Caller, Any], None]] = {
    Send: send,
    Receive: receive,
    Ack: ack,
    Groups: groups,
}
