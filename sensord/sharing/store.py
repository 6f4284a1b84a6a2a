"""The store: small things that clients were promised, kept across restarts and power cuts.

One SQLite file, read once at the start and written by a thread of its own. What is put while the
thread works is written together in its next transaction, in order; whoever put it is called back
when it is on the disk.

Theory of operation. A change with a ``done`` is a question: if the disk cannot take it, it is
dropped and ``done`` is told why, so whoever asked can say so. A change without one must reach the
disk some time: it is tried again until it does.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

from sensord.errors import SensordError
from sensord.model.readings import Value

__all__ = ["Done", "Store", "StoreError"]

log = logging.getLogger("sensord.store")

FILE_NAME = "clients.sqlite3"

OWNER_ONLY = 0o600
"""The file holds what clients' keys are signed with."""

MAX_WAITING = 50_000
"""Changes that may wait for the disk: seconds of them. Beyond it they are refused."""

RETRY_S = 1.0
"""After a failure, what must be kept is tried again so often, and with every new change."""

CLOSE_S = 5.0
"""How long a hanging disk may hold up the end."""

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
        self._newest: dict[tuple[str, str], int] = {}
        """By kind and key, the place in ``_waiting`` of the newest change."""
        self._wake = threading.Condition()
        self._is_closing = False
        self._written: list[tuple[list[Done], StoreError | None]] = []
        """What became of changes, for the loop to tell."""
        self._is_failing = False
        self._failed = 0  # changes that are tried again
        self._thread: threading.Thread | None = None
        if folder is None:
            return
        self._database = self._open(folder / FILE_NAME)
        self._thread = threading.Thread(target=self._write, name="store-write", daemon=True)
        self._thread.start()

    def _open(self, path: Path) -> sqlite3.Connection:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY))
            database = sqlite3.connect(path, check_same_thread=False)
        except (OSError, sqlite3.Error) as exc:
            raise StoreError(f"{path}: {exc}") from exc
        try:
            ((verdict,),) = database.execute("PRAGMA quick_check(1)")
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute(_SCHEMA)
            database.commit()
            for kind, key, text in database.execute("SELECT kind, key, value FROM entries"):
                self._entries.setdefault(kind, {})[key] = json.loads(text)
        except (sqlite3.Error, ValueError) as exc:
            database.close()
            text = f"{path}: {exc}; if it is damaged, move it away and start again: clients then"
            raise StoreError(f"{text} get new ids") from exc
        return database

    def load(self, kind: str) -> dict[str, Value]:
        """Return what was kept of one kind when the store was opened; to be asked once."""
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
        """Write what waits, tell what became of it, and close the file."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        if self._thread is None:
            return
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            log.error("the disk hangs, clients' last changes are not kept")
            return
        self._thread = None
        self._database.close()
        # At once, for the loop may not turn again: what was kept is told, audited and recorded.
        for told, error in self._take_written():
            for done in told:
                done(error)

    def _change(self, change: _Change) -> None:
        change.key.encode()  # a key that is no text would stop the thread
        if self._thread is None:
            if change.done is not None:
                self._loop.call_soon(change.done, None)
            return
        with self._wake:
            self._note(change)
            self._wake.notify()

    def _note(self, change: _Change) -> None:
        place = self._newest.get(change[:2])
        if place is not None and change.done is None and self._waiting[place].done is None:
            # It will not be seen: a state that changes often costs one row.
            self._waiting[place] = change
            return
        if len(self._waiting) >= MAX_WAITING:
            raise StoreError(f"{MAX_WAITING} changes wait for the disk; try again later")
        self._newest[change[:2]] = len(self._waiting)
        self._waiting.append(change)

    # -- the thread --------------------------------------------------------------------------------

    def _write(self) -> None:
        try:
            while self._write_some():
                pass
        except Exception as exc:  # noqa: BLE001  # carried to the loop, which ends the daemon
            self._on_loop(_raise, exc)

    def _write_some(self) -> bool:
        """Write what waits; return whether to go on."""
        with self._wake:
            if self._is_failing and len(self._waiting) == self._failed and not self._is_closing:
                self._wake.wait(RETRY_S)
            while not self._waiting and not self._is_closing:
                self._wake.wait()
            changes, self._waiting = self._waiting, []
            self._newest.clear()
            is_last = self._is_closing
        if not changes:
            return False
        error = self._commit(changes)
        told = [change.done for change in changes if change.done is not None]
        if error is not None:
            kept = [change for change in changes if change.done is None]
            with self._wake:
                fresh, self._waiting, self._failed = self._waiting, kept, len(kept)
                self._newest = {change[:2]: place for place, change in enumerate(kept)}
                for change in fresh:
                    self._newest[change[:2]] = len(self._waiting)
                    self._waiting.append(change)
        if told:
            with self._wake:
                self._written.append((told, error))
            self._on_loop(self._tell)
        return not (is_last and error is not None)

    def _commit(self, changes: list[_Change]) -> StoreError | None:
        try:
            with self._database:
                for kind, key, text, _ in changes:
                    if text is None:
                        self._database.execute(_DELETE, (kind, key))
                    else:
                        self._database.execute(_PUT, (kind, key, text))
        except sqlite3.Error as exc:
            if not self._is_failing:
                log.error("clients' state is not kept", extra={"reason": str(exc)})
            self._is_failing = True
            return StoreError(f"the disk does not take it: {exc}")
        if self._is_failing:
            log.info("clients' state is kept again")
        self._is_failing = False
        return None

    def _tell(self) -> None:
        for told, error in self._take_written():
            for done in told:
                self._loop.call_soon(done, error)  # each of its own: none hinders the others

    def _take_written(self) -> list[tuple[list[Done], StoreError | None]]:
        with self._wake:
            written, self._written = self._written, []
        return written

    def _on_loop(self, call: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            log.debug("nobody is left to tell")  # the loop was closed meanwhile


def _raise(exc: Exception) -> NoReturn:
    raise exc
