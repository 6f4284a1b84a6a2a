"""Messages to and from other clients, as a program sends and reads them.

`docs/protocol.md`, section 3.9, is the reference.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from sensord.client.conversation import Items, Message, Receipt
from sensord.client.inflow import Line, Query
from sensord.wire.ops import Result
from sensord.wire.ops.messages import Ack, Receive, Send, Sent

__all__ = ["Inbox", "Sending"]


class Inbox(Query[Message]):
    """The messages for this client, each once, across reconnections.

    One is acknowledged when the program comes back for the next: then it has been handled. Those
    that have arrived and wait for the program are not, so that they are not lost with it.
    """

    def __init__(self, request: int, line: Line) -> None:
        super().__init__(request, line)
        self._as = ""  # whom the server knew this client as when it gave the numbers below
        self._arrived_last = -1
        self._handled_last = -1
        self._unhandled = 0  # messages with the program or before it
        self._at_hand: Message | None = None  # with the program, and not acknowledged
        self._strange = 0  # those among them that came when this was another client

    def opening(self) -> Receive:
        """Return the request that receives them."""
        if self._as != self._line.id:
            # The server does not know us any more, nor the numbers of our messages.
            self._as = self._line.id
            self._arrived_last = self._handled_last = -1
            self._strange = self._unhandled
        return Receive(self.request, self._handled_last if self._handled_last >= 0 else None)

    async def put(self, event: Items, _is_urgent: Callable[[], object]) -> None:
        """Take what arrived: the server holds no more for a client than its inbox takes."""
        self._take(event)

    def _take(self, event: Items) -> None:
        new = [
            item
            for item in event.items
            if isinstance(item, Message) and item.number > self._arrived_last
        ]
        if new:
            self._arrived_last = new[-1].number
            self._unhandled += len(new)
            self._give(new, None)

    async def __aiter__(self) -> AsyncGenerator[Message]:
        async for message in super().__aiter__():
            self._at_hand = message
            yield message
            if self._is_handled(message):
                self._line.send(Ack(self._line.number(), message.number))

    async def acknowledge(self, message: Message) -> None:
        """Say that the message at hand has been handled, before leaving the iteration.

        Raises:
            ClientError: The connection is lost; then it comes again.
        """
        if self._is_handled(message):
            await self._line.ask(Ack(self._line.number(), message.number))

    def _is_handled(self, message: Message) -> bool:
        """Note that it is; return whether the server is to be told."""
        if self._at_hand is not message:
            return False  # it has been
        self._at_hand = None
        self._unhandled -= 1
        if self._strange:
            self._strange -= 1
            return False
        self._handled_last = message.number
        return True


class Sending(Query[Receipt]):
    """What becomes of a message; the iteration ends when that is known, or not waited for.

    After a lost connection it is asked again, with the same key: it stays one message.
    """

    def __init__(self, asked: Send, line: Line) -> None:
        super().__init__(asked.id, line)
        self._asked = asked
        self._told: dict[str, Receipt] = {}
        self.receivers: int | None = None
        """How many clients are to get it, once that is known."""

    def opening(self) -> Send:
        """Return the request that sends it."""
        return replace(self._asked, id=self.request)

    def answered(self, result: Result) -> None:
        """Note that it was accepted."""
        if isinstance(result, Sent):
            self.receivers = result.receivers

    def _take(self, event: Items) -> None:
        told = [item for item in event.items if isinstance(item, Receipt)]
        new = [receipt for receipt in told if self._told.get(receipt.client) != receipt]
        self._told |= {receipt.client: receipt for receipt in new}
        if new:
            self._give(new, None)
