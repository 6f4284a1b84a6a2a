"""What is published of a channel's samples, and when."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.config.schema import Faults, structure
from sensord.device.policy import Policy, Publisher, is_change
from sensord.model.readings import GOOD, Level, Quality, Reading, Reason, Value

S = 1_000_000

BAD = Quality(Level.BAD, Reason.OUT_OF_RANGE)
GONE = Quality(Level.BAD, Reason.DISCONNECTED)
STALE = Quality(Level.UNCERTAIN, Reason.STALE)


def due(publisher: Publisher) -> int | None:
    """Ask anew: a call between two answers may have changed it."""
    return publisher.due_us


def sample(value: Value, time_us: int = 0, quality: Quality = GOOD) -> Reading:
    return Reading(time_us, value, quality)


# -- the configuration -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "faults"),
    [
        ({}, []),
        ({"policy": "periodic", "period": "10s"}, []),
        ({"deadband": 0.5, "min_period": "1s", "max_period": 0}, []),
        ({"deadband": -1.0}, ["deadband: may not be negative"]),
        ({"deadband_percent": -1.0}, ["deadband_percent: may not be negative"]),
        ({"deadband": 1.0, "deadband_percent": 1.0}, ["deadband_percent: give either"]),
        ({"policy": "periodic"}, ['period: the policy "periodic" needs a period']),
        ({"policy": "periodic", "period": "1us"}, ['period: the policy "periodic" needs a period']),
        ({"period": "1s"}, ['period: only the policy "periodic" has a period']),
        ({"min_period": "2m"}, ["max_period: is shorter than min_period"]),
        (
            {"deadband": -1.0, "period": "1s"},
            ["deadband: may not be negative", 'period: only the policy "periodic" has a period'],
        ),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(
    table: dict[str, object], faults: list[str]
) -> None:
    """Every contradiction is told."""
    found = Faults()
    structure(Policy, table, (), found)
    told = [f"{path[0]}: {message}" for path, message in found.found]
    assert len(told) == len(faults)
    assert all(one.startswith(wanted) for one, wanted in zip(told, faults, strict=True))


@pytest.mark.parametrize(
    ("policy", "needs"),
    [
        (Policy(), False),
        (Policy("every"), False),
        (Policy(min_period=1), True),
        (Policy(stale_after=1), True),
        (Policy("periodic", period=1), True),
    ],
)
def test_only_what_waits_needs_a_timer(policy: Policy, needs: bool) -> None:
    """Most channels cost none."""
    assert policy.needs_timer is needs


# -- what is a change ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "deadband", "percent", "is_one"),
    [
        (1.0, 1.0, 0.0, 0.0, False),
        (1.0, 1.1, 0.0, 0.0, True),
        (1.0, 1.5, 0.5, 0.0, False),
        (1.0, 1.6, 0.5, 0.0, True),
        (1.0, 0.4, 0.5, 0.0, True),
        (100.0, 101.0, 0.0, 1.0, False),
        (-100.0, -101.5, 0.0, 1.0, True),
        (0.0, 1e-9, 0.0, 1.0, True),
        (5, 7, 2.0, 0.0, False),
        (1, 1.0, 5.0, 0.0, True),
        (1, True, 5.0, 0.0, True),
        (False, True, 5.0, 0.0, True),
        (True, True, 5.0, 0.0, False),
        ("a", "b", 5.0, 0.0, True),
        ("a", "a", 5.0, 0.0, False),
        ([1], [2], 5.0, 0.0, True),
        ({"a": 1}, {"a": 1}, 5.0, 0.0, False),
        (None, 1.0, 5.0, 0.0, True),
        (1e308, -1e308, 5.0, 0.0, True),
    ],
)
def test_a_deadband_is_for_numbers_of_one_type(
    old: Value, new: Value, deadband: float, percent: float, is_one: bool
) -> None:
    """A switch, a text and a change of type are changes however small."""
    assert is_change(sample(old), sample(new), deadband, percent) is is_one


def test_a_change_of_quality_is_a_change() -> None:
    """Whatever the value."""
    assert is_change(sample(1.0), sample(1.0, quality=BAD), 5.0, 0.0)


# -- on change -------------------------------------------------------------------------------------


def test_only_changes_are_published() -> None:
    """The first sample is one."""
    publisher = Publisher(Policy())
    told = [publisher.offer(i * S, sample(value, i)) for i, value in enumerate([1.0, 1.0, 2.0])]
    assert told == [sample(1.0, 0), None, sample(2.0, 2)]


def test_every_publishes_every_sample() -> None:
    """Changed or not."""
    publisher = Publisher(Policy("every"))
    assert [publisher.offer(i, sample(1.0, i)) for i in range(3)] == [
        sample(1.0, i) for i in range(3)
    ]
    assert due(publisher) is None


def test_a_heartbeat_keeps_the_time_of_the_value() -> None:
    """It says that the old value was confirmed, not that it is new."""
    publisher = Publisher(Policy(max_period=60))
    publisher.offer(0, sample(1.0, 7))
    assert publisher.offer(59 * S, sample(1.0, 8)) is None
    assert publisher.offer(60 * S, sample(1.0, 9)) == Reading(7, 1.0, GOOD, restates=True)
    assert publisher.offer(119 * S, sample(1.0, 10)) is None
    assert publisher.offer(120 * S, sample(1.0, 11)) == Reading(7, 1.0, GOOD, restates=True)


def test_a_heartbeat_needs_a_sample() -> None:
    """Silence confirms nothing."""
    publisher = Publisher(Policy(max_period=60))
    publisher.offer(0, sample(1.0))
    assert due(publisher) is None
    assert publisher.tick(3600 * S) is None


def test_a_value_within_the_deadband_is_told_at_last() -> None:
    """As the new value that it is: a heartbeat of the old one would be wrong."""
    publisher = Publisher(Policy(deadband=1.0, max_period=60))
    publisher.offer(0, sample(1.0, 0))
    assert publisher.offer(30 * S, sample(1.5, 1)) is None
    assert publisher.offer(60 * S, sample(1.6, 2)) == sample(1.6, 2)


def test_without_a_max_period_nothing_is_confirmed() -> None:
    """Some lines are paid by the byte."""
    publisher = Publisher(Policy(max_period=0))
    publisher.offer(0, sample(1.0))
    assert publisher.offer(10**6 * S, sample(1.0)) is None


def test_a_change_that_comes_too_early_waits() -> None:
    """The newest one is published when its time has come."""
    publisher = Publisher(Policy(min_period=10))
    publisher.offer(0, sample(1.0, 0))
    assert publisher.offer(1 * S, sample(2.0, 1)) is None
    assert publisher.offer(2 * S, sample(3.0, 2)) is None
    assert due(publisher) == 10 * S
    assert publisher.tick(10 * S - 1) is None
    assert publisher.tick(10 * S) == sample(3.0, 2)
    assert due(publisher) is None
    assert publisher.tick(11 * S) is None


def test_a_change_that_was_taken_back_is_not_published() -> None:
    """What is known is right again."""
    publisher = Publisher(Policy(min_period=10))
    publisher.offer(0, sample(1.0, 0))
    publisher.offer(1 * S, sample(2.0, 1))
    publisher.offer(2 * S, sample(1.0, 2))
    assert due(publisher) is None
    assert publisher.tick(10 * S) is None


# -- periodic --------------------------------------------------------------------------------------


def test_periodic_publishes_the_newest_on_a_grid() -> None:
    """The grid begins with the first sample."""
    publisher = Publisher(Policy("periodic", period=10))
    assert publisher.offer(3 * S, sample(1.0, 0)) == sample(1.0, 0)
    assert publisher.offer(5 * S, sample(2.0, 1)) is None
    assert publisher.offer(6 * S, sample(3.0, 2)) is None
    assert due(publisher) == 13 * S
    assert publisher.tick(13 * S) == sample(3.0, 2)
    assert due(publisher) is None


def test_a_late_tick_does_not_move_the_grid() -> None:
    """The next point is where it would have been."""
    publisher = Publisher(Policy("periodic", period=10))
    publisher.offer(0, sample(1.0, 0))
    publisher.offer(1 * S, sample(2.0, 1))
    assert publisher.tick(14 * S) == sample(2.0, 1)
    publisher.offer(15 * S, sample(3.0, 2))
    assert due(publisher) == 20 * S


def test_points_that_passed_in_silence_are_not_made_up() -> None:
    """The first sample after them is published at once."""
    publisher = Publisher(Policy("periodic", period=10))
    publisher.offer(0, sample(1.0, 0))
    assert publisher.offer(47 * S, sample(1.0, 1)) == sample(1.0, 1)
    publisher.offer(48 * S, sample(1.0, 2))
    assert due(publisher) == 50 * S


def test_a_device_that_is_back_does_not_wait_for_the_grid() -> None:
    """Its channel would be called bad for up to a period."""
    publisher = Publisher(Policy("periodic", period=600))
    publisher.offer(0, sample(1.0, 0))
    publisher.spoil(10 * S, GONE)
    assert publisher.offer(20 * S, sample(1.0, 1)) == sample(1.0, 1)
    publisher.offer(30 * S, sample(2.0, 2))
    assert due(publisher) == 600 * S


# -- stale and spoilt ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy",
    [
        Policy(stale_after=5),
        Policy("every", stale_after=5),
        Policy("periodic", period=60, stale_after=5),
    ],
)
def test_silence_makes_a_value_uncertain(policy: Policy) -> None:
    """Once; the next sample makes it good again, changed or not."""
    publisher = Publisher(policy)
    publisher.offer(0, sample(1.0, 7))
    assert due(publisher) == 5 * S
    assert publisher.tick(5 * S - 1) is None
    assert publisher.tick(5 * S) == Reading(7, 1.0, STALE, restates=True)
    assert due(publisher) is None
    assert publisher.tick(60 * S) is None
    assert publisher.offer(61 * S, sample(1.0, 8)) == sample(1.0, 8)


def test_unchanged_samples_keep_a_value_from_going_stale() -> None:
    """They are no silence, though nothing is published."""
    publisher = Publisher(Policy(stale_after=5))
    for second in range(0, 40, 4):
        publisher.offer(second * S, sample(1.0))
        assert due(publisher) == (second + 5) * S


@pytest.mark.parametrize(
    "policy",
    [
        Policy(min_period=10, stale_after=2),
        Policy("periodic", period=10, stale_after=2),
    ],
)
def test_a_sample_that_waits_goes_stale_too(policy: Policy) -> None:
    """It is told when the silence is long enough, as uncertain, and nothing is due in the past."""
    publisher = Publisher(policy)
    publisher.offer(0, sample(1.0, 0))
    assert publisher.offer(1 * S, sample(2.0, 1)) is None
    assert due(publisher) == 3 * S
    assert publisher.tick(3 * S) == Reading(1, 2.0, STALE)
    assert due(publisher) is None
    assert publisher.tick(10 * S) is None


def test_a_sample_that_waits_while_the_channel_is_stale_comes_as_stale() -> None:
    """It is not called good for an instant when it is too old already."""
    publisher = Publisher(Policy(min_period=20, stale_after=5))
    publisher.offer(0, sample(1.0, 0))
    assert publisher.tick(5 * S) == Reading(0, 1.0, STALE, restates=True)
    assert publisher.offer(10 * S, sample(2.0, 1)) is None
    assert due(publisher) == 25 * S
    assert publisher.tick(25 * S) == Reading(1, 2.0, STALE)
    assert due(publisher) is None


def test_what_was_bad_does_not_become_better_by_silence() -> None:
    """It is bad, and stale as well."""
    publisher = Publisher(Policy(stale_after=5))
    publisher.offer(0, sample(None, 0, BAD))
    assert publisher.tick(5 * S) == Reading(0, None, Quality(Level.BAD, "stale"), restates=True)


def test_spoiling_says_the_last_value_again_with_its_new_quality() -> None:
    """With the time of the value; the same quality is not said twice."""
    publisher = Publisher(Policy())
    publisher.offer(0, sample(1.0, 7))
    assert publisher.spoil(1 * S, GONE) == Reading(7, 1.0, GONE, restates=True)
    assert publisher.spoil(2 * S, GONE) is None
    assert publisher.spoil(3 * S, STALE) == Reading(7, 1.0, STALE, restates=True)


def test_spoiling_tells_what_was_held_back() -> None:
    """It was the last thing that the device said."""
    publisher = Publisher(Policy(min_period=10))
    publisher.offer(0, sample(1.0, 0))
    publisher.offer(1 * S, sample(2.0, 1))
    assert publisher.spoil(2 * S, GONE) == Reading(1, 2.0, GONE)
    assert publisher.tick(10 * S) is None


def test_there_is_nothing_to_spoil_before_the_first_sample() -> None:
    """A device that was never there has said nothing."""
    publisher = Publisher(Policy(stale_after=5))
    assert publisher.spoil(0, GONE) is None
    assert due(publisher) is None
    assert publisher.tick(10 * S) is None


def test_after_spoiling_the_next_sample_is_published_whatever_it_holds() -> None:
    """Even within the deadband; only not too early."""
    publisher = Publisher(Policy(deadband=5.0, min_period=10))
    publisher.offer(0, sample(1.0, 0))
    publisher.spoil(1 * S, GONE)
    assert publisher.offer(2 * S, sample(1.0, 1)) is None
    assert publisher.tick(11 * S) == sample(1.0, 1)


# -- always ----------------------------------------------------------------------------------------

MS = 1000


@dataclass
class Told:
    """Something that was published, when, and by what."""

    at_us: int
    by: str
    reading: Reading


@dataclass
class Course:
    """A publisher with a timer that is always in time, and all that came of it."""

    policy: Policy
    now_us: int = 0
    told: list[Told] = field(default_factory=list)
    samples: list[tuple[int, Reading]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.publisher = Publisher(self.policy)

    def until(self, at_us: int) -> None:
        """Let time pass, each tick when it is due."""
        while (due_us := self.publisher.due_us) is not None and due_us <= at_us:
            assert due_us >= self.now_us, "due in the past"
            self.now_us = due_us
            self._note("tick", self.publisher.tick(due_us))
            assert due(self.publisher) != due_us, "due again at once"
        self.now_us = at_us

    def offer(self, value: Value, quality: Quality) -> None:
        reading = Reading(len(self.samples), value, quality)
        self.samples.append((self.now_us, reading))
        self._note("sample", self.publisher.offer(self.now_us, reading))

    def spoil(self) -> None:
        self._note("spoil", self.publisher.spoil(self.now_us, GONE))

    def _note(self, by: str, reading: Reading | None) -> None:
        if reading is not None:
            if reading.quality.reason == Reason.STALE:
                by = "silence"
            self.told.append(Told(self.now_us, by, reading))


durations = st.sampled_from([0.0, 0.005, 0.02, 0.1])
policies = st.one_of(
    st.builds(
        Policy,
        deadband=st.sampled_from([0.0, 0.0, 1.5]),
        min_period=durations,
        max_period=st.sampled_from([0.0, 0.1, 0.5]),
        stale_after=durations,
    ),
    st.builds(
        Policy,
        policy=st.just("periodic"),
        period=st.sampled_from([0.01, 0.05]),
        stale_after=durations,
    ),
    st.builds(Policy, policy=st.just("every"), stale_after=durations),
)
steps = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 3, 10, 40, 200]),
        st.sampled_from([1.0, 1.0, 2.0, 3.0, None]),
        st.sampled_from([GOOD, GOOD, GOOD, BAD]),
        st.sampled_from(["sample", "sample", "sample", "sample", "spoil"]),
    ),
    min_size=1,
    max_size=25,
)


def run(policy: Policy, told: list[tuple[int, Value, Quality, str]]) -> Course:
    course = Course(policy)
    for wait_ms, value, quality, act in told:
        course.until(course.now_us + wait_ms * MS)
        if act == "spoil":
            course.spoil()
        else:
            course.offer(value, BAD if value is None else quality)
    return course


@given(policies, steps)
def test_nothing_is_made_up(policy: Policy, told: list[tuple[int, Value, Quality, str]]) -> None:
    """A new reading is a sample, once, in order; one that restates has value and time of it."""
    course = run(policy, told)
    course.until(course.now_us + 10 * S)
    known = {reading.time_us: reading for _, reading in course.samples}
    fresh = [one.reading for one in course.told if not one.reading.restates]
    assert [r.time_us for r in fresh] == sorted({r.time_us for r in fresh})
    for one in course.told:
        reading = one.reading
        assert reading.value == known[reading.time_us].value
        if one.by in {"sample", "tick"} and not reading.restates:
            assert reading == known[reading.time_us]
        assert one.by != "tick" or not reading.restates, "a timer cannot confirm"


@given(policies, steps)
def test_the_last_value_is_published_at_last(
    policy: Policy, told: list[tuple[int, Value, Quality, str]]
) -> None:
    """Or one so close that it is no change; and after silence it is uncertain, or worse."""
    course = run(policy, told)
    course.until(course.now_us + 10 * S)
    if not course.samples:
        assert not course.told
        return
    final, (_, last) = course.told[-1].reading, course.samples[-1]
    close = is_change(
        final._replace(quality=GOOD), last._replace(quality=GOOD), policy.deadband, 0.0
    )
    assert not close
    if course.told[-1].by == "spoil":
        assert final.quality == GONE
    elif policy.stale_after:
        assert final.quality == Quality(max(last.quality.level, Level.UNCERTAIN), Reason.STALE)
    else:
        assert final.quality == last.quality


@given(policies, steps)
def test_the_min_period_is_kept(
    policy: Policy, told: list[tuple[int, Value, Quality, str]]
) -> None:
    """By all but silence and the loss of the device, which are told at once."""
    course = run(policy, told)
    course.until(course.now_us + 10 * S)
    for before, one in zip(course.told, course.told[1:], strict=False):
        if one.by in {"sample", "tick"}:
            assert one.at_us - before.at_us >= policy.min_period * S


@given(policies, steps)
def test_a_heartbeat_is_a_sample_of_the_same_value(
    policy: Policy, told: list[tuple[int, Value, Quality, str]]
) -> None:
    """Told no earlier than every max_period, with the time of the value that it confirms."""
    course = run(policy, told)
    for before, one in zip(course.told, course.told[1:], strict=False):
        if one.by == "sample" and one.reading.restates:
            assert one.reading == before.reading._replace(restates=True)
            assert one.at_us - before.at_us >= policy.max_period * S
            # Another value may follow in the same instant.
            confirming = [(r.value, r.quality) for at, r in course.samples if at == one.at_us]
            assert (one.reading.value, one.reading.quality) in confirming


@given(st.integers(1, 40), st.lists(st.integers(1, 60), min_size=1, max_size=30))
def test_steady_samples_are_confirmed_in_time(max_ms: int, waits_ms: list[int]) -> None:
    """At the first sample that is max_period away from what was told last."""
    course = Course(Policy(max_period=max_ms / 1000))
    for wait_ms in waits_ms:
        course.until(course.now_us + wait_ms * MS)
        course.offer(1.0, GOOD)
        assert course.now_us - course.told[-1].at_us < max_ms * MS


@given(
    st.sampled_from([0.01, 0.05]),
    st.lists(st.tuples(st.integers(0, 120), st.floats(-5, 5)), min_size=1, max_size=25),
)
def test_a_periodic_channel_tells_the_newest_once_in_each_period(
    period: float, told: list[tuple[int, float]]
) -> None:
    """On the grid, or at the first sample after points that passed in silence."""
    course = Course(Policy("periodic", period=period))
    for wait_ms, value in told:
        course.until(course.now_us + wait_ms * MS)
        course.offer(value, GOOD)
    course.until(course.now_us + 10 * S)
    period_us = int(period * S)
    start_us = course.told[0].at_us
    cells = [(one.at_us - start_us) // period_us for one in course.told]
    assert cells == sorted(set(cells))
    for one in course.told:
        if one.by == "tick":
            assert (one.at_us - start_us) % period_us == 0
        newest = [r for at, r in course.samples if at < one.at_us][-1:]
        newest += [r for at, r in course.samples if at == one.at_us]
        assert one.reading in newest
    assert course.told[-1].reading == course.samples[-1][1]


@given(policies, steps)
def test_silence_is_told_when_it_is_long_enough(
    policy: Policy, told: list[tuple[int, Value, Quality, str]]
) -> None:
    """That long after the last sample, and not before."""
    course = run(policy, told)
    course.until(course.now_us + 10 * S)
    was_good = False
    for one in course.told:
        if one.by == "silence":
            last = max(at for at, _ in course.samples if at < one.at_us)
            long_enough = last + int(policy.stale_after * S)
            # A newer value of a channel that is stale already waits for its time.
            assert one.at_us >= long_enough if not was_good else one.at_us == long_enough
        was_good = one.by in {"sample", "tick"}


def test_silence_of_what_called_itself_stale_is_reported_once() -> None:
    """A value with the quality that silence would give is not due for ever."""
    stale = Quality(Level.UNCERTAIN, Reason.STALE)
    publisher = Publisher(Policy(stale_after=5))
    publisher.offer(0, Reading(0, 1.0, stale))
    assert publisher.tick(5_000_000) is None
    assert publisher.due_us is None
