"""Whoever shows wrong tokens waits longer each time."""

from __future__ import annotations

from sensord.access.guesses import FORGET_S, LONGEST_S, MOST, Guesses


def test_each_refusal_waits_twice_as_long_up_to_a_bound() -> None:
    """Of one address, and no other."""
    guesses = Guesses()
    waits = [guesses.failed("10.0.0.1", 0.0) for _ in range(9)]
    assert waits[:3] == [0.1, 0.2, 0.4]
    assert waits[-1] == LONGEST_S
    assert guesses.failed("10.0.0.2", 0.0) == 0.1


def test_a_right_token_and_time_forget_refusals() -> None:
    """So nobody waits for yesterday's mistake."""
    guesses = Guesses()
    for _ in range(5):
        guesses.failed("10.0.0.1", 0.0)
    guesses.succeeded("10.0.0.1")
    assert guesses.failed("10.0.0.1", 0.0) == 0.1
    assert guesses.failed("10.0.0.1", FORGET_S + 1) == 0.1


def test_many_addresses_fill_no_memory() -> None:
    """The one that failed first is forgotten."""
    guesses = Guesses()
    guesses.failed("first", 0.0)
    for number in range(MOST):
        guesses.failed(str(number), 1.0)
    assert guesses.failed("first", 1.0) == 0.1
