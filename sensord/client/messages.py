"""Messages to and from other clients, as a program sends and reads them.

`docs/protocol.md`, section 3.9, is the reference.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

from sensord.client.conversation import Items, Mail, Receipt
from sensord.client.inflow import Line, Query

__all__ = ["Inbox", "Sending"]


class Inbox(Query[Mail]):
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
        self._at_hand: Mail | None = None  # with the program, and not acknowledged
        self._strange = 0  # those among them that came when this was another client

    def message(self) -> dict[str, Any]:
        """Return the request that has them."""
        if self._as != self._line.id:
            # The server does not know us any more, nor the numbers of our messages.
            self._as = self._line.id
            self._arrived_last = self._handled_last = -1
            self._strange = self._unhandled
        message: dict[str, Any] = {"op": "receive", "id": self.request}
        if self._handled_last >= 0:
            message["after"] = self._handled_last
        return message

    async def put(self, event: Items, _is_urgent: Callable[[], object]) -> None:
        """Take what arrived: the server holds no more for a client than its inbox takes."""
        self._take(event)

    def _take(self, event: Items) -> None:
        new = [
            item
            for item in event.items
            if isinstance(item, Mail) and item.number > self._arrived_last
        ]
        if new:
            self._arrived_last = new[-1].number
            self._unhandled += len(new)
            self._give(new, None)

    async def __aiter__(self) -> AsyncGenerator[Mail]:
        async for mail in super().__aiter__():
            self._at_hand = mail
            yield mail
            if self._is_handled(mail):
                number = self._line.number()
                self._line.send({"op": "ack", "id": number, "message": mail.number})

    async def acknowledge(self, mail: Mail) -> None:
        """Say that the message at hand has been handled, before leaving the iteration.

        Raises:
            ClientError: The connection is lost; then it comes again.
        """
        if self._is_handled(mail):
            await self._line.ask("ack", {"message": mail.number})

    def _is_handled(self, mail: Mail) -> bool:
        """Note that it is; return whether the server is to be told."""
        if self._at_hand is not mail:
            return False  # it has been
        self._at_hand = None
        self._unhandled -= 1
        if self._strange:
            self._strange -= 1
            return False
        self._handled_last = mail.number
        return True


class Sending(Query[Receipt]):
    """What becomes of a message; the iteration ends when that is known, or not waited for.

    After a lost connection it is asked again, with the same key: it stays one message.
    """

    def __init__(self, request: int, options: dict[str, Any], line: Line) -> None:
        super().__init__(request, line)
        self._options = options
        self._told: dict[str, Receipt] = {}
        self.receivers: int | None = None
        """How many clients are to get it, once that is known."""

    def message(self) -> dict[str, Any]:
        """Return the request that sends it."""
        return {"op": "send", "id": self.request, **self._options}

    def answered(self, fields: dict[str, Any]) -> None:
        """Learn that it was accepted."""
        self.receivers = int(fields["receivers"])

    def _take(self, event: Items) -> None:
        told = [item for item in event.items if isinstance(item, Receipt)]
        new = [receipt for receipt in told if self._told.get(receipt.client) != receipt]
        self._told |= {receipt.client: receipt for receipt in new}
        if new:
            self._give(new, None)
