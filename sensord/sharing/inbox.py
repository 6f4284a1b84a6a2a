"""An inbox: the messages that wait for one client, in their order. Pure.

Messages are read from it by whoever receives for the client, and leave it when they are
acknowledged. A new receiver begins with the first one again.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from sensord.sharing.messages import ClientMessage

__all__ = ["Inbox", "Receiver"]


class Receiver(Protocol):
    """One session of a client, that takes its messages."""

    def wake(self) -> None:
        """Learn that there may be a message to read."""
        ...

    def replaced(self) -> None:
        """Learn that another session of the client receives from now on."""
        ...


class Inbox:
    """What waits for one client."""

    def __init__(self) -> None:
        self.waiting: deque[ClientMessage] = deque()
        """Those that are not acknowledged, by their numbers; the last ones may not be kept yet."""
        self.receiver: Receiver | None = None
        self.acknowledged = 0
        """The greatest number up to which all are delivered."""
        self.messages = 0
        """Messages that have this client as a receiver and are not over."""
        self.is_noted = False
        """Whether the store has what is acknowledged."""
        self._read = 0  # how many of the first ones the receiver has

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to remember of it."""
        return self.receiver is not None or self.messages > 0

    def next(self) -> ClientMessage | None:
        """Return the next message for the receiver, if there is one."""
        if self._read == len(self.waiting) or not self.waiting[self._read].is_kept:
            return None
        self._read += 1
        return self.waiting[self._read - 1]

    def receive(self, receiver: Receiver | None) -> None:
        """Let ``receiver`` read from the first one on."""
        self.receiver = receiver
        self._read = 0

    def has_read(self, number: int) -> bool:
        """Tell whether the receiver has had this message, or it was acknowledged."""
        if number <= self.acknowledged:
            return True
        return bool(self._read) and number <= self.waiting[self._read - 1].number

    def acknowledge(self, number: int) -> list[ClientMessage]:
        """Take out all up to ``number``."""
        taken = []
        while self.waiting and self.waiting[0].number <= number and self.waiting[0].is_kept:
            taken.append(self.waiting.popleft())
            self.acknowledged = taken[-1].number
        self._read = max(0, self._read - len(taken))
        return taken

    def remove(self, message: ClientMessage) -> None:
        """Take out one: it expired, or was not accepted."""
        place = self.waiting.index(message)
        del self.waiting[place]
        if place < self._read:
            self._read -= 1
