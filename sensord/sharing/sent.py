"""Letters by their senders' keys: those on their way and, for a while, those that are over. Pure.

So a letter that is sent again with the same key is found, and is no second one.
"""

from __future__ import annotations

from collections.abc import Iterator

from sensord.sharing.messages import Letter

__all__ = ["Remembered"]

MAX_OF_CLIENT = 100
MAX_OF_ALL = 10_000
MAX_RECEIVERS = 100_000
"""Of letters that are over; beyond it the oldest is forgotten."""


class Remembered:
    """What is found by a key."""

    def __init__(self) -> None:
        self._by_key: dict[str, dict[str, Letter]] = {}  # by sender and key, the oldest first
        self._over: dict[int, Letter] = {}  # by number; the first one is forgotten first
        self._receivers = 0

    @property
    def oldest(self) -> Letter | None:
        """The one of those that are over that is forgotten first."""
        return next(iter(self._over.values()), None)

    def find(self, sender: str, key: str) -> Letter | None:
        """Return the letter that was sent with a key."""
        return self._by_key.get(sender, {}).get(key) if key else None

    def add(self, letter: Letter) -> None:
        """Remember a letter, if it has a key."""
        if letter.key:
            self._by_key.setdefault(letter.sender.id, {})[letter.key] = letter

    def end(self, letter: Letter) -> Iterator[Letter]:
        """Learn that a letter with a key is over; yield those that are forgotten for it."""
        self._over[letter.number] = letter
        self._receivers += len(letter.statuses)
        mine = [one for one in self._by_key[letter.sender.id].values() if one.is_over]
        if len(mine) > MAX_OF_CLIENT:
            self.forget(mine[0])
            yield mine[0]
        while len(self._over) > MAX_OF_ALL or self._receivers > MAX_RECEIVERS:
            oldest = next(iter(self._over.values()))
            self.forget(oldest)
            yield oldest

    def forget(self, letter: Letter) -> None:
        """Forget a letter: its key is free."""
        if self._over.pop(letter.number, None) is not None:
            self._receivers -= len(letter.statuses)
        if letter.key:
            mine = self._by_key[letter.sender.id]
            del mine[letter.key]
            if not mine:
                del self._by_key[letter.sender.id]
