"""A store whose disk a test fills and keeps; it keeps the promises of the real one."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from sensord.sharing.store import Store, StoreError, _Change

__all__ = ["Disk", "ManualStore"]


class Disk:
    """What outlives a process."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.is_full = False
        self.is_slow = False
        """Nothing reaches it before the test calls `ManualStore.commit`."""

    def kind(self, kind: str) -> dict[str, Any]:
        """Return what is on it of one kind."""
        found = self.entries.items()
        return {key: json.loads(text) for (name, key), text in found if name == kind}


class ManualStore(Store):
    """Writes to a `Disk` in the loop's next turn."""

    def __init__(self, disk: Disk, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(None, loop)
        self.disk = disk
        self._pending: list[_Change] = []
        self._turn: asyncio.Handle | None = None
        for (kind, key), text in disk.entries.items():
            self._entries.setdefault(kind, {})[key] = json.loads(text)

    @property
    def is_durable(self) -> bool:
        return True

    def _change(self, change: _Change) -> None:
        self._pending.append(change)
        if self._turn is None and not self.disk.is_slow:
            self._turn = self._loop.call_soon(self.commit)

    def commit(self) -> None:
        """Bring to the disk what waits, or say that it does not go."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        pending, self._pending = self._pending, []
        error = StoreError("full") if self.disk.is_full else None
        for change in pending:
            if error is None:
                if change.text is None:
                    self.disk.entries.pop((change.kind, change.key), None)
                else:
                    self.disk.entries[change.kind, change.key] = change.text
            elif change.done is None:
                self._pending.append(change)
            if change.done is not None:
                self._loop.call_soon(change.done, error)

    def crash(self) -> None:
        """Lose what did not reach the disk."""
        self._pending.clear()
        if self._turn is not None:
            self._turn.cancel()

    def close(self) -> None:
        self.commit()
