"""The store: small things that clients were promised, kept across restarts and power cuts.

One SQLite file (`store_file`), read once at the start and written by a thread of its own. Changes
made while the thread works are written together in its next transaction, in order; ``done`` is
called when they are on the disk.

Theory of operation. If the disk cannot take a change with a ``done``, the change is dropped and
``done`` is called with the error, so that the caller can report it. A change without one must reach
the disk eventually: it is retried until it does. A file that cannot be written at the start is
treated alike: its rows are read as far as possible, and each change tries to open it again.

A folder that comes later, or a disk that answers later, is opened when it does. Rows found then
are *joined* on the loop before anything is written: of a key that the file has, a waiting change is
dropped, and ``on_late`` has every owner of rows load them beside what it has by then. Changes with
a ``done`` were refused until then, so nothing that a client was promised competes with a row.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

from sensord.model.readings import Value
from sensord.sharing.store_file import FILE_NAME, Rows, StoreError, StoreFile, Write

__all__ = ["FILE_NAME", "Done", "Store", "StoreError"]

log = logging.getLogger("sensord.store")

MAX_WAITING = 50_000
MAX_WAITING_BYTES = 8 * 1024 * 1024
"""Changes that may wait for the disk, some seconds' worth; more are refused."""

CHANGE_BYTES = 200
"""The size of a change without its text."""

RETRY_S = 1.0
"""The pause before a retry after a failure; every new change retries, too."""

OPEN_S = 10.0
"""How long a hanging disk may delay the start."""

HANGS = "the disk does not answer"

CLOSE_S = 5.0
"""How long a hanging disk may delay the stop."""

Done = Callable[[Exception | None], None]
"""Called on the loop when a change is on the disk or has failed."""


class _Change(NamedTuple):
    kind: str
    key: str
    text: str | None  # None deletes
    done: Done | None

    @property
    def size(self) -> int:
        """The memory that it takes while it waits."""
        return CHANGE_BYTES + len(self.key) + len(self.text or "")


