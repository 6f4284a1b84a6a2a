"""Those that are behind go on one at a time."""

from __future__ import annotations

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
    assert turns.are_free
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
