"""What is kept is there after a restart, a kill and a full disk, or somebody is told."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

import sensord.sharing.store
from sensord.model.readings import Value
from sensord.sharing.store import FILE_NAME, Store, StoreError
from sensord.sharing.store_file import StoreFile
from tests.kit.loops import on_each_loop
from tests.kit.store_victim import value_of
from tests.unit.manual_store import Disk, ManualStore


def opened(folder: Path) -> Store:
    store = Store(folder, asyncio.get_running_loop())
    store.open()
    return store


def kept(folder: Path, kind: str = "k") -> dict[str, Value]:
    """Return what a restart finds."""
    store = opened(folder)
    found = store.load(kind)
    store.close()
    return found


async def put(store: Store, key: str, value: Value, kind: str = "k") -> None:
    """Keep a value and wait until it is on the disk.

    Raises:
        StoreError: It cannot be brought there.
    """
    told: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(error: Exception | None) -> None:
        if error is None:
            told.set_result(None)
        else:
            told.set_exception(error)

    store.put(kind, key, value, done)
    await told


def file_of(store: Store) -> StoreFile:
    """Return what it writes to."""
    assert store._file is not None
    return store._file


def fill_disk(store: Store) -> None:
    """Let SQLite find no room for another page, as on a full disk."""
    pages = file_of(store).database.execute("PRAGMA page_count").fetchone()[0]
    file_of(store).database.execute(f"PRAGMA max_page_count = {pages}")


def make_room(store: Store) -> None:
    file_of(store).database.execute("PRAGMA max_page_count = 1000000")


def modes_in(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def killed(folder: Path, lines: int) -> set[int]:
    """Let a victim say so many lines and kill it; return the keys that it said were kept."""
    command = [sys.executable, "-m", "tests.kit.store_victim", str(folder)]
    victim = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert victim.stdout is not None
    heard = [victim.stdout.readline() for _ in range(lines)]
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    # A line may be cut in the middle: then it was not heard.
    heard += [line for line in victim.stdout.readlines() if line.endswith("\n")]
    victim.stdout.close()
    return {int(line[1:]) for line in heard if line.startswith("+")}


LARGE = "x" * 100_000


@on_each_loop
async def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    """By kind and key; the newest of each, and not what was deleted."""
    store = opened(tmp_path)
    values: list[Value] = [None, True, 2**63, -1.5, "\ud800 ü \x00", [1, {"a": []}], {"": {}}]
    for i, value in enumerate(values):
        store.put("k", str(i), value)
    store.put("other", "0", "of another kind")
    store.put("k", "0", "newer")
    store.delete("k", "1")
    store.delete("k", "never there")
    store.close()
    again = opened(tmp_path)
    assert again.load("k") == {"0": "newer"} | {str(i): values[i] for i in range(2, len(values))}
    assert again.load("other") == {"0": "of another kind"}
    assert again.load("nothing") == {}
    again.close()


@on_each_loop
async def test_whoever_put_is_told_when_it_is_on_the_disk(tmp_path: Path) -> None:
    """Another reader of the file finds it then."""
    store = opened(tmp_path)
    await put(store, "a", [1])
    with sqlite3.connect(tmp_path / FILE_NAME) as reader:
        rows = reader.execute("SELECT kind, key, value FROM entries").fetchall()
    reader.close()
    store.close()
    assert rows == [("k", "a", "[1]")]


@on_each_loop
async def test_without_a_folder_it_answers_the_same_and_keeps_nothing() -> None:
    """So nobody who uses it needs to know."""
    store = Store(None, asyncio.get_running_loop())
    await put(store, "a", 1)
    assert not store.is_durable
    assert store.load("k") == {}
    store.close()


@on_each_loop
async def test_changes_of_one_key_keep_their_order(tmp_path: Path) -> None:
    """Those that somebody waits for, and those that replace each other while the disk is slow."""
    store = opened(tmp_path)
    with store._wake:  # the thread takes them all at once
        store.put("k", "a", 1)
        store.put("k", "a", 2)
        told: list[Exception | None] = []
        store.put("k", "a", 3, told.append)
        store.delete("k", "a")
        store.put("k", "a", 4)
        assert len(store._waiting) == 3
    store.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # it is told in a turn of its own
    assert told == [None]
    assert kept(tmp_path) == {"a": 4}


@on_each_loop
async def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    """It holds the secret that makes clients' keys; so does what SQLite puts beside it."""
    store = opened(tmp_path)
    await put(store, "a", 1)
    modes = modes_in(tmp_path)
    store.close()
    assert modes == {0o600}


