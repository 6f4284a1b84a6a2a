"""The store's file: rows with checksums in SQLite, and the repair of a damaged file.

Theory of operation. A row carries the number of the transaction that wrote it and a checksum over
all of it. A small file beside it, the *recent changes*, records which transaction changed which
keys. If SQLite has lost its newest transactions (a damaged write-ahead log loses everything behind
the damage), the rows that they changed are known to be out of date and are left out.

A damaged file is read page by page (`store_pages`), set aside under another name, and replaced by a
new one with the intact rows. So every row that is read was written so, and is current.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from sensord.errors import SensordError
from sensord.sharing.store_pages import Row, checksum, rows_in

__all__ = ["FILE_NAME", "Rows", "StoreError", "StoreFile", "Write"]

FILE_NAME = "clients.sqlite3"
RECENT_NAME = "clients.recent"
DAMAGED = ".damaged"
"""The suffix of a file that was set aside; a newer one replaces it."""

OWNER_ONLY = 0o600
"""Private, because the file has the secret that signs clients' keys."""

MOST_RECENT_BYTES = 64 * 1024
"""Most recent changes, 24 bytes each; beyond it SQLite's log is checkpointed."""

MOST_NAMED = 20
"""Damaged rows that the log names; the others are counted."""

_SCHEMA = """CREATE TABLE entries (
    kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    sequence INTEGER NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID"""
_OLD_SCHEMA = """CREATE TABLE entries (
    kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID"""
_PUT = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)"
_DELETE = "DELETE FROM entries WHERE kind = ? AND key = ?"


class StoreError(SensordError):
    """The store cannot be opened or written; the text gives the reason."""


class Write(NamedTuple):
    """A change of one row."""

    kind: str
    key: str
    text: str | None  # None deletes


Rows = dict[tuple[str, str], Row]


