"""Messages by their senders' keys: open ones and, for a while, those that have ended. Pure.

So sending again with the same key finds the first message instead of making a second one.
"""

from __future__ import annotations

from collections.abc import Iterator

from sensord.sharing.messages import ClientMessage

__all__ = ["SentMessages"]

MAX_OF_CLIENT = 100
MAX_OF_ALL = 10_000
MAX_RECEIVERS = 100_000
"""The bound on ended messages; beyond it the oldest is forgotten."""


class SentMessages:
    """The messages that have a key."""

    def __init__(self) -> None:
        self._by_key: dict[
            str, dict[str, ClientMessage]
        ] = {}  # by sender and key, the oldest first
        self._over: dict[int, ClientMessage] = {}  # by number; the first one is forgotten first
        self._receivers = 0

    @property
    def oldest(self) -> ClientMessage | None:
        """The ended message that is forgotten first."""
        return next(iter(self._over.values()), None)

    def find(self, sender: str, key: str) -> ClientMessage | None:
        """Return the message that was sent with a key."""
        return self._by_key.get(sender, {}).get(key) if key else None

    def add(self, message: ClientMessage) -> None:
        """Add a message, if it has a key."""
        if message.key:
            self._by_key.setdefault(message.sender.id, {})[message.key] = message

    def end(self, message: ClientMessage) -> Iterator[ClientMessage]:
        """Move a message with a key to the ended ones; yield those forgotten for it."""
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
        """Forget a message, which frees its key."""
        if self._over.pop(message.number, None) is not None:
            self._receivers -= len(message.statuses)
        if message.key:
            mine = self._by_key[message.sender.id]
            del mine[message.key]
            if not mine:
                del self._by_key[message.sender.id]
