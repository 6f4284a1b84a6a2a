"""An attack on the journal: damaged copies, each read in every way that a client has.

The ledger is the readings that were given to the writer. Of each copy the history, a resume, a
replay and an export are compared with it: what comes is right, what does not come is named by a
gap, and what is named is warned of in the daemon's log. How large it is, is set in the environment:
``SENSORD_TRIAL_READINGS`` readings, and ``SENSORD_TRIAL_COPIES`` copies for each corruption, with
seeds from ``SENSORD_TRIAL_SEED`` on. With ``-rP`` pytest shows what was lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import os
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from sensord.log.journal import Options, Writer
from sensord.log.journal.shape import Shape
from sensord.model.readings import Channel, Metadata
from tests.kit.daemon import Daemon, in_thread, on_uvloop, sensord
from tests.kit.journal import START_US, walk_readings
from tests.kit.journal_damage import CORRUPTIONS, damage

pytestmark = [pytest.mark.trial, pytest.mark.timeout(7200)]

READINGS = int(os.environ.get("SENSORD_TRIAL_READINGS", "20000"))
COPIES = int(os.environ.get("SENSORD_TRIAL_COPIES", "2"))
SEED = int(os.environ.get("SENSORD_TRIAL_SEED", "0"))

COMMIT = 500
"""Readings of a commit."""

TOPICS = ["old/#", "plant/#", "unknown/#"]
WHERE = re.compile(r" first=(\d+) count=(\d+)")

Told = tuple[str, int, float]
"""Topic, time and value."""


class Recorded(NamedTuple):
    """A journal as a kill leaves it, and what was given to it, by offset."""

    folder: Path
    epoch: str
    given: list[Told]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Record readings of two devices, of which one is in no configuration any more."""
    folder = tmp_path_factory.mktemp("recorded") / "journal"
    options = Options(folder=str(folder))
    # Some eight segments, whatever the number of readings: that many files can be damaged.
    shape = replace(Shape.of(options), segment_bytes=max(1 << 14, READINGS * 4))
    writer = Writer(options, shape=shape)
    writer.open(START_US, 0)
    described = Metadata(unit="Cel", decimals=2)
    of = [
        Channel(i, f"{device}/line{i // 10}/value{i}", replace(described, device=device))
        for i, device in enumerate(["old", "plant"] * 100)
    ]
    given: list[Told] = []
    for record in range(0, READINGS, COMMIT):
        start_us = START_US + record * 1000
        part = walk_readings(COMMIT, first=record, start_us=start_us, of=of, line=4, seed=record)
        writer.commit(part, part[-1].log_us, record * 1000)
        given += [(r.channel.topic, r.reading.time_us, float(str(r.reading.value))) for r in part]
    # The last are in the ring only.
    view = writer.view
    assert len(view.sealed) > 2
    assert view.unsealed or view.pending
    epoch = writer.epoch
    writer.abandon()
    return Recorded(folder, epoch, given)


class Seen:
    """What one request brought."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.gaps: list[tuple[int, int]] = []

    def check(self, given: list[Told], start: int) -> set[int]:
        """Compare with the ledger from an offset on; return what gaps name."""
        named: set[int] = set()
        for first, end in self.gaps:
            named |= set(range(max(first, start), min(end, len(given))))
        compare(self.told, [one for at, one in enumerate(given[start:], start) if at not in named])
        return named


def compare(told: list[Told], expected: list[Told]) -> None:
    assert len(told) == len(expected), "nothing is missing without a name, or twice"
    if told != expected:
        wrong = [(a, b) for a, b in zip(told, expected, strict=True) if a != b]
        # A topic that is lost is said to be unknown; nothing else may differ.
        wrong = [(a, b) for a, b in wrong if a[1:] != b[1:] or not a[0].startswith("unknown/")]
        assert not wrong, wrong[:3]


def unwrapped(_code: int, data: bytes) -> Any:
    """Return the value of a wrapped one: all were good, and minus zero is wrapped."""
    level, _, value = msgpack.unpackb(data)
    assert not level
    return value


class Talk:
    """One connection, which speaks the protocol without sensord's own code."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = 0
        self._topics: dict[int, str] = {}

    async def ask(self, op: str, **fields: Any) -> tuple[dict[str, Any], Seen]:
        """Send a request, and read until it is over or live."""
        self._ids += 1
        await self._socket.send(msgpack.packb({"op": op, "id": self._ids, **fields}))
        seen, answer = Seen(), dict[str, Any]()
        async for payload in self._socket:
            assert isinstance(payload, bytes)
            message = msgpack.unpackb(payload, ext_hook=unwrapped)
            if isinstance(message, list):
                self._frame(seen, *message)
                continue
            match message["op"]:
                case "channels":
                    self._topics |= {c["channel"]: c["topic"] for c in message["channels"]}
                case "gap":
                    assert message["reason"] in {"missing", "expired"}, message
                    seen.gaps.append((message["from"] or 0, message["to"]))
                case "error":
                    raise AssertionError(message)
                case "result":
                    answer = message
                    if "stream" not in message:
                        break
                case "end":
                    break
                case "stream" if message["phase"] == "live":
                    break
        return answer, seen

    def _frame(
        self, seen: Seen, _stream: int, _cursor: int, start_us: int, flat: list[Any]
    ) -> None:
        topics = map(self._topics.__getitem__, flat[0::3])
        times = list(accumulate(flat[1::3], initial=start_us))[1:]
        values = [raw / 100 if type(raw) is int else raw for raw in flat[2::3]]
        seen.told += zip(topics, times, values, strict=True)