class Reopened(Protocol):
    """Either store, on the disk that it had."""

    def __call__(self) -> Store: ...


def real(folder: Path) -> Reopened:
    return lambda: opened(folder)


def manual(_folder: Path) -> Reopened:
    disk = Disk()
    return lambda: ManualStore(disk, asyncio.get_running_loop())


@pytest.mark.parametrize("make", [real, manual])
@on_each_loop
async def test_both_stores_keep_the_same(make: Callable[[Path], Reopened], tmp_path: Path) -> None:
    """The one of other tests is as good as the real one."""
    reopened, rng = make(tmp_path), random.Random(7)
    model: dict[str, Value] = {}
    for _ in range(5):
        store = reopened()
        assert store.load("k") == model
        assert store.is_durable
        told: list[Exception | None] = []
        for i in range(rng.randrange(30)):
            key = str(rng.randrange(6))
            done = told.append if rng.random() < 0.5 else None
            if rng.random() < 0.7:
                store.put("k", key, [i], done)
                model[key] = [i]
            else:
                store.delete("k", key, done)
                model.pop(key, None)
            if rng.random() < 0.2:
                await put(store, key, "x")
                model[key] = "x"
        await put(store, "last", 1)
        model["last"] = 1
        assert set(told) <= {None}
        store.close()


# -- kill -9 ---------------------------------------------------------------------------------------


@on_each_loop
async def test_a_kill_loses_nothing_that_was_said_to_be_kept(tmp_path: Path) -> None:
    """At any moment, several times."""
    rng = random.Random(4)
    said: set[int] = set()
    for _ in range(4):
        said |= killed(tmp_path, rng.randrange(2, 400))
        found = kept(tmp_path, "things")
        recent = max(said) - 40  # older ones are deleted, before or after the last word
        assert {key for key in said if key > recent} <= {int(key) for key in found}
        assert all(found[key] == value_of(int(key)) for key in found)
    assert len(said) > 50


# -- a full disk -----------------------------------------------------------------------------------


@on_each_loop
async def test_a_full_disk_is_told_to_who_asked_and_once_to_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And what asked is not kept later, for it was told so."""
    store = opened(tmp_path)
    await put(store, "a", 1)
    fill_disk(store)
    for key in ("b", "c"):
        with pytest.raises(StoreError, match="the disk does not take it: database or disk is full"):
            await put(store, key, LARGE)
    make_room(store)
    await put(store, "d", LARGE)
    store.close()
    assert set(kept(tmp_path)) == {"a", "d"}
    errors = [one.message for one in caplog.records if one.levelno >= logging.ERROR]
    assert errors == ["clients' state is not kept"]


@on_each_loop
async def test_what_nobody_waits_for_is_kept_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion that was lost would bring back what was already done with."""
    monkeypatch.setattr(sensord.sharing.store, "RETRY_S", 0.01)
    store = opened(tmp_path)
    await put(store, "a", 1)
    fill_disk(store)
    store.put("k", "b", LARGE)
    store.delete("k", "a")
    with pytest.raises(StoreError):
        await put(store, "c", LARGE)
    store.put("k", "b", "newer")  # while the older one waits
    store.put("k", "d", LARGE)
    make_room(store)
    await put(store, "e", 5)
    store.close()
    assert kept(tmp_path) == {"b": "newer", "d": LARGE, "e": 5}


