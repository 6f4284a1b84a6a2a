"""What is done for ``send``, ``receive``, ``ack`` and ``groups``."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Literal, cast

from sensord.errors import ProtocolError
from sensord.server.open.caller import Caller
from sensord.server.open.promise import Promise
from sensord.sharing.messages import ClientMessage, Receipt, Status, To
from sensord.wire.ops import Request, Result, messages
from sensord.wire.ops.messages import MAX_GROUPS, Ack, Groups, Receive, Send
from sensord.wire.ops.session import Error

__all__ = ["HANDLERS"]

RECEIPTS_AT_ONCE = 200
"""In one message: some 10 KiB."""

MESSAGES_AT_ONCE = 16
"""Written to one client in one turn of the loop."""


class _Sending:
    """A message on its way, of which its sender is told what becomes of it."""

    def __init__(self, request: Send, caller: Caller, message: ClientMessage) -> None:
        self.lost: Counter[str] = Counter()
        """Stays empty: no reading is asked for."""
        self._request = request
        self._caller = caller
        self._letter = message
        self._untold: dict[str, Status] = {}
        self._turn: asyncio.Handle | None = None
        self._timer: asyncio.Handle | None = None
        self._is_late = False

    def begin(self) -> None:
        """Follow it from now on; what is known already is told in the next turn."""
        caller, loop = self._caller, self._caller.shared.loop
        caller.keep(self._request.id, self)
        caller.shared.sharing.post.follow(self._letter, self._became)
        self._untold = {c: s for c, s in self._letter.statuses.items() if s is not Status.SENT}
        self._turn = loop.call_soon(caller.guard, self._tell)
        self._timer = loop.call_later(self._request.wait_s, caller.guard, self._late)

    def congested(self) -> None:
        """Wait: `_tell` looks."""

    def drained(self) -> None:
        """Go on telling."""
        if self._turn is None:
            self._tell()

    def close(self) -> None:
        """Follow it no longer; it goes on."""
        for handle in (self._turn, self._timer):
            if handle is not None:
                handle.cancel()
        self._caller.shared.sharing.post.unfollow(self._letter, self._became)

    def _became(self, receipt: Receipt) -> None:
        if receipt.status is not Status.SENT:
            self._untold[receipt.client] = receipt.status
            if self._turn is None:
                loop = self._caller.shared.loop
                self._turn = loop.call_soon(self._caller.guard, self._tell)

    def _late(self) -> None:
        self._is_late = True
        if self._turn is None:
            self._tell()

    def _tell(self) -> None:
        """Tell what is known and not told; end if that is all there will be."""
        self._turn = None
        while self._untold:
            if self._caller.is_congested:
                return
            told = dict(islice(self._untold.items(), RECEIPTS_AT_ONCE))
            for client in told:
                del self._untold[client]
            self._caller.tell(_receipts(self._request.id, told))
        if self._letter.is_over or self._is_late:
            self._caller.end(self._request.id)


def _receipts(number: int, told: Mapping[str, Status]) -> messages.Receipts:
    receipts = [
        messages.Receipt(client, "refused", status.value)
        if status.is_refusal
        else messages.Receipt(client, status.value)
        for client, status in told.items()
    ]
    return messages.Receipts(number, receipts)


class _Receiving:
    """The messages for a client, written as it reads them."""

    def __init__(self, number: int, caller: Caller) -> None:
        self.lost: Counter[str] = Counter()
        """Stays empty: no reading is asked for."""
        self._number = number
        self._caller = caller
        self._post = caller.shared.sharing.post
        self._client = caller.identity.id
        self._turn: asyncio.Handle | None = None

    def begin(self, after: int | None) -> None:
        """Have them from now on, and those that wait."""
        self._post.receive(self._client, self, after)
        self._write()

    def wake(self) -> None:
        """Learn that there may be one to read."""
        if self._turn is None:
            self._caller.guard(self._write)

    def replaced(self) -> None:
        """Learn that another session of the client receives from now on."""
        self._caller.guard(self._caller.end, self._number)

    def congested(self) -> None:
        """Wait: `_write` looks before each."""

    def drained(self) -> None:
        """Go on."""
        if self._turn is None:
            self._write()

    def close(self) -> None:
        """Receive no more; what is not acknowledged waits."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._post.leave(self._client, self)

    def _write(self) -> None:
        self._turn = None
        for _ in range(MESSAGES_AT_ONCE):
            if self._caller.is_congested:
                return
            message = self._post.next(self._client)
            if message is None:
                return
            self._caller.tell(
                messages.Delivery(
                    self._number,
                    message.number,
                    message.sender,
                    {message.to.kind: message.to.name},
                    message.time_us,
                    message.body,
                )
            )
        self._turn = self._caller.shared.loop.call_soon(self._caller.guard, self._write)


def send(caller: Caller, request: Send) -> None:
    """Send a message."""
    caller.check_room()  # one that is sent must be followed
    post = caller.shared.sharing.post
    to = To(cast("Literal['client', 'group', 'watching']", request.kind), request.name)
    sent = post.send(caller.identity, to, request.body, request.size, request.key)
    promise = Promise(request.id, caller, goes_on=True)
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
    """Have the messages for this client."""
    receiving = _Receiving(request.id, caller)
    caller.keep(request.id, receiving)
    caller.tell(Result(request.id))
    receiving.begin(request.after)


def ack(caller: Caller, request: Ack) -> None:
    """Take messages for delivered."""
    caller.shared.sharing.post.acknowledge(caller.identity.id, request.message)
    caller.tell(Result(request.id))


def groups(caller: Caller, request: Groups) -> None:
    """Join groups and leave others."""
    presence = caller.shared.sharing.presence
    member = presence.find(caller.identity.id)
    assert member is not None, "it has said hello and is here"
    joined = (member.groups - set(request.leave)) | set(request.join)
    if len(joined) > MAX_GROUPS:
        raise ProtocolError("too_many", f"leave one of your groups first; {MAX_GROUPS} are allowed")
    presence.set_groups(member, joined)
    caller.tell(messages.GroupList(request.id, sorted(joined)))


HANDLERS: Mapping[type[Request[Result]], Callable[[Caller, Any], None]] = {
    Send: send,
    Receive: receive,
    Ack: ack,
    Groups: groups,
}
