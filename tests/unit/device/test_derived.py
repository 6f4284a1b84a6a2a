"""What is worked out of other channels is right, or marked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.config.derived import KINDS, Derived, derived_channels
from sensord.config.schema import Faults
from sensord.device.derived import INCOMPLETE, Derivation, Result, derived_unit
from sensord.model.readings import GOOD, Level, Quality, Reading, Value
from sensord.model.units import unit_fault

S = 1_000_000
BAD = Quality(Level.BAD, "disconnected")
UNSURE = Quality(Level.UNCERTAIN, "stale")


def after(rules: Derived, *steps: tuple[float, Value, Quality], at_s: float) -> Result | None:
    """Return the result at a time, after readings of the first source at theirs."""
    derivation = Derivation(rules)
    for time_s, value, quality in steps:
        derivation.push(0, Reading(round(time_s * S), value, quality), round(time_s * S))
    return derivation.result(round(at_s * S))


STEPS = [(0, 10.0, GOOD), (10, 20.0, GOOD), (15, 40.0, GOOD)]


@pytest.mark.parametrize(
    ("kind", "at_s", "expected"),
    [
        ("mean", 20, Result(20.0, GOOD)),
        ("min", 20, Result(10.0, GOOD)),
        ("max", 20, Result(40.0, GOOD)),
        ("rate", 20, Result(1.5, GOOD)),
        ("min", 30, Result(20.0, GOOD)),
        ("mean", 100, Result(40.0, GOOD)),
        ("rate", 100, Result(0.0, GOOD)),
        ("mean", 15, Result(40 / 3, INCOMPLETE)),
        ("rate", 15, Result(2.0, INCOMPLETE)),
    ],
)
def test_a_value_counts_for_as_long_as_it_held(kind: str, at_s: float, expected: Result) -> None:
    """Also of a channel that is silent while nothing changes."""
    found = after(Derived("t", **{kind: 20.0}), *STEPS, at_s=at_s)  # type: ignore[arg-type]  # a window
    assert found is not None
    assert found.value == pytest.approx(expected.value)
    assert found.quality == expected.quality


@pytest.mark.parametrize("kind", ["mean", "min", "max", "rate"])
def test_a_window_with_a_hole_says_so(kind: str) -> None:
    """Bad for a while: incomplete until the hole has left; bad now: bad for the same reason."""
    rules = Derived("t", **{kind: 10.0})  # type: ignore[arg-type]  # a window
    steps = [(0, 1.0, GOOD), (20, None, BAD), (22, 1.0, GOOD)]
    assert after(rules, *steps[:2], at_s=21) == Result(None, BAD)
    assert after(rules, *steps, at_s=31) == Result(0.0 if kind == "rate" else 1.0, INCOMPLETE)
    assert after(rules, *steps, at_s=33) == Result(0.0 if kind == "rate" else 1.0, GOOD)


def test_an_uncertain_source_gives_no_good_result() -> None:
    """As long as the doubtful value is in the window."""
    rules = Derived("t", mean=10.0)
    steps = [(0, 1.0, UNSURE), (10, 1.0, GOOD)]
    assert after(rules, *steps, at_s=19) == Result(1.0, UNSURE)
    assert after(rules, *steps, at_s=20) == Result(1.0, GOOD)


def test_what_is_no_number_is_bad() -> None:
    """Texts and booleans have no mean, and a huge integer is no float."""
    for value in ("x", True, 10**400, None):
        found = after(Derived("t", mean=10.0), (0, value, GOOD), at_s=5)
        assert found == Result(None, Quality(Level.BAD, "wrong_type"))
    huge = [(0, 1e308, GOOD), (1, -1e308, GOOD)]
    assert after(Derived("t", rate=2.0), *huge, at_s=2) == Result(
        None, Quality(Level.BAD, "not_finite")
    )


def test_a_total_follows_wraps_and_resets() -> None:
    """A fall by more than half is a wrap; any other loses what came just before, and says so."""
    derivation, found = Derivation(Derived("t", total=True, wrap=100.0)), []
    for at, value in enumerate([90, 98, 5, 30, 10, 12]):
        derivation.push(0, Reading(at, value), at)
        found.append(derivation.result(at))
    good = [Result(value, GOOD) for value in (90.0, 98.0, 105.0, 130.0)]
    reset = Result(140.0, Quality(Level.UNCERTAIN, "counter_reset"))
    assert found == [*good, reset, Result(142.0, GOOD)]


@pytest.mark.parametrize("wrap", [None, 1500.0])
def test_a_counter_that_shows_nothing_for_a_moment_was_not_reset(wrap: float | None) -> None:
    """A meter that answers 0 before it has read its memory doubled the total."""
    derivation, found = Derivation(Derived("t", total=True, wrap=wrap)), []
    for at, value in enumerate([1000, 0, 0, 1001, 0, 5]):
        derivation.push(0, Reading(at, value), at)
        result = derivation.result(at)
        assert result is not None
        found.append((result.value, result.quality.reason))
    added = wrap or 1001.0
    doubtful = [(added + offset, "counter_reset") for offset in ((0.0 if wrap else -1.0),) * 2]
    assert found[:4] == [(1000.0, ""), *doubtful, (1001.0, "")]
    # It stays below: this was a reset.
    assert found[4:] == [(added, "counter_reset"), (added + 5, "")]


@given(
    steps=st.lists(st.integers(0, 400), min_size=1, max_size=40),
    cut=st.integers(0, 40),
    is_known=st.booleans(),
)
def test_a_total_survives_a_restart(steps: list[int], cut: int, *, is_known: bool) -> None:
    """With the row kept at its last change and the source's last reading, it is the same.

    Without that reading a wrap may have passed unseen: the next total is not called good.
    """
    rules, count, kept = Derived("t", total=True, wrap=1000.0), 0, (0.0, 0.0)
    derivation = Derivation(rules)
    for at, step in enumerate(steps):
        count += step
        if at == cut:
            derivation = Derivation(rules)
            derivation.offset, derivation.count = kept
            if at and is_known:
                derivation.push(0, Reading(at - 1, (count - step) % 1000), at - 1)
            derivation.is_resumed = at > 0 and not is_known
        before = derivation.offset
        derivation.push(0, Reading(at, count % 1000), at)
        assert derivation.count is not None
        if derivation.offset != before or at == 0:
            kept = derivation.offset, derivation.count
        result = derivation.result(at)
        assert result is not None
        if at >= cut > 0 and not is_known:
            assert at > cut or result.quality.level is Level.UNCERTAIN
        elif count % 1000 == 0:
            assert result.value == count  # a 0 may be a slip of the device: it is in doubt
        else:
            assert result == Result(count, GOOD)


def test_a_difference_needs_both_and_is_as_good_as_the_worse() -> None:
    """One side alone gives nothing."""
    derivation = Derivation(Derived("a", minus="b"))
    derivation.push(0, Reading(0, 5.0), 0)
    assert derivation.result(0) is None
    derivation.push(1, Reading(0, 3.0, UNSURE), 0)
    assert derivation.result(0) == Result(2.0, UNSURE)
    derivation.push(0, Reading(1, None, BAD), 1)
    assert derivation.result(1) == Result(None, BAD)


def test_a_median_passes_no_spike() -> None:
    """One wild value of three does not show."""
    rules = Derived("t", median=3)
    steps = [(0, 1.0, GOOD), (1, 999.0, GOOD), (2, 2.0, GOOD)]
    assert after(rules, *steps[:2], at_s=1) == Result(500.0, INCOMPLETE)
    assert after(rules, *steps, at_s=2) == Result(2.0, GOOD)


def test_hampel_replaces_a_spike_and_says_so() -> None:
    """What lies within the spread passes as it is."""
    rules = Derived("t", hampel=5)
    steps = [(at, value, GOOD) for at, value in enumerate([1.0, 1.1, 0.9, 1.0, 1.2])]
    assert after(rules, *steps, at_s=4) == Result(1.2, GOOD)
    assert after(rules, *steps[:2], at_s=1) == Result(1.1, INCOMPLETE)
    spike = (5, 99.0, GOOD)
    assert after(rules, *steps, spike, at_s=5) == Result(1.1, Quality(Level.UNCERTAIN, "spike"))


def test_the_best_source_is_chosen() -> None:
    """By quality, then by rank; one that is silent is none."""
    derivation = Derivation(Derived("a", fallback=("b", "c"), timeout=10.0))
    assert derivation.choice(0) is None
    assert derivation.chosen(None) == (0, Result(None, Quality(Level.BAD, "no_source")))
    derivation.push(1, Reading(0, 2.0), 0, 1 * S)
    assert derivation.choice(1 * S) == 1
    derivation.push(0, Reading(5, 1.0, UNSURE), 5, 2 * S)
    assert derivation.choice(2 * S) == 1
    derivation.push(0, Reading(6, 1.0), 6, 3 * S)
    assert derivation.choice(3 * S) == 0
    assert derivation.chosen(0) == (6, Result(1.0, GOOD))
    derivation.push(0, Reading(6, 1.0, BAD, restates=True), 7, 4 * S)
    assert derivation.choice(4 * S) == 1
    assert derivation.choice(11 * S) is None


@given(
    st.sampled_from(["mean", "min", "max"]),
    st.lists(
        st.tuples(st.integers(0, 20), st.floats(-1e6, 1e6), st.sampled_from([GOOD, UNSURE, BAD])),
        min_size=1,
        max_size=20,
    ),
)
def test_a_good_result_has_a_good_window(kind: str, steps: list[Any]) -> None:
    """Good only if every moment of the window had a good value, and then within their bounds."""
    rules, now, told = Derived("t", **{kind: 30.0}), 0, []  # type: ignore[arg-type]  # a window
    derivation = Derivation(rules)
    for wait, value, quality in steps:
        now += wait
        derivation.push(0, Reading(now * S, value, quality), now * S)
        told.append((now, value, quality))
        result = derivation.result(now * S)
        assert result is not None
        if result.quality == GOOD:
            ends = [start for start, _, _ in told[1:]] + [now]
            inside = [
                one for one, end in zip(told, ends, strict=True) if end > now - 30 or one[0] == now
            ]
            assert told[0][0] <= now - 30
            held = [one for one, end in zip(told, ends, strict=True) if end > max(one[0], now - 30)]
            assert all(one[2] == GOOD for one in held)
            assert result.value is not None
            values = [one[1] for one in inside]
            assert min(values) <= result.value <= max(values)


@pytest.mark.parametrize(
    "unit", ["", "Cel", "[degF]", "kW.h", "L/min", "%", "m3", "{count}", "10*3/uL"]
)
def test_derived_units_are_codes(unit: str) -> None:
    """Whatever the source's unit, our table knows the result's."""
    for kind in KINDS:
        assert unit_fault(derived_unit(kind, unit)) is None
    assert (derived_unit("rate", "Cel"), derived_unit("minus", "Cel")) == ("K/s", "K")


@pytest.mark.parametrize(
    ("raw", "at"),
    [
        ({"a": {"from": "b", "mean": 10}}, []),
        (1, ["derived"]),
        ({"a": 1}, ["derived.a"]),
        ({"a": {"from": "b"}}, ["derived.a"]),
        ({"a": {"from": "b", "mean": 10, "max": 10}}, ["derived.a"]),
        ({"a": {"from": "+", "mean": 10}}, ["derived.a.from"]),
        ({"a": {"mean": 10}}, ["derived.a.from"]),
        ({"a": {"from": "b", "fallback": ["c"], "timeout": "1s"}}, []),
        ({"a": {"from": "b", "fallback": []}}, ["derived.a.fallback"]),
        ({"a": {"from": "b", "fallback": ["b"]}}, ["derived.a.fallback"]),
        ({"a": {"from": "b", "mean": 10, "timeout": 1}}, ["derived.a.timeout"]),
        ({"a": {"from": "b", "total": False}}, ["derived.a.total"]),
        ({"a": {"from": "b", "mean": 10, "wrap": 5}}, ["derived.a.wrap"]),
        ({"$a": {"from": "b", "mean": 10}}, ["derived.$a"]),
        ({"a": {"from": "a", "mean": 10}}, ["derived.a.from"]),
        (
            {"a": {"from": "b", "mean": 10}, "b": {"from": "c", "minus": "a"}},
            ["derived.a.from", "derived.b.from"],
        ),
    ],
)
def test_faults_stand_where_they_are(raw: Any, at: list[str]) -> None:
    """A key as it is written; a circle at each of its members."""
    faults = Faults()
    derived_channels(raw, faults)
    assert [".".join(map(str, path)) for path, _ in faults.found] == at