@on_each_loop
async def test_it_is_tried_again_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A while after it failed."""
    caplog.set_level(logging.INFO, "sensord.store")
    monkeypatch.setattr(sensord.sharing.store, "RETRY_S", 0.01)
    again = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "clients' state is kept again":
                loop.call_soon_threadsafe(again.set)

    listener = Listener()
    logging.getLogger("sensord.store").addHandler(listener)
    store = opened(tmp_path)
    fill_disk(store)
    store.put("k", "a", LARGE)
    with pytest.raises(StoreError):
        await put(store, "b", LARGE)
    make_room(store)
    await again.wait()
    logging.getLogger("sensord.store").removeHandler(listener)
    store.close()
    assert set(kept(tmp_path)) == {"a"}


@on_each_loop
async def test_a_disk_that_stays_full_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """What could not be kept is lost with the process."""
    store = opened(tmp_path)
    await put(store, "a", 1)
    fill_disk(store)
    store.put("k", "b", LARGE)
    with pytest.raises(StoreError, match=r"1 changes of clients' state are not kept .*full"):
        store.close()
    assert kept(tmp_path) == {"a": 1}


@on_each_loop
async def test_more_than_the_disk_can_take_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded; changes of a key that waits already cost nothing."""
    monkeypatch.setattr(sensord.sharing.store, "MAX_WAITING", 2)
    store = opened(tmp_path)
    with store._wake:
        store.put("k", "a", 1)
        store.put("k", "b", 2)
        with pytest.raises(StoreError, match="2 changes wait for the disk"):
            store.put("k", "c", 3)
        store.put("k", "b", 4)
    store.close()
    assert kept(tmp_path) == {"a": 1, "b": 4}


@on_each_loop
async def test_a_hanging_disk_does_not_hold_up_the_end_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up after a while, and the error has what is not kept."""
    monkeypatch.setattr(sensord.sharing.store, "CLOSE_S", 0.01)
    store = opened(tmp_path)
    hanging = threading.Event()
    file_of(store).database.create_function("wait", 0, hanging.wait)
    file_of(store).database.execute(
        "CREATE TEMP TRIGGER slow BEFORE INSERT ON main.entries BEGIN SELECT wait(); END"
    )
    store.put("k", "a", 1)
    with pytest.raises(StoreError, match="the disk hangs, 1 changes of clients' state"):
        store.close()
    hanging.set()
    monkeypatch.setattr(sensord.sharing.store, "CLOSE_S", 5.0)
    store.close()


# -- a file that cannot be written -----------------------------------------------------------------


@on_each_loop
async def test_a_fifo_in_the_place_of_the_recent_changes_holds_up_no_write(tmp_path: Path) -> None:
    """The writing thread waited for a reader of it for ever, and no change was answered."""
    os.mkfifo(tmp_path / "clients.recent")
    store = opened(tmp_path)
    async with asyncio.timeout(10):
        await put(store, "a", 1)
    store.close()
    assert kept(tmp_path) == {"a": 1}


def in_the_way(folder: Path) -> Path:
    """Make the file one that nobody can write, root included."""
    file = folder / FILE_NAME
    if file.exists():
        file.rename(folder / "moved")
    file.mkdir()
    return file


@on_each_loop
async def test_what_cannot_be_kept_is_refused_with_the_reason_and_the_daemon_lives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was answered as if it were kept."""
    in_the_way(tmp_path)
    store = opened(tmp_path)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"clients\.sqlite3: Is a directory"):
            await put(store, "a", 1)
    store.close()
    errors = [one.message for one in caplog.records if one.levelno >= logging.ERROR]
    assert errors == ["clients' state is not kept"]


@on_each_loop
async def test_it_is_kept_again_when_the_file_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a restart, and with what nobody waited for."""
    monkeypatch.setattr(sensord.sharing.store, "RETRY_S", 0.0)
    file = in_the_way(tmp_path)
    store = opened(tmp_path)
    store.put("k", "a", 1)
    with pytest.raises(StoreError):
        await put(store, "b", 2)
    file.rmdir()
    await put(store, "c", 3)
    store.close()
    assert kept(tmp_path) == {"a": 1, "c": 3}


@on_each_loop
async def test_a_file_that_comes_back_with_rows_is_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it holds was not read at the start: that is done before anything is written."""
    monkeypatch.setattr(sensord.sharing.store, "RETRY_S", 0.0)
    store = opened(tmp_path)
    await put(store, "a", 1)
    store.close()
    file = in_the_way(tmp_path)
    store = opened(tmp_path)
    file.rmdir()
    (tmp_path / "moved").rename(file)
    joined = asyncio.Event()
    store.on_late = joined.set
    with pytest.raises(StoreError, match="is read now; try again"):
        await put(store, "b", 2)
    await joined.wait()
    await put(store, "c", 3)
    store.close()
    assert kept(tmp_path) == {"a": 1, "c": 3}


