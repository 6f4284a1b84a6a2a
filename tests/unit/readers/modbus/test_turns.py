"""Turns on a bus: fair, and a silent unit costs the others next to nothing."""

from __future__ import annotations

import pytest

from sensord.readers.modbus.groups import Block, Item
from sensord.readers.modbus.requests import Table
from sensord.readers.modbus.turns import Job, Turns


def block(interval: float = 1.0, address: int = 0) -> Block:
    item = Item(f"r{address}", Table.INPUT, address, 1, interval)
    return Block(Table.INPUT, address, 1, interval, (item,))


class Bus:
    """A bus with a clock of its own: answers take 20 ms, silence takes the time-out."""

    def __init__(self, turns: Turns, dead: set[str], timeout_s: float = 0.3) -> None:
        self.turns = turns
        self.dead = dead
        self.timeout_s = timeout_s
        self.now = 0.0
        self.read: list[str] = []
        self.wasted_s = 0.0

    def until(self, end: float) -> None:
        while self.now < end:
            job = self.turns.next(self.now)
            if isinstance(job, float):
                self.now = min(max(job, self.now + 1e-6), end)
                continue
            self.take(job)

    def take(self, job: Job) -> None:
        if job.unit in self.dead:
            self.now += self.timeout_s
            self.wasted_s += self.timeout_s
            self.turns.unanswered(job, self.now, self.timeout_s, late_s=self.timeout_s)
        else:
            self.now += 0.02
            self.turns.answered(job, self.now)
            self.read.append(job.unit)


def test_each_block_is_read_at_its_interval() -> None:
    """Nothing is read twice, and nothing waits for ever."""
    bus = Bus(Turns({"a": [block(1.0)], "b": [block(5.0)]}, 0.0), set())
    bus.until(19.9)
    assert bus.read.count("a") == 20
    assert bus.read.count("b") == 4


def test_a_busy_bus_is_shared() -> None:
    """More is due than the bus can carry: all get the same."""
    names = [f"u{n}" for n in range(10)]
    bus = Bus(Turns({name: [block(0.01)] for name in names}, 0.0), set())
    bus.until(20)
    counts = [bus.read.count(name) for name in names]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("dead", [1, 3, 7])
def test_silent_units_cost_a_twentieth_at_most(dead: int) -> None:
    """However many they are, once it is known; and finding out is quick."""
    names = [f"u{n}" for n in range(8)]
    bus = Bus(Turns({name: [block(0.5)] for name in names}, 0.0), set(names[:dead]))
    bus.until(20)
    assert all(bus.turns.is_silent(name) for name in names[:dead])
    before = bus.wasted_s
    bus.until(320)
    assert bus.wasted_s - before <= 0.05 * 300


def test_a_unit_that_is_back_is_read_again() -> None:
    """One answer closes the breaker, with all its blocks."""
    turns = Turns({"a": [block(1.0), block(1.0, 50)], "b": [block(1.0)]}, 0.0)
    bus = Bus(turns, {"a"})
    bus.until(60)
    assert bus.read.count("a") == 0
    bus.dead.clear()
    bus.until(120)
    assert not turns.is_silent("a")
    assert bus.read.count("a") > 60


def test_one_missed_answer_is_no_silence() -> None:
    """It is asked again, after what else is due."""
    turns = Turns({"a": [block()], "b": [block()]}, 0.0)
    job = turns.next(0.0)
    assert isinstance(job, Job)
    assert not turns.unanswered(job, 0.3, 0.3, late_s=0.3)
    other = turns.next(0.3)
    assert isinstance(other, Job)
    assert other.unit != job.unit
    turns.answered(other, 0.32)
    assert turns.next(0.32) == pytest.approx(0.6)
    assert turns.next(0.6) == job


def test_what_was_refused_is_read_in_pieces() -> None:
    """The pieces are due at once."""
    turns = Turns({"a": [block()]}, 0.0)
    job = turns.next(0.0)
    assert isinstance(job, Job)
    turns.answered(job, 0.0)
    turns.replace(job, [block(address=7), block(address=9)], 0.1)
    one = turns.next(0.1)
    assert isinstance(one, Job)
    assert one.block.address == 7


def test_all_silent_is_noticed() -> None:
    """Then the line itself may be what is wrong."""
    bus = Bus(Turns({"a": [block()], "b": [block()]}, 0.0), {"a", "b"})
    bus.until(5)
    assert bus.turns.are_all_silent
