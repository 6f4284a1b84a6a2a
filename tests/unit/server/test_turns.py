"""Those that are behind go on one at a time."""

from __future__ import annotations

import math

from sensord.server.turns import Turns
from tests.unit.manual import manual_loop


class One:
    """Somebody who has so much to do."""

    def __init__(self, name: str, turns: Turns, told: list[str], todo: int) -> None:
        self.name, self.turns, self.told, self.todo = name, turns, told, todo

    def take_turn(self) -> None:
        self.told.append(self.name)
        self.todo -= 1
        if self.todo:
            self.turns.wait(self)


def test_each_turn_of_the_loop_serves_one_in_the_order_in_which_they_came() -> None:
    """However many wait."""
    loop, told = manual_loop(), list[str]()
    turns = Turns(loop)
    for one in [One(name, turns, told, 2) for name in "abc"]:
        turns.wait(one)
        turns.wait(one)
    for count in range(1, 7):
        loop.turn()
        assert len(told) == count
    assert "".join(told) == "abcabc"
    assert loop.is_idle


def test_who_leaves_is_not_served() -> None:
    """The others do not wait for it."""
    loop, told = manual_loop(), list[str]()
    turns = Turns(loop)
    first, second = (One(name, turns, told, 1) for name in "ab")
    turns.wait(first)
    turns.wait(second)
    turns.leave(first)
    turns.leave(first)
    loop.settle()
    assert told == ["b"]
    turns.wait(first)
    turns.leave(first)
    loop.settle()
    assert told == ["b"]


def test_clients_take_turns_however_much_each_has_waiting() -> None:
    """One request of a client does not wait for the thousand of another."""
    loop, told = manual_loop(), list[str]()
    turns = Turns(loop)
    for one in [One(name, turns, told, 1) for name in "abc"]:
        turns.wait(one, "greedy")
    turns.wait(One("x", turns, told, 1), "modest")
    loop.settle()
    assert "".join(told) == "axbc"


def test_who_comes_first_in_a_turn_of_the_loop_need_not_wait() -> None:
    """Until the time for that is used up: then everybody waits, in order."""
    loop, told = manual_loop(), list[str]()
    turns = Turns(loop)

    class Slow(One):
        def take_turn(self) -> None:
            super().take_turn()
            turns._spent_s = math.inf

    turns.start(One("a", turns, told, 1))
    turns.start(Slow("b", turns, told, 1))
    assert "".join(told) == "ab"
    turns.start(One("c", turns, told, 1))
    turns.start(One("d", turns, told, 1))
    assert "".join(told) == "ab"
    loop.settle()
    assert "".join(told) == "abcd"
    turns.start(One("e", turns, told, 1))
    assert "".join(told) == "abcde"


def test_several_may_follow_in_one_turn_of_the_loop() -> None:
    """As long as there is time; nobody twice while others wait."""
    loop, told = manual_loop(), list[str]()
    turns = Turns(loop, share_s=3600.0)
    for one in [One(name, turns, told, 2) for name in "abc"]:
        turns.wait(one)
    loop.turn()
    assert "".join(told) == "abcabc"
    loop.settle()
    assert "".join(told) == "abcabc"
    assert loop.is_idle


def test_an_urgent_one_passes_those_that_wait_and_starves_nobody() -> None:
    """`/healthz` waited for every handshake of a storm of connections."""
    loop, told = manual_loop(), list[str]()
    turns = Turns(loop)
    for name in "abc":
        turns.wait(One(name, turns, told, 1))
    urgent = [One(name, turns, told, 1) for name in "xyz"]
    for one in urgent:
        turns.hurry(one)
        turns.hurry(one)
    turns.leave(urgent[2])
    loop.settle()
    assert "".join(told) == "xaybc"
    turns.hurry(urgent[2])
    loop.settle()
    assert told[-1] == "z"
    assert loop.is_idle