def late(folder: Path) -> Store:
    """Return a store whose folder was not there at the start."""
    store = Store(folder, asyncio.get_running_loop(), refusal="the journal is not there")
    store.open()
    return store


def begun(store: Store) -> None:
    """Wait until the store has been opened after the start."""
    with store._wake:
        assert store._wake.wait_for(lambda: not store._refusal, 60)


@on_each_loop
async def test_a_store_that_should_have_a_folder_refuses(tmp_path: Path) -> None:
    """As long as the journal's is not known to be the right one; and the end names the rest."""
    store = late(tmp_path)
    with pytest.raises(StoreError, match="the journal is not there"):
        await put(store, "a", 1)
    store.put("k", "b", 2)  # nobody waits
    with pytest.raises(StoreError, match=r"1 changes .* not kept \(k\): the journal is not there"):
        store.close()
    assert not any(tmp_path.glob("*"))  # noqa: ASYNC240


@on_each_loop
async def test_a_folder_that_comes_late_keeps_what_waited_for_it(tmp_path: Path) -> None:
    """Everything was refused until a restart, although the disk was there."""
    store = late(tmp_path)
    store.put("k", "a", 1)
    with pytest.raises(StoreError):
        await put(store, "b", 2)
    store.open_late()
    begun(store)
    await put(store, "c", 3)
    store.close()
    assert kept(tmp_path) == {"a": 1, "c": 3}


@on_each_loop
async def test_rows_that_come_late_are_joined(tmp_path: Path) -> None:
    """Everything was refused until a restart; a change of one that waited does not replace it."""
    store = opened(tmp_path)
    await put(store, "a", 1)
    store.close()
    store = late(tmp_path)
    found, joined = dict[str, Value](), asyncio.Event()

    def join() -> None:
        found.update(store.load("k"))
        joined.set()

    store.on_late = join
    store.put("k", "a", 5)
    store.put("k", "b", 2)
    with pytest.raises(StoreError, match="not there"):
        await put(store, "c", 3)
    store.open_late()
    await joined.wait()
    assert found == {"a": 1}
    await put(store, "d", 4)
    store.close()
    assert kept(tmp_path) == {"a": 1, "b": 2, "d": 4}


@on_each_loop
async def test_a_stop_before_late_rows_are_joined_replaces_none(tmp_path: Path) -> None:
    """What waited for the file and is not in it is kept."""
    store = opened(tmp_path)
    await put(store, "a", 1)
    store.close()
    store = late(tmp_path)
    store.put("k", "a", 5)
    store.put("k", "b", 2)
    store.open_late()
    store.close()  # the loop does not turn before
    assert kept(tmp_path) == {"a": 1, "b": 2}


@on_each_loop
async def test_a_disk_that_hangs_at_the_start_delays_it_for_a_while_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile changes are refused with the reason; then they are kept."""
    monkeypatch.setattr(sensord.sharing.store, "OPEN_S", 0.01)
    answers = threading.Event()
    whole = StoreFile.open

    def slow(file: StoreFile, *, is_expected: bool = False) -> None:
        answers.wait()
        whole(file, is_expected=is_expected)

    monkeypatch.setattr(StoreFile, "open", slow)
    store = opened(tmp_path)
    store.put("k", "a", 1)
    with pytest.raises(StoreError, match="the disk does not answer"):
        await put(store, "b", 2)
    answers.set()
    begun(store)
    await put(store, "c", 3)
    store.close()
    assert kept(tmp_path) == {"a": 1, "c": 3}


def remove_all(folder: Path) -> None:
    for file in folder.glob(f"{FILE_NAME}*"):
        file.unlink()


@on_each_loop
async def test_a_file_that_is_removed_under_the_daemon_is_made_again(tmp_path: Path) -> None:
    """SQLite would go on writing to a file without a name."""
    store = opened(tmp_path)
    await put(store, "a", 1)
    remove_all(tmp_path)
    await put(store, "b", 2)
    (tmp_path / f"{FILE_NAME}-wal").unlink()
    await put(store, "c", 3)
    crash = tmp_path / "crash"
    shutil.copytree(tmp_path, crash)
    store.close()
    assert kept(crash) == {"a": 1, "b": 2, "c": 3}


@on_each_loop
async def test_more_bytes_than_the_disk_can_take_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few large changes take as much memory as many small ones."""
    monkeypatch.setattr(sensord.sharing.store, "MAX_WAITING_BYTES", 250_000)
    store = opened(tmp_path)
    with store._wake:
        store.put("k", "a", LARGE)
        store.put("k", "a", LARGE + "newer")  # takes the place of the other
        store.put("k", "b", LARGE)
        with pytest.raises(StoreError, match="250000 bytes wait for the disk"):
            store.put("k", "c", LARGE)
    store.close()
    store = opened(tmp_path)
    await put(store, "c", LARGE)
    store.close()
    assert set(kept(tmp_path)) == {"a", "b", "c"}


