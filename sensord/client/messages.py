"""Messages to and from other clients.

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

    A message counts as handled, and is acknowledged, when the program asks for the next. Messages
    that still wait for the program are not acknowledged, so they are not lost with it.
    """

    def __init__(self, request: int, line: Line) -> None:
        super().__init__(request, line)
        self._as = ""  # the client id under which the server gave the numbers below
        self._arrived_last = -1
        self._handled_last = -1
        self._unhandled = 0  # messages with the program or waiting for it
        self._at_hand: Message | None = None  # with the program, and not acknowledged
        self._strange = 0  # those of them that came under another client id

    def opening(self) -> Receive:
        """Return the request that receives them."""
        if self._as != self._line.id:
            # The server has forgotten us and the numbers of our messages.
            self._as = self._line.id
            self._arrived_last = self._handled_last = -1
            self._strange = self._unhandled
        return Receive(self.request, self._handled_last if self._handled_last >= 0 else None)

    async def put(self, event: Items, _is_urgent: Callable[[], object]) -> None:
        """Queue items without waiting; the inbox on the server bounds how many there are."""
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
        """Acknowledge the current message, before leaving the iteration.

        Raises:
            ClientError: The connection is lost; the message is delivered again.
        """
        if self._is_handled(message):
            await self._line.ask(Ack(self._line.number(), message.number))

    def _is_handled(self, message: Message) -> bool:
        """Record the message as handled; return whether to acknowledge it to the server."""
        if self._at_hand is not message:
            return False  # it was acknowledged before
        self._at_hand = None
        self._unhandled -= 1
        if self._strange:
            self._strange -= 1
            return False
        self._handled_last = message.number
        return True


class Sending(Query[Receipt]):
    """The receipts of a sent message; iteration ends with the last one that is waited for.

    After a lost connection it is sent again with the same key, so it remains one message.
    """

    def __init__(self, asked: Send, line: Line) -> None:
        super().__init__(asked.id, line)
        self._asked = asked
        self._receipts: dict[str, Receipt] = {}
        self.receivers: int | None = None
        """The number of receivers, once known."""

    def opening(self) -> Send:
        """Return the request that sends it."""
        return replace(self._asked, id=self.request)

    def answered(self, result: Result) -> None:
        """Record that it was accepted."""
        if isinstance(result, Sent):
            self.receivers = result.receivers

    def _take(self, event: Items) -> None:
        receipts = [item for item in event.items if isinstance(item, Receipt)]
        new = [receipt for receipt in receipts if self._receipts.get(receipt.client) != receipt]
        self._receipts |= {receipt.client: receipt for receipt in new}
        if new:
            self._give(new, None)
