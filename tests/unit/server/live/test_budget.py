"""What live groups may cost is shared among clients, and nobody below its share loses anything."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.server.live.budget import (
    CAUTION_S,
    HALF_LIFE_S,
    LATENESSES,
    RELEASES,
    ROOM_SHARE,
    Budget,
    Charge,
    level,
    to_hold,
)

shares = st.floats(0.0, 1.0)
charges = st.lists(st.tuples(st.integers(0, 4), shares), max_size=30).map(
    lambda pairs: [Charge(number, client, share) for number, (client, share) in enumerate(pairs)]
)


@given(st.lists(shares, max_size=10), st.floats(0.0, 2.0))
def test_cut_down_to_the_level_all_together_are_what_is_allowed(
    totals: list[float], most: float
) -> None:
    """Or less, if they were less before."""
    cut = level(totals, most)
    assert sum(min(total, cut) for total in totals) == pytest.approx(min(sum(totals), most))


@given(charges, st.floats(0.01, 1.0))
def test_only_those_above_the_level_give_up_subscriptions(
    known: list[Charge[int]], most: float
) -> None:
    """As few as bring the sum down."""
    held = to_hold(known, most)
    totals = {
        client: sum(one.share for one in mine)
        for client, mine in itertools.groupby(
            sorted(known, key=lambda one: str(one.client)), lambda one: one.client
        )
    }
    cut = level(totals.values(), most)
    assert all(totals[one.client] > cut for one in held)
    rest = sum(totals.values()) - sum(one.share for one in held)
    assert rest <= most + 1e-9
    if held:
        assert rest + held[0].share + 1e-9 >= most
    assert len(set(held)) == len(held)


def test_a_client_with_hundreds_of_groups_does_not_cost_another_its_only_one() -> None:
    """Nor a hundred clients that share one."""
    greedy = [Charge(f"greedy {number}", "greedy", 0.01) for number in range(200)]
    modest = [Charge("modest", "modest", 0.05)]
    sharing = [Charge(f"sharing {number}", number, 0.001) for number in range(100)]
    held = to_hold([*sharing, *modest, *greedy], ROOM_SHARE)
    assert {one.client for one in held} == {"greedy"}
    assert len(held) == pytest.approx(200 - (ROOM_SHARE - 0.15) / 0.01, abs=1)


def test_costs_are_too_much_only_if_the_loop_is_late() -> None:
    """A daemon that is busy and in time harms nobody."""
    budget: Budget[str] = Budget()
    assert not budget.is_over(0.9, 0.001, 0.0)
    assert not budget.is_over(0.3, 0.5, 0.1)
    assert budget.is_over(0.9, 0.001, 0.2), "it was late a moment ago"
    assert budget.is_cautious(0.2 + CAUTION_S / 2)
    assert not budget.is_cautious(0.2 + CAUTION_S)


def released(budget: Budget[str], share: float, now_s: float) -> list[str]:
    """Return those that come again; all of them are ready."""
    return budget.released(share, now_s, [*budget])


def calm(budget: Budget[str], now_s: float) -> None:
    """Let the loop be in time for long enough."""
    for _ in range(LATENESSES):
        assert not budget.is_over(0.0, 0.0, now_s)


def test_who_was_held_back_comes_again_when_there_is_room() -> None:
    """As many as fit, those first that have waited longest."""
    budget: Budget[str] = Budget()
    for name in "abc":
        budget.hold(name, 0.15, 0.0)
    calm(budget, 0.0)
    assert "a" in budget
    assert released(budget, 0.3, 0.1) == []
    assert released(budget, 0.0, 0.2) == ["a", "b"]
    assert released(budget, 0.0, 0.3) == [], "what they cost now is not known yet"
    assert [*budget] == ["c"]
    assert released(budget, 0.0, 5.0) == ["c"]
    assert len(budget) == 0


def test_what_a_subscription_cost_is_forgotten_in_time() -> None:
    """Readings may come more slowly now; each time it was wrong, that takes longer."""
    budget: Budget[str] = Budget()
    calm(budget, 0.0)
    now_s = 0.0
    for strikes in range(3):
        budget.hold("a", 4 * ROOM_SHARE, now_s)
        half_life_s = HALF_LIFE_S * 2**strikes
        assert released(budget, 0.0, now_s + 1.9 * half_life_s) == []
        now_s += 2.1 * half_life_s
        assert released(budget, 0.0, now_s) == ["a"]


def test_not_all_come_at_once() -> None:
    """However little they seem to cost."""
    budget: Budget[str] = Budget()
    calm(budget, 0.0)
    for number in range(3 * RELEASES):
        budget.hold(str(number), 0.0, 0.0)
    assert len(released(budget, 0.0, 1.0)) == RELEASES
    budget.forget(str(3 * RELEASES - 1))
    assert len(released(budget, 0.0, 1.1)) == RELEASES
    assert len(released(budget, 0.0, 1.2)) == RELEASES - 1


def test_nobody_comes_while_the_loop_is_late() -> None:
    """Whatever the groups cost: something else is in the way."""
    budget: Budget[str] = Budget()
    budget.hold("a", 0.0, 0.0)
    budget.is_over(0.1, 0.5, 0.0)
    assert released(budget, 0.1, 0.1) == []
    calm(budget, 0.2)
    assert released(budget, 0.1, 0.2) == ["a"]


def test_who_has_not_caught_up_is_not_released() -> None:
    """It would only be held back again."""
    budget: Budget[str] = Budget()
    calm(budget, 0.0)
    for name in "ab":
        budget.hold(name, 0.01, 0.0)
    assert budget.released(0.0, 0.1, {"b"}) == ["b"]