# -- damage ----------------------------------------------------------------------------------------


def named(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the log says of damage."""
    found = [one for one in caplog.records if one.message == "clients' state is damaged"]
    return [getattr(one, "finding", "") for one in found]


@on_each_loop
async def test_a_file_that_is_no_database_is_set_aside_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon starts, and keeps what comes."""
    (tmp_path / FILE_NAME).write_bytes(b"no database at all" * 1000)
    store = opened(tmp_path)
    await put(store, "a", 1)
    store.close()
    assert named(caplog) == ["file is not a database"]
    assert (tmp_path / f"{FILE_NAME}.damaged").read_bytes().startswith(b"no database")
    assert kept(tmp_path) == {"a": 1}
    assert modes_in(tmp_path) == {0o600}


@on_each_loop
async def test_a_flipped_bit_costs_the_row_that_it_is_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was served: "jight 702" for "night 702"."""
    store = opened(tmp_path)
    for i in range(200):
        store.put("k", str(i), f"night {i}")
    store.close()
    file = tmp_path / FILE_NAME
    file.write_bytes(file.read_bytes().replace(b'"night 102"', b'"jight 102"'))
    found = kept(tmp_path)
    assert found == {str(i): f"night {i}" for i in range(200) if i != 102}
    assert "'k' '102' has another checksum, it is left out" in named(caplog)
    caplog.clear()
    assert kept(tmp_path) == found
    assert named(caplog) == []


@on_each_loop
async def test_a_page_that_is_gone_costs_the_rows_in_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite alone would give up."""
    store = opened(tmp_path)
    for i in range(200):
        store.put("k", str(i), "x" * 300)
    store.close()
    file = tmp_path / FILE_NAME
    pages = bytearray(file.read_bytes())
    middle = len(pages) // 8192 * 4096
    pages[middle : middle + 4096] = bytes(4096)
    file.write_bytes(pages)
    assert 180 < len(kept(tmp_path)) < 200
    assert named(caplog)


@on_each_loop
async def test_a_store_without_checksums_is_opened_and_given_some(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is of the version before."""
    with sqlite3.connect(tmp_path / FILE_NAME) as before:
        before.execute("PRAGMA journal_mode = WAL")
        before.execute(
            "\nCREATE TABLE IF NOT EXISTS entries (\n    kind TEXT NOT NULL, key TEXT NOT NULL,"
            " value TEXT NOT NULL, PRIMARY KEY (kind, key)\n) WITHOUT ROWID\n"
        )
        before.execute("INSERT INTO entries VALUES ('k', 'a', '[1]')")
        before.execute("INSERT INTO entries VALUES ('k', 'b', '\"x\"')")
    before.close()
    assert kept(tmp_path) == {"a": [1], "b": "x"}
    with sqlite3.connect(tmp_path / FILE_NAME) as now:
        assert now.execute("SELECT count(*) FROM entries WHERE checksum > 0").fetchone() == (2,)
    now.close()
    assert named(caplog) == []


@on_each_loop
async def test_that_a_file_is_missing_is_named_where_one_must_have_been(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The journal beside it tells."""
    store = Store(tmp_path, asyncio.get_running_loop())
    store.open(is_expected=True)
    store.close()
    assert named(caplog) == ["the file is missing or empty"]


@on_each_loop
async def test_changes_that_a_damaged_log_of_sqlite_lost_are_named_and_not_undone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite goes back to where the damage begins, without a word: older values came again."""
    store = opened(tmp_path)
    await put(store, "a", "old")
    await put(store, "deleted", "old")
    file_of(store).database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    await put(store, "a", "new")
    store.delete("k", "deleted")
    await put(store, "b", "made")
    crash = tmp_path / "crash"
    shutil.copytree(tmp_path, crash)
    store.close()
    log_of_sqlite = crash / f"{FILE_NAME}-wal"
    log_of_sqlite.write_bytes(log_of_sqlite.read_bytes()[:32])
    assert kept(crash) == {}
    assert named(caplog) == [
        "'k' 'a' is out of date, its last change is lost; it is left out",
        "'k' 'deleted' is out of date, its last change is lost; it is left out",
        "1 of the rows that were written last are missing",
    ]


@on_each_loop
async def test_no_damage_ends_the_daemon_or_alters_a_value(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is missing is named; what is there is what was put."""
    await try_damage(tmp_path, 24, caplog)


@pytest.mark.trial
@on_each_loop
async def test_two_hundred_damaged_stores(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same, more often."""
    await try_damage(tmp_path, 200, caplog)


async def try_damage(folder: Path, trials: int, caplog: pytest.LogCaptureFixture) -> None:
    sound = await sound_stores(folder / "sound")
    rng = random.Random(11)
    lost = 0
    for number in range(trials):
        store, truth = sound[number % 2]
        copy = folder / str(number)
        shutil.copytree(store, copy)
        what = damage(copy, rng)
        caplog.clear()
        found = kept(copy)
        assert found.items() <= truth.items(), what
        assert found == truth or named(caplog), what
        lost += found != truth
        caplog.clear()
        assert kept(copy) == found, what
        assert named(caplog) == [], what
    assert lost > trials // 4


async def sound_stores(folder: Path) -> list[tuple[Path, dict[str, Value]]]:
    """Make one that was closed and one as a kill leaves it, with what is in each."""
    rng = random.Random(3)
    (folder / "closed").mkdir(parents=True)
    store = opened(folder / "closed")
    truth: dict[str, Value] = {}
    for i in range(400):
        key = f"state/{rng.randrange(120)}"
        if rng.random() < 0.2:
            store.delete("k", key)
            truth.pop(key, None)
        else:
            truth[key] = f"night {i} " + "x" * rng.choice([5, 60, 700, 9000])
            store.put("k", key, truth[key])
        if i % 9 == 0 or i == 300:  # nothing is being written at the checkpoint
            await put(store, "last", i)
            truth["last"] = i
        if i == 300:
            file_of(store).database.execute("PRAGMA wal_checkpoint(PASSIVE)")
    await put(store, "last", 400)
    truth["last"] = 400
    shutil.copytree(folder / "closed", folder / "killed")
    store.close()
    return [(folder / "closed", truth), (folder / "killed", truth)]


def damage(folder: Path, rng: random.Random) -> str:
    """Damage one of the files; return how."""
    file = rng.choice([path for path in sorted(folder.iterdir()) if path.stat().st_size])
    content = bytearray(file.read_bytes())
    at = rng.randrange(len(content))
    how = rng.choice(["flip", "flips", "cut", "zero", "delete"])
    match how:
        case "flip":
            content[at] ^= 1 << rng.randrange(8)
        case "flips":
            for _ in range(20):
                content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        case "cut":
            del content[at:]
        case "zero":
            at -= at % 4096
            content[at : at + 4096] = bytes(len(content[at : at + 4096]))
    file.write_bytes(content)
    if how == "delete":
        file.unlink()
    return f"{how} {file.name} at {at}"


@on_each_loop
async def test_a_fault_of_ours_in_the_thread_reaches_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the daemon instead of leaving everybody waiting."""
    caught: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: caught.set_result(context["exception"])
    )
    store = opened(tmp_path)
    monkeypatch.setattr(StoreFile, "write", lambda *_: 1 // 0)
    store.put("k", "a", 1)
    assert isinstance(await caught, ZeroDivisionError)
    file_of(store).close()
