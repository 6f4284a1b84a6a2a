"""The ledger: sums over every reading that a device sent, through kills, cuts and stopped clients.

A feeder counts, twelve monitors in processes of their own keep account by offset, and a history of
everything is the other book. Each reading that a monitor saw is in the history to the bit, or lies
inside a gap that the history names.
"""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.kit.account import Account
from tests.kit.cutter import Cutter
from tests.kit.daemon import REPOSITORY, Daemon, in_thread, on_uvloop

TOPIC = "meter/value"
LINES = 5
EVERY_S = 0.01
"""Between so many lines: 500 readings a second."""

PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}


class Feeder(threading.Thread):
    """A device behind TCP that counts from 1 on."""

    def __init__(self) -> None:
        super().__init__(name="feeder", daemon=True)
        self.sent = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
        self._server.close()

    def end(self) -> None:
        """Send nothing more; the line stays open."""
        self._over.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self.join()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                line, _ = self._server.accept()
            except OSError:
                return
            with line, suppress(OSError):
                self._feed(line)

    def _feed(self, line: socket.socket) -> None:
        while not self._over.wait(EVERY_S):
            for _ in range(LINES):
                self.sent += 1
                line.sendall(b"%d\n" % self.sent)


def config(folder: Path, port: int) -> str:
    return f"""
journal = {{ folder = "{folder}", commit_interval = "100ms", min_free = 0 }}
[devices.meter]
reader = "serial"
port = "socket://127.0.0.1:{port}"
decoder = "number"
publish = {{ policy = "every" }}
"""


def monitors(url: str, folder: Path, count: int) -> list[subprocess.Popen[str]]:
    """Start monitors in processes of their own."""
    program = [sys.executable, "-m", "tests.kit.account", url]
    files = [str(folder / f"{number}.json") for number in range(count)]
    return [
        subprocess.Popen([*program, file], cwd=REPOSITORY, **PIPES, text=True) for file in files
    ]


async def act(
    rng: random.Random,
    acts: Sequence[str],
    daemon: Daemon,
    cutter: Cutter,
    stopping: list[subprocess.Popen[str]],
) -> None:
    """Do one after the other what must cost nothing, at random moments."""
    loop = asyncio.get_running_loop()
    for one in acts:
        # Not for something to happen: the moment is what is tried.
        await asyncio.sleep(rng.uniform(0.0, 0.4))
        if one == "kill":
            await in_thread(daemon.kill)
            await in_thread(daemon.start)
        elif one == "cut":
            cutter.cut(rng.choice(("close", "reset")))
        else:
            process = stopping.pop()
            process.send_signal(signal.SIGSTOP)
            loop.call_later(rng.uniform(1.0, 8.0), process.send_signal, signal.SIGCONT)
    await asyncio.sleep(8.0)  # the longest stop


async def run(tmp_path: Path, kills: int, cuts: int, count: int, seed: int) -> None:
    rng = random.Random(seed)
    acts = ["kill"] * kills + ["cut"] * cuts + ["stop"] * count
    rng.shuffle(acts)
    with Feeder() as feeder, Daemon(tmp_path, config(tmp_path / "journal", feeder.port)) as daemon:
        async with Cutter(lambda: daemon.address) as cutter:
            crowd = monitors(cutter.url, tmp_path, count)
            try:
                await act(rng, acts, daemon, cutter, [*crowd])
                await in_thread(feeder.end)
                history = await everything(daemon)
                accounts = await end(crowd, tmp_path, history.offset)
            finally:
                for process in crowd:
                    process.kill()
        status, _ = await in_thread(daemon.stop)
    assert status == 0
    sums = [compare(account, history) for account in accounts]
    recorded = numbers_in(history)
    assert recorded == sorted(set(recorded)), "each number once, in order"
    assert 0 < recorded[-1] <= feeder.sent
    text = f"{kills} kills, {cuts} cuts, {count} stopped monitors: {feeder.sent} numbers sent, "
    text += f"{len(recorded)} recorded; {len(history.gaps)} gaps\n"
    sys.stderr.write(text + "\n".join(sums) + "\n")


def numbers_in(account: Account) -> list[float]:
    """Return what the meter counted, in the order of offsets; a mark of its absence repeats one."""
    rows = [account.seen[offset] for offset in sorted(account.seen)]
    values = [float(value) for topic, _, value in rows if topic == TOPIC and value != "None"]
    return [value for value, before in zip(values, [0.0, *values], strict=False) if value != before]


async def everything(daemon: Daemon) -> Account:
    """Return the account of a client that comes at the end and reads all from the beginning."""
    account = Account()
    following = asyncio.ensure_future(account.follow(daemon.url))
    before = -1
    while account.offset != before:  # until nothing new has come for a second
        before = account.offset
        await asyncio.wait({following}, timeout=1.0)
        assert not following.done()
    following.cancel()
    await asyncio.wait({following})
    return account


async def end(crowd: Sequence[subprocess.Popen[str]], folder: Path, offset: int) -> list[Account]:
    """End the monitors, and return their accounts; each has got as far as an offset."""
    accounts = []
    for number, process in enumerate(crowd):
        _, complaint = await in_thread(process.communicate, f"{offset}\n")
        assert process.returncode == 0, complaint
        account = Account.read(folder / f"{number}.json")
        assert account.offset >= offset
        accounts.append(account)
    return accounts


def compare(account: Account, history: Account) -> str:
    """Compare a monitor's account with the history, offset by offset; return its sums."""
    end = history.offset
    seen = {offset: row for offset, row in account.seen.items() if offset < end}
    taken = seen.keys() - history.seen.keys()
    for offset, row in history.seen.items():
        # Every reading that was kept has come to this monitor, to the bit.
        assert seen[offset] == row
    for offset in taken:
        assert any(start <= offset < stop for start, stop in history.gaps), offset
    # The books are complete: each offset was seen or named, and none twice.
    named = sum(min(stop, end) - start for start, stop in account.gaps if start < end)
    assert len(seen) + named == end
    assert len(history.seen) + sum(stop - start for start, stop in history.gaps) == end
    return (
        f"{account.sessions} sessions: {len(seen)} seen = {len(history.seen)} kept "
        f"+ {len(taken)} inside announced gaps"
    )


@on_uvloop(120.0)
async def test_the_sums_of_a_few_kills_cuts_and_stops_add_up(tmp_path: Path) -> None:
    """Each reading that was seen is kept, or lies inside an announced gap."""
    await run(tmp_path, 3, 6, 3, seed=1)


@pytest.mark.trial
@pytest.mark.timeout(600)
@on_uvloop(550.0)
async def test_the_sums_of_forty_kills_add_up(tmp_path: Path) -> None:
    """With 100 cuts and 12 stopped monitors."""
    await run(tmp_path, 40, 100, 12, seed=2)
