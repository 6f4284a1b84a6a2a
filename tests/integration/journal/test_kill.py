"""A writer killed at any moment loses nothing it had committed, and starts again by itself."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sensord.log.journal import Options, Reader, Writer
from tests.kit.journal import found_in, oracle_rows
from tests.kit.journal_victim import SHAPE, reading_at

RATE = 5000
INTERVAL_S = 0.05


class Ledger:
    """What victims said of one journal over all their lives."""

    def __init__(self) -> None:
        self.epoch = ""
        self.committed: set[int] = set()
        self.doubtful: set[int] = set()
        """Handed out, but the victim did not live to say that they were committed."""
        self.end = 0

    def hear(self, lines: list[str]) -> None:
        """Take what one victim said."""
        begin = given = committed = self.end
        for line in lines:
            word, *rest = line.split()
            if word == "o":
                epoch, offset = rest[0], int(rest[1])
                assert self.epoch in {"", epoch}, "the epoch stays"
                assert offset >= self.end, "no offset is given twice"
                self.epoch, begin = epoch, offset
                given = committed = offset
            elif word == "g":
                given = int(rest[0])
            else:
                committed = int(rest[0])
        self.committed |= set(range(begin, committed))
        self.doubtful |= set(range(committed, given))
        self.end = max(self.end, given)


def kill_once(folder: Path, ledger: Ledger, rng: random.Random) -> None:
    """Let a victim write for a while and kill it."""
    command = [sys.executable, "-m", "tests.kit.journal_victim", str(folder)]
    victim = subprocess.Popen(
        [*command, str(RATE), str(INTERVAL_S)], stdout=subprocess.PIPE, text=True
    )
    assert victim.stdout is not None
    lines = [victim.stdout.readline()]
    try:
        victim.wait(rng.uniform(0.0, 0.7))
    except subprocess.TimeoutExpired:
        victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    # A line may be cut in the middle: then it was not heard.
    lines += [line for line in victim.stdout.readlines() if line.endswith("\n")]
    victim.stdout.close()
    ledger.hear(lines)


def check(reader: Reader, ledger: Ledger, known: set[int]) -> tuple[int, int]:
    """Compare the journal with the ledger; return how many are lost and how many are doubtful."""
    rows, holes = found_in(reader.scan(max(known, default=-1) + 1))
    for row in rows:
        channel, reading = reading_at(row.offset)
        assert row.topic == channel.topic
        assert (row.time_us, row.value) == (reading.time_us, repr(reading.value))
        assert row.restates == reading.restates
    offsets = {row.offset for row in rows}
    assert len(offsets) == len(rows)
    known |= offsets
    assert known <= ledger.committed | ledger.doubtful
    assert ledger.committed <= known
    spans = sorted([(o, o + 1) for o in offsets] + [(h.first, h.end) for h in holes])
    assert all(one[1] == two[0] for one, two in itertools.pairwise(spans))
    return len(ledger.committed - known), len(ledger.doubtful - known)


def run(folder: Path, kills: int, seed: int) -> None:
    rng, ledger, known = random.Random(seed), Ledger(), set[int]()
    worst = 0
    for _ in range(kills):
        doubtful = len(ledger.doubtful - known)
        kill_once(folder, ledger, rng)
        lost, doubtful_then = check(Reader(folder), ledger, known)
        assert lost == 0
        # Two commits' worth, each of twice the interval at most.
        assert doubtful_then - doubtful <= RATE * INTERVAL_S * 4
        worst = max(worst, doubtful_then - doubtful)
    lost = len(ledger.doubtful - known)
    sys.stderr.write(
        f"{kills} kills, {len(known)} readings, {lost} uncommitted ones lost, {worst} at most\n"
    )
    writer = Writer(Options(folder=str(folder)), shape=SHAPE)
    recovery = writer.open(1_700_000_000_000_000, 0)
    assert recovery.next_offset >= ledger.end
    writer.close(1_700_000_000_000_000, 0)
    total = sum(len(oracle_rows(path)) for path in folder.glob("*.mcap"))
    assert total == len(known)


def test_a_few_kills_lose_nothing_that_was_committed(tmp_path: Path) -> None:
    """Each victim goes on where the one before was killed."""
    run(tmp_path / "journal", 6, seed=1)


@pytest.mark.trial
@pytest.mark.timeout(1800)
def test_two_hundred_kills_lose_nothing_that_was_committed(tmp_path: Path) -> None:
    """At 5,000 readings a second, at random moments, in one folder."""
    run(tmp_path / "journal", 200, seed=2)
