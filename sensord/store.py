"""The store: small things that clients were promised, kept across restarts and power cuts.

One SQLite file, read once at the start and written by a thread of its own. What is put while the
thread works is written together in its next transaction, in order; whoever put it is called back
when it is on the disk.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sensord.errors import SensordError
from sensord.model import Value

__all__ = ["Done", "Store", "StoreError"]

log = logging.getLogger("sensord.store")

FILE_NAME = "clients.sqlite3"

MAX_WAITING = 10_000
"""Changes that may wait for the disk: seconds of them. Beyond it they are refused."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID
"""
_PUT = "INSERT INTO entries VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
_DELETE = "DELETE FROM entries WHERE kind = ? AND key = ?"

Done = Callable[[Exception | None], None]
"""Called on the loop when a change is on the disk, or cannot be brought there."""


class StoreError(SensordError):
    """The store cannot be opened or written; the text says why."""


class _Change(NamedTuple):
    kind: str
    key: str
    text: str | None  # None deletes
    done: Done | None


class Store:
    """A durable map from (kind, key) to a JSON value."""

    def __init__(self, folder: Path | None, loop: asyncio.AbstractEventLoop) -> None:
        """Open it; without a folder nothing outlives the process.

        Raises:
            StoreError: The file cannot be used.
        """
        self.is_durable = folder is not None
        self._loop = loop
        self._entries: dict[str, dict[str, Value]] = {}
        self._waiting: list[_Change] = []
        self._wake = threading.Condition()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        if folder is None:
            return
        try:
            self._database = sqlite3.connect(folder / FILE_NAME, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute(_SCHEMA)
            self._database.commit()
            for kind, key, text in self._database.execute("SELECT kind, key, value FROM entries"):
                self._entries.setdefault(kind, {})[key] = json.loads(text)
        except (sqlite3.Error, ValueError) as exc:
            raise StoreError(f"{folder / FILE_NAME}: {exc}") from exc
        self._thread = threading.Thread(target=self._write, name="store-write", daemon=True)
        self._thread.start()

    def load(self, kind: str) -> dict[str, Value]:
        """Return what was kept of one kind when the store was opened."""
        return self._entries.pop(kind, {})

    def put(self, kind: str, key: str, value: Value, done: Done | None = None) -> None:
        """Keep a value.

        Raises:
            StoreError: Too much waits for the disk already.
        """
        text = json.dumps(value, ensure_ascii=True, allow_nan=False)
        self._change(_Change(kind, key, text, done))

    def delete(self, kind: str, key: str, done: Done | None = None) -> None:
        """Forget a value.

        Raises:
            StoreError: Too much waits for the disk already.
        """
        self._change(_Change(kind, key, None, done))

    def close(self) -> None:
        """Write what waits and close the file."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
            self._database.close()

    def _change(self, change: _Change) -> None:
        if self._thread is None:
            if change.done is not None:
                self._loop.call_soon(change.done, None)
            return
        with self._wake:
            if len(self._waiting) >= MAX_WAITING:
                raise StoreError(f"{MAX_WAITING} changes wait for the disk; try again later")
            self._waiting.append(change)
            self._wake.notify()

    def _write(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._is_closing:
                    self._wake.wait()
                changes, self._waiting = self._waiting, []
            if not changes:
                return
            error: Exception | None = None
            try:
                with self._database:
                    for kind, key, text, _ in changes:
                        if text is None:
                            self._database.execute(_DELETE, (kind, key))
                        else:
                            self._database.execute(_PUT, (kind, key, text))
            except sqlite3.Error as exc:
                error = StoreError(f"cannot be kept: {exc}")
                log.error("not kept", extra={"changes": len(changes), "reason": str(exc)})
            told = [change.done for change in changes if change.done is not None]
            if told:
                self._tell(told, error)

    def _tell(self, told: list[Done], error: Exception | None) -> None:
        def call() -> None:
            for done in told:
                done(error)

        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            log.debug("nobody is left to tell")  # the loop was closed meanwhile
