"""An inbox: the messages that wait for one client, in their order. Pure.

The client's receiver reads messages from it; they leave it when they are acknowledged. A new
receiver begins with the first one again.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from sensord.sharing.messages import ClientMessage

__all__ = ["Inbox", "Receiver"]


class Receiver(Protocol):
    """The session that receives a client's messages."""

    def wake(self) -> None:
        """Check for messages to read."""
        ...

    def replaced(self) -> None:
        """Stop receiving: another session of the client does from now on."""
        ...


class Inbox:
    """The messages that wait for one client."""

    def __init__(self) -> None:
        self.waiting: deque[ClientMessage] = deque()
        """Unacknowledged messages by number; the last ones may not be in the store yet."""
        self.receiver: Receiver | None = None
        self.acknowledged = 0
        """The number up to which all are delivered."""
        self.messages = 0
        """How many open messages have this client as a receiver."""
        self.is_noted = False
        """Whether the store has the last acknowledged number."""
        self._read = 0  # how many messages the receiver has read

    @property
    def is_needed(self) -> bool:
        """Whether it must be kept."""
        return self.receiver is not None or self.messages > 0

    def next(self) -> ClientMessage | None:
        """Return the next message for the receiver, if there is one."""
        if self._read == len(self.waiting) or not self.waiting[self._read].is_kept:
            return None
        self._read += 1
        return self.waiting[self._read - 1]

    def receive(self, receiver: Receiver | None) -> None:
        """Make ``receiver`` the reader, from the first message on."""
        self.receiver = receiver
        self._read = 0

    def has_read(self, number: int) -> bool:
        """Return whether the message was read or acknowledged."""
        if number <= self.acknowledged:
            return True
        return bool(self._read) and number <= self.waiting[self._read - 1].number

    def acknowledge(self, number: int) -> list[ClientMessage]:
        """Remove all messages up to ``number``, and return them."""
        taken = []
        while self.waiting and self.waiting[0].number <= number and self.waiting[0].is_kept:
            taken.append(self.waiting.popleft())
            self.acknowledged = taken[-1].number
        self._read = max(0, self._read - len(taken))
        return taken

    def remove(self, message: ClientMessage) -> None:
        """Remove a message that expired or was not accepted."""
        place = self.waiting.index(message)
        del self.waiting[place]
        if place < self._read:
            self._read -= 1