def config(folder: Path) -> str:
    journal = f'folder = "{folder}", commit_interval = "50ms", min_free = 0, max_age = "36500d"'
    return f"journal = {{ {journal} }}\nlog.ring = 1024\n"


def exported(folder: Path, start: int, stop: int) -> tuple[list[Told], str]:
    """Export a part of the journal while the daemon writes it."""
    filters = [word for topic in TOPICS for word in ("--topic", topic)]
    done = sensord(
        "export", str(folder), "--format", "csv", *filters, f"--from={start}", f"--to={stop}"
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    rows = csv.DictReader(io.StringIO(done.stdout))
    return [(row["topic"], 0, float(row["value"])) for row in rows], done.stderr


def warned_of(log: list[str]) -> set[int]:
    """Return the offsets that the daemon's log names as lost."""
    named: set[int] = set()
    for line in log:
        if line.split()[1] == "warning" and (found := WHERE.search(line)):
            first, count = int(found[1]), int(found[2])
            named |= set(range(first, min(first + count, READINGS)))
    return named


def part(rng: random.Random, lost: set[int]) -> tuple[int, int]:
    """Choose a fifth of the readings: where something is lost, if anything is."""
    span = READINGS // 5
    start = rng.randrange(READINGS - span)
    if lost and rng.random() < 0.8:
        start = max(0, min(lost) - rng.randrange(span))
    return start, min(start + span, READINGS)


async def converse(daemon: Daemon, recorded: Recorded, rng: random.Random) -> set[int]:
    """Ask for the past in each way; return what could not be had."""
    protocols = [Subprotocol("sensord.v1.msgpack")]
    url = f"ws://{daemon.address}/v1"
    async with connect(url, subprotocols=protocols, max_size=None, compression=None) as socket:
        talk = Talk(socket)
        hello, _ = await talk.ask("hello", client="attack")
        # One of ring and registry is left, and knows the epoch.
        assert hello["epoch"] == recorded.epoch
        _, seen = await talk.ask("history", topics=TOPICS, **{"from": {"time_us": 0}})
        lost = seen.check(recorded.given, 0)
        for op in ("subscribe", "replay"):
            start, stop = part(rng, lost)
            place: dict[str, Any] = {"from": {"epoch": hello["epoch"], "offset": start}}
            if op == "replay":
                place |= {"speed": 1e9, "to": {"epoch": hello["epoch"], "offset": stop}}
            else:
                stop = READINGS
            _, seen = await talk.ask(op, topics=TOPICS, **place)
            assert seen.check(recorded.given[:stop], start) == lost & set(range(start, stop))
        return lost


@contextlib.contextmanager
def copy_of(recorded: Recorded, folder: Path, name: str, seed: int) -> Iterator[Path]:
    shutil.copytree(recorded.folder, folder)
    damage(folder, name, seed)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", CORRUPTIONS)
@on_uvloop(7200)
async def test_damage_costs_no_daemon_no_truth_and_no_silence(
    recorded: Recorded, tmp_path: Path, name: str
) -> None:
    """Whoever asks gets every reading that is whole, and the names of those that are not."""
    losses: list[int] = []
    for seed in range(SEED, SEED + COPIES):
        rng = random.Random(seed)
        with copy_of(recorded, tmp_path / "journal", name, seed) as folder:
            daemon = Daemon(tmp_path, config(folder))
            await in_thread(daemon.start)
            try:
                lost = await converse(daemon, recorded, rng)
                start, stop = part(rng, lost)
                rows, said = await asyncio.to_thread(exported, folder, start, stop)
                whole = [at for at in range(start, stop) if at not in lost]
                told = [recorded.given[at] for at in whole]
                compare(rows, [(topic, 0, value) for topic, _, value in told])
                assert len(whole) == stop - start or "offset" in said
                status, _ = await in_thread(daemon.stop)
            except BaseException:
                daemon.kill()
                print(name, seed, "".join(daemon.log))  # noqa: T201  # pytest shows it
                raise
            assert status == 0
            assert lost <= warned_of(daemon.log), (name, seed)
            losses.append(len(lost))
    some = sum(map(bool, losses))
    print(f"{name}: {COPIES} copies, {some} with a loss, {sum(losses)} lost")  # noqa: T201  # -rP