class StoreFile:
    """The rows on the disk."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self.rows: Rows = {}
        """The rows that `open` found, also if it could not open the file for writing."""
        self.findings: list[str] = []
        """The damages that `open` found."""
        self._database: sqlite3.Connection | None = None
        self._recent = _Recent(folder / RECENT_NAME)
        self._sequence = 0
        self._inodes: dict[Path, int] = {}

    @property
    def is_open(self) -> bool:
        """Whether it can be written."""
        return self._database is not None

    @property
    def database(self) -> sqlite3.Connection:
        """The open file."""
        assert self._database is not None
        return self._database

    @property
    def _wal(self) -> Path:
        return self.path.with_name(f"{FILE_NAME}-wal")

    # -- opening -----------------------------------------------------------------------------------

    def open(self, *, is_expected: bool = False) -> None:
        """Read the rows, repair damage, and open the file for writing.

        With ``is_expected``, a missing file counts as damage.

        Raises:
            StoreError: It cannot be written; ``rows`` has what could be read.
        """
        self.rows, self.findings = {}, []
        changes: list[_Changed] = []
        wal = b""
        try:
            changes, fault = self._recent.read()
            if fault:
                self.findings.append(fault)
            # SQLite removes the unusable part of its log: read the log before opening it.
            wal = _read(self._wal)
            size = _make(self.path)
            if not size and (is_expected or changes or wal):
                self._mend(changes, wal, ["the file is missing or empty"])
            else:
                self._open_whole(changes, wal)
        except OSError as exc:
            with contextlib.suppress(OSError):
                self._salvage(changes, wal)
            raise StoreError(f"{self.path}: {exc.strerror or exc}") from exc
        sequences = [row.sequence for row in self.rows.values()]
        self._sequence = max([0, *sequences, *(change.sequence for change in changes)])
        self._recent.reset()

    def _open_whole(self, changes: list[_Changed], wal: bytes) -> None:
        try:
            if self._connect():
                self._upgrade()
                return
            damage = self._load()
        except (sqlite3.Error, ValueError) as exc:
            if _is_passing(exc):
                raise OSError(None, str(exc)) from exc
            damage = [str(exc)]
        if damage or any(_out_of_date(self.rows, changes)):
            self._mend(changes, wal, damage)

    def _connect(self) -> bool:
        """Open the file with SQLite; return whether its rows have no checksums yet.

        Raises:
            sqlite3.Error, ValueError: It is damaged or unusable.
        """
        self._database = database = sqlite3.connect(self.path, check_same_thread=False)
        verdicts = [str(verdict) for (verdict,) in database.execute("PRAGMA quick_check(3)")]
        if verdicts != ["ok"]:
            raise ValueError("; ".join(verdicts))
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        # A repair must not find deleted or replaced rows in a damaged file.
        database.execute("PRAGMA secure_delete = ON")
        made = [str(sql).split() for (sql,) in database.execute("SELECT sql FROM sqlite_master")]
        if not made:
            database.execute(_SCHEMA)
            database.commit()
        elif made not in ([_SCHEMA.split()], [_OLD_SCHEMA.split()]):
            raise ValueError("the table is described in another way")
        self._inodes = {path: path.stat().st_ino for path in (self.path, self._wal)}
        return made == [_OLD_SCHEMA.split()]

    def _load(self) -> list[str]:
        """Read all rows, and return their faults."""
        bad = 0
        for columns in self.database.execute("SELECT * FROM entries"):
            row = _row(columns)
            if row is not None and row.is_whole:
                self.rows[row.kind, row.key] = row
            else:
                bad += 1
        return [f"rows with another checksum: {bad}"] if bad else []

    def _upgrade(self) -> None:
        """Add checksums to the rows of an old store."""
        for kind, key, text in self.database.execute("SELECT kind, key, value FROM entries"):
            self.rows[kind, key] = Row(kind, key, text, 1, checksum(kind, key, text, 1))
        self._replace(sets_aside=False)

    # -- repair ------------------------------------------------------------------------------------

    def _mend(self, changes: list[_Changed], wal: bytes, damage: list[str]) -> None:
        """Make a new file from the intact rows of a damaged one."""
        self.findings += damage
        self._salvage(changes, wal)
        self._replace()

    def _salvage(self, changes: list[_Changed], wal: bytes) -> None:
        """Read the rows without SQLite."""
        self._disconnect()
        self.rows, bad = {}, []
        for row in rows_in(_read(self.path), wal):
            known = self.rows.get((row.kind, row.key))
            if not row.is_whole:
                bad.append(row)
            elif known is None or known.sequence < row.sequence:
                self.rows[row.kind, row.key] = row
        self.findings += _named(bad, "has another checksum, it is left out")
        stale, missing = _out_of_date(self.rows, changes)
        for row in stale:
            del self.rows[row.kind, row.key]
        self.findings += _named(stale, "is out of date, its last change is lost; it is left out")
        if missing:
            self.findings.append(f"{missing} of the rows that were written last are missing")

    def _replace(self, *, sets_aside: bool = True) -> None:
        """Replace the file by a new one with the known rows.

        Raises:
            StoreError: The old one stays.
        """
        try:
            self._disconnect()
            part = self.path.with_name(f"{FILE_NAME}.part")
            _write_new(part, self.rows.values())
            if sets_aside:
                for path in (self.path, self._wal):
                    _set_aside(path)
            # SQLite would read an old log as that of the new file.
            for suffix in ("-wal", "-shm"):
                self.path.with_name(FILE_NAME + suffix).unlink(missing_ok=True)
            part.replace(self.path)
            _sync_folder(self.path.parent)
            self._connect()
        except (OSError, ValueError, sqlite3.Error) as exc:
            self._disconnect()
            raise StoreError(f"{self.path}: {exc}") from exc

    # -- writing -----------------------------------------------------------------------------------

    def write(self, writes: Iterable[Write]) -> None:
        """Write changes to the disk, all of them or none.

        Raises:
            StoreError: No change was written.
        """
        writes = list(writes)
        self._look_for_file()
        sequence = self._sequence + 1
        try:
            with self.database as database:
                for kind, key, text in writes:
                    if text is None:
                        database.execute(_DELETE, (kind, key))
                    else:
                        check = checksum(kind, key, text, sequence)
                        database.execute(_PUT, (kind, key, text, sequence, check))
        except sqlite3.Error as exc:
            raise StoreError(f"the disk does not take it: {exc}") from exc
        self._sequence = sequence
        if self._recent.note(sequence, writes) > MOST_RECENT_BYTES:
            self._checkpoint()

    def _look_for_file(self) -> None:
        """Make the file again if it was removed, because SQLite would write to it without an error.

        Raises:
            StoreError: It was replaced by another file, or cannot be made.
        """
        try:
            found = {path: path.stat().st_ino for path in self._inodes if path.exists()}
        except OSError as exc:
            raise StoreError(f"{self.path}: {exc.strerror}") from exc
        if found == self._inodes:
            return
        if self.path in found and found[self.path] != self._inodes[self.path]:
            raise StoreError(f"{self.path} was replaced by another file; restart the daemon")
        try:
            rows = [Row(*columns) for columns in self.database.execute("SELECT * FROM entries")]
        except sqlite3.Error as exc:
            raise StoreError(f"{self.path} was removed: {exc}") from exc
        self.rows = {(row.kind, row.key): row for row in rows}
        self._replace(sets_aside=False)
        self.rows = {}

    def _checkpoint(self) -> None:
        """Checkpoint SQLite's log into the file, so that damage to the log loses nothing."""
        try:
            ((is_busy, _, _),) = self.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:
            return  # the next commit reports the fault
        if not is_busy:
            self._recent.reset()

    def close(self) -> None:
        """Close the file."""
        self._disconnect()
        self._recent.close()

    def _disconnect(self) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None


