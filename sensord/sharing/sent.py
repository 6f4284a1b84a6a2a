"""Messages by their senders' keys: those on their way and, for a while, those that are over. Pure.

So a message that is sent again with the same key is found, and is no second one.
"""

from __future__ import annotations

from collections.abc import Iterator

from sensord.sharing.messages import ClientMessage

__all__ = ["SentMessages"]

MAX_OF_CLIENT = 100
MAX_OF_ALL = 10_000
MAX_RECEIVERS = 100_000
"""Of messages that are over; beyond it the oldest is forgotten."""


class SentMessages:
    """What is found by a key."""

    def __init__(self) -> None:
        self._by_key: dict[
            str, dict[str, ClientMessage]
        ] = {}  # by sender and key, the oldest first
        self._over: dict[int, ClientMessage] = {}  # by number; the first one is forgotten first
        self._receivers = 0

    @property
    def oldest(self) -> ClientMessage | None:
        """The one of those that are over that is forgotten first."""
        return next(iter(self._over.values()), None)

    def find(self, sender: str, key: str) -> ClientMessage | None:
        """Return the message that was sent with a key."""
        return self._by_key.get(sender, {}).get(key) if key else None

    def add(self, message: ClientMessage) -> None:
        """Remember a message, if it has a key."""
        if message.key:
            self._by_key.setdefault(message.sender.id, {})[message.key] = message

    def end(self, message: ClientMessage) -> Iterator[ClientMessage]:
        """Learn that a message with a key is over; yield those that are forgotten for it."""
        self._over[message.number] = message
        self._receivers += len(message.statuses)
        mine = [one for one in self._by_key[message.sender.id].values() if one.is_over]
        if len(mine) > MAX_OF_CLIENT:
            self.forget(mine[0])
            yield mine[0]
        while len(self._over) > MAX_OF_ALL or self._receivers > MAX_RECEIVERS:
            oldest = next(iter(self._over.values()))
            self.forget(oldest)
            yield oldest

    def forget(self, message: ClientMessage) -> None:
        """Forget a message: its key is free."""
        if self._over.pop(message.number, None) is not None:
            self._receivers -= len(message.statuses)
        if message.key:
            mine = self._by_key[message.sender.id]
            del mine[message.key]
            if not mine:
                del self._by_key[message.sender.id]