class Store:
    """A durable map from (kind, key) to a JSON value."""

    def __init__(
        self, folder: Path | None, loop: asyncio.AbstractEventLoop, *, refusal: str = ""
    ) -> None:
        """Keep values in a folder; without one, nothing outlives the process.

        ``refusal`` is the reason why a configured folder is missing: then every change with a
        ``done`` is refused, and the others wait, until `open_late`.
        """
        self._loop = loop
        self._refusal = refusal
        self._entries: dict[str, dict[str, Value]] = {}
        self._waiting: list[_Change] = []
        self._waiting_bytes = 0
        self._newest: dict[tuple[str, str], int] = {}
        """By kind and key, the index in ``_waiting`` of the newest change."""
        self._wake = threading.Condition()
        self._is_closing = False
        self._writing = 0  # changes that the thread is bringing to the disk
        self._written: list[tuple[list[Done], StoreError | None]] = []
        """Results of changes, for the loop to report."""
        self._is_failing = False
        self._failed = 0  # changes that are retried
        self._reason = refusal  # of the last failure
        self._file = None if folder is None else StoreFile(folder)
        self._found: list[tuple[str, str, str]] = []
        """The rows for the start: kind, key and text."""
        self._has_opened = False
        self.on_late: Callable[[], None] = _nothing
        """Called on the loop when rows came late: they can be loaded now."""
        self._late: Rows | None = None
        """Rows that came late, until they are joined."""
        self._known = _digest({})
        """The digest of the rows that were restored."""
        self._refused: tuple[float, StoreError] | None = None
        """When opening failed last, and why."""
        self._thread: threading.Thread | None = None

    @property
    def is_durable(self) -> bool:
        """Whether values outlive the process."""
        return self._file is not None

    def open(self, *, is_expected: bool = False) -> None:
        """Read the file, and start the writing thread.

        With ``is_expected``, a missing file counts as damage. The log names what is damaged. It
        also names a file that cannot be written; changes are refused until it can be.
        """
        if self._file is None or self._refusal:
            return
        self._begin(is_expected=is_expected)
        with self._wake:
            if not self._wake.wait_for(lambda: self._has_opened, OPEN_S):
                self._refusal = self._reason = HANGS
                log.error("clients' state is not kept", extra={"reason": HANGS})
                return
        self._restore(self._found)
        self._found = []

    def open_late(self) -> None:
        """Open the file in a folder that was missing at the start."""
        if self._file is not None and self._thread is None and not self._is_closing:
            self._begin(is_expected=False)

    def _restore(self, rows: list[tuple[str, str, str]]) -> None:
        for kind, key, text in rows:
            try:
                self._entries.setdefault(kind, {})[key] = json.loads(text)
            except ValueError as exc:
                found = {"kind": kind, "key": key, "reason": str(exc)}
                log.error("clients' state is damaged", extra=found)

    def load(self, kind: str) -> dict[str, Value]:
        """Return the values of one kind from when the store was opened; call it once.

        If rows come late, call it again in ``on_late``.
        """
        return self._entries.pop(kind, {})

    def put(self, kind: str, key: str, value: Value, done: Done | None = None) -> None:
        """Keep a value.

        Raises:
            StoreError: Too many changes wait for the disk.
        """
        text = json.dumps(value, ensure_ascii=True, allow_nan=False)
        self._change(_Change(kind, key, text, done))

    def delete(self, kind: str, key: str, done: Done | None = None) -> None:
        """Forget a value.

        Raises:
            StoreError: Too many changes wait for the disk.
        """
        self._change(_Change(kind, key, None, done))

    def close(self) -> None:
        """Write what waits, report the results, and close the file.

        Raises:
            StoreError: Changes are not kept; the text has the reason.
        """
        with self._wake:
            self._is_closing = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(CLOSE_S)
            if self._thread.is_alive():
                raise StoreError(f"the disk hangs, {self._unkept()}")
            self._thread = None
            assert self._file is not None
            self._file.close()
        # At once, as the loop may not turn again: results must reach the audit and the journal.
        for callbacks, error in self._take_written():
            for done in callbacks:
                done(error)
        if self._waiting:
            unkept, self._waiting = self._unkept(), []
            raise StoreError(f"{unkept}: {self._reason}")

    def _unkept(self) -> str:
        kinds = sorted({change.kind for change in self._waiting})
        count = len(self._waiting) + self._writing
        return f"{count} changes of clients' state are not kept ({', '.join(kinds) or 'the last'})"

    def _change(self, change: _Change) -> None:
        change.key.encode()  # a key that cannot be encoded would stop the thread
        with self._wake:
            refusal = self._refusal
            if self._file is not None and not (refusal and change.done is not None):
                self._note(change)
                self._wake.notify_all()
                return
        if change.done is not None:
            self._loop.call_soon(change.done, StoreError(refusal) if refusal else None)

    def _note(self, change: _Change) -> None:
        place = self._newest.get(change[:2])
        if place is not None and change.done is None and self._waiting[place].done is None:
            # Replaced before it was written: a state that changes often costs one row.
            self._waiting_bytes += change.size - self._waiting[place].size
            self._waiting[place] = change
            return
        if len(self._waiting) >= MAX_WAITING:
            raise StoreError(f"{MAX_WAITING} changes wait for the disk; try again later")
        if self._waiting_bytes + change.size > MAX_WAITING_BYTES:
            raise StoreError(f"{MAX_WAITING_BYTES} bytes wait for the disk; try again later")
        self._wait(change)

    def _wait(self, change: _Change) -> None:
        self._newest[change[:2]] = len(self._waiting)
        self._waiting.append(change)
        self._waiting_bytes += change.size

    # -- the thread --------------------------------------------------------------------------------

    def _begin(self, *, is_expected: bool) -> None:
        run = functools.partial(self._run, is_expected=is_expected)
        self._thread = threading.Thread(target=run, name="store-write", daemon=True)
        self._thread.start()

    def _run(self, *, is_expected: bool) -> None:
        try:
            self._open(is_expected=is_expected)
            while self._write_some():
                pass
        except Exception as exc:  # noqa: BLE001  # carried to the loop, which ends the daemon
            self._on_loop(_raise, exc)
        finally:
            with self._wake:
                self._has_opened = True
                self._wake.notify_all()

    def _open(self, *, is_expected: bool) -> None:
        """Open the file; keep its rows for the start, if that still waits for them."""
        file, error = self._file, None
        assert file is not None
        try:
            file.open(is_expected=is_expected)
        except StoreError as exc:
            error = exc
        _name_damage(file)
        with self._wake:
            if self._refusal and file.rows and error is None:
                self._late = file.rows
            else:
                if not self._refusal:
                    self._found = [(row.kind, row.key, row.text) for row in file.rows.values()]
                    self._known = _digest(file.rows)
                self._refusal = ""
            if error is not None:
                self._fail(error)
            self._has_opened = True
            self._wake.notify_all()
        file.rows = {}

    def _another(self) -> StoreError:
        assert self._file is not None
        return StoreError(f"{self._file.path} has rows that the start did not read; restart")

    def _join(self) -> None:
        """Have rows that came late loaded beside what was made meanwhile."""
        with self._wake:
            if self._late is None or self._is_closing:
                return
            rows, self._refusal = self._late, ""
            self._drop_known(rows)
        self._restore([(row.kind, row.key, row.text) for row in rows.values()])
        self.on_late()
        log.info("clients' state came late and is joined", extra={"rows": len(rows)})
        with self._wake:
            self._late = None
            self._wake.notify_all()

    def _wait_for_join(self) -> None:
        """Write nothing until late rows are joined; a stop keeps them as they are."""
        if self._late is None:
            return
        self._on_loop(self._join)
        with self._wake:
            self._wake.wait_for(lambda: self._late is None or self._is_closing)
            unjoined, self._late = self._late, None
            self._drop_known(unjoined or {})

    def _drop_known(self, rows: Rows) -> None:
        """Drop the waiting changes of rows that the file has; of these no client waits."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._newest.clear()
        for change in waiting:
            if change[:2] not in rows:
                self._wait(change)

    def _write_some(self) -> bool:
        """Write what waits; return whether to continue."""
        self._wait_for_join()
        with self._wake:
            if self._is_failing and len(self._waiting) == self._failed and not self._is_closing:
                self._wake.wait(RETRY_S)
            while not self._waiting and not self._is_closing:
                self._wake.wait()
            changes, self._waiting, self._waiting_bytes = self._waiting, [], 0
            self._newest.clear()
            self._writing = len(changes)
            is_last = self._is_closing
        if not changes:
            return False
        error = self._commit(changes)
        callbacks = [change.done for change in changes if change.done is not None]
        if error is not None:
            kept = [change for change in changes if change.done is None]
            with self._wake:
                fresh, self._waiting, self._waiting_bytes = self._waiting, [], 0
                self._newest.clear()
                self._failed = len(kept)
                for change in kept + fresh:
                    self._wait(change)
        self._writing = 0
        if callbacks:
            with self._wake:
                self._written.append((callbacks, error))
            self._on_loop(self._tell)
        return not (is_last and error is not None)

    def _commit(self, changes: list[_Change]) -> StoreError | None:
        assert self._file is not None
        try:
            if not self._file.is_open:
                self._open_again(self._file)
            self._file.write(Write(kind, key, text) for kind, key, text, _ in changes)
        except StoreError as exc:
            self._fail(exc)
            return exc
        if self._is_failing:
            log.info("clients' state is kept again")
        self._is_failing = False
        return None

    def _open_again(self, file: StoreFile) -> None:
        """Open a file that could not be written before.

        Raises:
            StoreError: It still cannot be, or it is not the one that was read.
        """
        now = time.monotonic()
        if self._refused is not None and now - self._refused[0] < RETRY_S:
            raise self._refused[1]
        try:
            file.open()
            if _digest(file.rows) != self._known:
                if self._known == _digest({}):  # nothing was restored: they can be joined
                    with self._wake:
                        self._late, self._refusal = file.rows, HANGS
                    raise StoreError(f"{file.path} is read now; try again")
                file.close()
                raise self._another()
        except StoreError as exc:
            self._refused = now, exc
            raise
        _name_damage(file)
        file.rows = {}

    def _fail(self, exc: StoreError) -> None:
        if not self._is_failing:
            log.error("clients' state is not kept", extra={"reason": str(exc)})
        self._is_failing, self._reason = True, str(exc)

    def _tell(self) -> None:
        for callbacks, error in self._take_written():
            for done in callbacks:
                self._loop.call_soon(done, error)  # separately, so that none affects the others

    def _take_written(self) -> list[tuple[list[Done], StoreError | None]]:
        with self._wake:
            written, self._written = self._written, []
        return written

    def _on_loop(self, call: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            log.debug("nobody waits for the outcome any more")  # the loop was closed meanwhile


def _nothing() -> None:
    """Leave late rows unused."""


def _raise(exc: Exception) -> NoReturn:
    raise exc


def _name_damage(file: StoreFile) -> None:
    for finding in file.findings:
        log.error("clients' state is damaged", extra={"file": str(file.path), "finding": finding})


def _digest(rows: Rows) -> str:
    texts = sorted((row.kind, row.key, row.text) for row in rows.values())
    return hashlib.sha256(repr(texts).encode()).hexdigest()