class _Changed(NamedTuple):
    """A key that a transaction changed."""

    sequence: int
    digest: int
    deletes: bool


class _Recent:
    """The keys that were changed since SQLite's log was last checkpointed.

    Written after each commit and never synced: it may lack the newest changes, but has none that
    was not committed.
    """

    RECORD = struct.Struct("<QQI")
    CHECK = struct.Struct("<I")
    SIZE = RECORD.size + CHECK.size

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def read(self) -> tuple[list[_Changed], str]:
        """Return its changes, and its fault if any."""
        content = _read(self._path)
        found, bad = [], len(content) % self.SIZE > 0
        for at in range(0, len(content) - self.SIZE + 1, self.SIZE):
            record = content[at : at + self.RECORD.size]
            (check,) = self.CHECK.unpack_from(content, at + self.RECORD.size)
            if check == zlib.crc32(record) and any(record):
                sequence, digest, deletes = self.RECORD.unpack(record)
                found.append(_Changed(sequence, digest, bool(deletes)))
            else:
                bad = True
        return found, f"{RECENT_NAME} is damaged" if bad else ""

    def note(self, sequence: int, writes: Iterable[Write]) -> int:
        """Add committed changes; return the size of the file, or 0 if it cannot be written."""
        records = b""
        for kind, key, text in writes:
            record = self.RECORD.pack(sequence, digest_of(kind, key), text is None)
            records += record + self.CHECK.pack(zlib.crc32(record))
        try:
            if self._file is None:
                # A fifo without a reader is an error, not a reason to wait for one.
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
                self._file = os.open(self._path, flags, OWNER_ONLY)
            os.write(self._file, records)
            return os.fstat(self._file).st_size
        except OSError:
            return 0

    def reset(self) -> None:
        """Remove all changes, as the file itself has them."""
        with contextlib.suppress(OSError):
            if self._file is not None:
                os.ftruncate(self._file, 0)
            elif self._path.exists():
                os.truncate(self._path, 0)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def digest_of(kind: str, key: str) -> int:
    """Return the digest of a key among the recent changes."""
    name = f"{kind}\0{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")


def _out_of_date(rows: Rows, changes: list[_Changed]) -> tuple[list[Row], int]:
    """Return the rows that lost transactions changed, and how many rows these had made."""
    by_digest = {digest_of(*place): row for place, row in rows.items()} if changes else {}
    stale, missing = [], 0
    for change in {change.digest: change for change in changes}.values():
        row = by_digest.get(change.digest)
        if row is None:
            missing += not change.deletes
        elif row.sequence < change.sequence:
            stale.append(row)
    return stale, missing


def _row(columns: tuple[object, ...]) -> Row | None:
    match columns:
        case (str(kind), str(key), str(text), int(sequence), int(found)):
            return Row(kind, key, text, sequence, found)
    return None


def _is_passing(exc: Exception) -> bool:
    """Return whether an error is temporary: another process has the file locked."""
    passing = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL}
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF in passing


def _make(path: Path) -> int:
    """Make a file if it is missing, and return its size."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, OWNER_ONLY)
    try:
        found = os.fstat(file)
    finally:
        os.close(file)
    if not stat.S_ISREG(found.st_mode):
        raise OSError(None, "not a regular file")
    return found.st_size


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return b""


def _write_new(path: Path, rows: Iterable[Row]) -> None:
    for old in (path, path.with_name(f"{path.name}-journal")):
        old.unlink(missing_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER_ONLY))
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA synchronous = FULL")
        with database:
            database.execute(_SCHEMA)
            database.executemany(_PUT, rows)


def _set_aside(path: Path) -> None:
    """Keep a copy of a damaged file; the file itself stays until it is replaced."""
    aside = path.with_name(path.name.replace(FILE_NAME, FILE_NAME + DAMAGED))
    aside.unlink(missing_ok=True)
    if path.exists() and path.stat().st_size:
        shutil.copyfile(path, aside)
        aside.chmod(OWNER_ONLY)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _named(rows: list[Row], what: str) -> Iterator[str]:
    for row in rows[:MOST_NAMED]:
        yield f"{row.kind!r:.40} {row.key!r:.100} {what}"
    if len(rows) > MOST_NAMED:
        yield f"{len(rows) - MOST_NAMED} more rows: each {what}"
