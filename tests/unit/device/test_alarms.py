"""When alarms are on, and what becomes of them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.config.alarms import Alarm
from sensord.device.alarms import TRANSITIONS, Condition, Event, Life, State, after
from sensord.model.readings import GOOD, Level, Quality, Reading, Value

S = 1_000_000
BAD = Quality(Level.BAD, "disconnected")
UNSURE = Quality(Level.UNCERTAIN, "stale")
BY: dict[str, Value] = {"id": "a1", "name": "Anna"}


def verdicts(rules: Alarm, *steps: tuple[int, Value, Quality], is_on: bool = False) -> list[bool]:
    """Return whether the alarm is on after each reading, at seconds."""
    condition = Condition(rules, 0, is_on=is_on)
    found = []
    for at_s, value, quality in steps:
        condition.reading(Reading(at_s * S, value, quality), at_s * S)
        found.append(condition.is_on)
    return found


def no_timer(condition: Condition) -> bool:
    return condition.due_us is None


@pytest.mark.parametrize(
    ("more", "values", "expected"),
    [
        ({"above": 80.0}, [80, 81, 80], [False, True, False]),
        ({"above": 80.0, "hysteresis": 2.0}, [81, 79, 78, 79], [True, True, False, False]),
        ({"below": 5.0, "hysteresis": 1.0}, [4, 5.5, 6, 5.5], [True, True, False, False]),
        ({"outside": (5.0, 80.0)}, [4, 5, 80, 81], [True, False, False, True]),
        ({"equals": "fault"}, ["ok", "fault", "ok"], [False, True, False]),
        ({"equals": True}, [1, True, False], [False, True, False]),
        ({"equals": 3}, [3.0, True, 4], [True, False, False]),
        ({"above": 80.0}, [81, "nonsense", 79], [True, True, False]),
    ],
)
def test_a_limit_decides(more: dict[str, Any], values: list[Value], expected: list[bool]) -> None:
    """Each kind of limit, and what is no number leaves the verdict."""
    steps = [(at, value, GOOD) for at, value in enumerate(values)]
    assert verdicts(Alarm("t", **more), *steps) == expected


def test_a_bad_value_decides_nothing_and_an_uncertain_one_never_clears() -> None:
    """A broken sensor must neither raise nor clear an alarm on its value."""
    rules = Alarm("t", above=80.0)
    assert verdicts(rules, (1, 99.0, BAD), (2, 81.0, GOOD), (3, 0.0, BAD), (4, 0.0, UNSURE)) == [
        False,
        True,
        True,
        True,
    ]
    assert verdicts(rules, (1, 81.0, UNSURE), (2, 0.0, GOOD)) == [True, False]


@pytest.mark.parametrize(
    ("threshold", "expected"), [("bad", [False, True, False]), ("uncertain", [True, True, False])]
)
def test_quality_is_an_alarm(threshold: Any, expected: list[bool]) -> None:
    """A bad source can be an alarm itself."""
    steps = [(1, 1.0, UNSURE), (2, 1.0, BAD), (3, 1.0, GOOD)]
    assert verdicts(Alarm("t", quality=threshold), *steps) == expected


def test_silence_is_an_alarm_from_the_start() -> None:
    """A source that never spoke is silent, too; what says that it is gone is no sign of life."""
    condition = Condition(Alarm("t", stale=5.0), 0)
    assert condition.due_us == 5 * S
    assert not condition.tick(5 * S - 1)
    assert condition.tick(5 * S)
    assert condition.cause == "stale"
    assert no_timer(condition)
    assert not condition.reading(Reading(0, None, BAD, restates=True), 6 * S)
    assert not condition.reading(Reading(0, 1.0, UNSURE, restates=True), 6 * S)
    assert condition.reading(Reading(7 * S, 1.0, GOOD), 7 * S)
    assert not condition.is_on
    assert condition.due_us == 12 * S


def test_delays_hold_both_ways() -> None:
    """A short excess raises nothing, a short dip clears nothing."""
    condition = Condition(Alarm("t", above=1.0, delay=10.0, off_delay=5.0), 0)
    assert not condition.reading(Reading(0, 2.0), 0)
    assert condition.due_us == 10 * S
    assert not condition.reading(Reading(0, 0.0), 9 * S)
    assert no_timer(condition)
    assert not condition.reading(Reading(0, 2.0), 10 * S)
    assert condition.tick(20 * S)
    assert condition.cause == "above"
    assert not condition.reading(Reading(0, 0.0), 21 * S)
    assert condition.due_us == 26 * S
    assert condition.tick(26 * S)
    assert not condition.is_on


def test_a_delay_that_passed_unseen_counts() -> None:
    """A reading that comes after the delay does not hide what was due before it."""
    condition = Condition(Alarm("t", above=1.0, delay=1.0), 0)
    condition.reading(Reading(0, 2.0), 0)
    assert condition.tick(2 * S)
    assert condition.reading(Reading(0, 0.0), 2 * S)
    assert not condition.is_on


def test_an_alarm_of_before_the_start_stays_on_until_a_good_value() -> None:
    """A restart clears nothing."""
    rules = Alarm("t", above=80.0)
    steps = [(1, 1.0, BAD), (2, 1.0, UNSURE), (3, 1.0, GOOD)]
    assert verdicts(rules, *steps, is_on=True) == [True, True, False]


readings = st.tuples(st.integers(0, 20), st.floats(-10, 10), st.sampled_from([GOOD, BAD, UNSURE]))
rules_of = st.builds(
    Alarm,
    topic=st.just("t"),
    above=st.none() | st.floats(1, 5),
    below=st.none() | st.floats(-5, -1),
    quality=st.sampled_from([None, "bad", "uncertain"]),
    stale=st.none() | st.floats(1, 10),
    hysteresis=st.floats(0, 0.5),
    delay=st.sampled_from([0.0, 3.0]),
    off_delay=st.sampled_from([0.0, 3.0]),
)


@given(rules_of, st.lists(readings, max_size=20))
def test_time_in_one_step_or_many_gives_the_same(rules: Alarm, steps: list[Any]) -> None:
    """Ticks at every due time change nothing of what a late tick finds, and due times end."""
    condition, now_us, told = Condition(rules, 0), 0, False
    for wait_s, value, quality in steps:
        until_us = now_us + wait_s * S
        for _ in range(4):
            due_us = condition.due_us
            if due_us is None or due_us > until_us:
                break
            told ^= condition.tick(max(now_us, due_us))
        else:
            pytest.fail("due for ever")
        now_us = until_us
        told ^= condition.tick(now_us)
        told ^= condition.reading(Reading(now_us, value, quality), now_us)
        assert told is condition.is_on
        if rules.delay == 0 and quality == GOOD and rules.above and value > rules.above:
            assert condition.is_on


@given(st.lists(st.sampled_from(["raise", "clear", "ack", "shelve", "unshelve"]), max_size=12))
def test_a_life_survives_its_row(acts: list[str]) -> None:
    """Any life reads back as it was written; an event that does not apply changes nothing."""
    life = Life()
    for at, act in enumerate(acts, 1):
        changed: Life | None
        match act:
            case "raise":
                changed = life.raised(at, "above", 81.5)
            case "clear":
                changed = life.cleared(at)
            case "ack":
                changed = life.acknowledge(at, BY, "seen")
            case "shelve":
                changed = life.shelve(at + 10, BY, "")
            case _:
                changed = life.unshelve()
        life = life if changed is None else changed
        assert Life.of(life.to_value()) == life
        assert life.is_on is (life.state in {State.RAISED, State.ACKNOWLEDGED})


def test_the_table_has_every_way_through() -> None:
    """A missing pair changes nothing; a new raise forgets the old acknowledgement."""
    for state, event in itertools.product(State, Event):
        assert after(state, event) == TRANSITIONS.get((state, event))
    raised = Life().raised(1, "above", 2)
    assert raised is not None
    acknowledged = raised.acknowledge(2, BY, "seen")
    assert acknowledged is not None
    assert acknowledged.raised(3, "above", 2) is None
    assert acknowledged.acknowledge(3, BY, "") is None
    over = acknowledged.cleared(4)
    assert over is not None
    assert (over.state, over.cleared_us, over.cleared(5)) == (State.NORMAL, 4, None)
    again = over.raised(6, "above", 2)
    assert again is not None
    assert (again.count, again.acknowledged) == (2, None)


@pytest.mark.parametrize("kept", [None, {}, {**Life().to_value(), "state": "odd"}, "x"])
def test_a_row_that_is_none_gives_a_new_life(kept: Value) -> None:
    """What is damaged is not guessed at."""
    assert Life.of(kept) == replace(Life())
