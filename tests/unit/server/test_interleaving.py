"""Whatever happens in whatever order, every subscription gets exactly what it asked for, once."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from sensord.model.readings import GOOD, Quality
from sensord.wire.frames import JSON, MSGPACK, Codec
from tests.unit.server.monitors import EPOCH, KINDS, STALE, Answer, Ledger, Monitor, World, settle

TOPICS = list(KINDS)

FILTERS = ["#", "+", "+/x", "a/#", "a/x", "a/y", "b/#", "b/y/+", "c", "$sys/#"]
"""Few, so that subscriptions often fall into one group, or one session wants the same twice."""

OPTIONS: list[dict[str, Any]] = [
    {},
    {},
    {"mode": "latest"},
    {"mode": "latest"},
    {"max_latency": 1.0},
    {"period": 1.0},
    {"deadband": 4.0},
    {"period": 1.0, "deadband": 4.0},
]
"""How to be served; many ask for the same."""

CAPACITIES = [8, 8, 40, 400]
PADDINGS = [0, 0, 0, 60, 400]
QUALITIES = [GOOD, GOOD, STALE]
DELAYS_S = [0.0, 0.01, 0.05, 2.0]
STARTS = ["snapshot", "snapshot", "now", "offset", "offset", "time_us", "ago", "epoch", "ahead"]

JOURNAL_ACTS = ["retire", "damage", "stick", "go on", "slow"]

MOST_MONITORS = 4
MOST_SUBSCRIPTIONS = 4

SMALL = {
    "sensord.server.packets.FRAME_READINGS": 3,
    "sensord.server.packets.FRAME_BYTES": 150,
    "sensord.server.packets.ANNOUNCED_AT_ONCE": 2,
    "sensord.log.cursor.PIECE_READINGS": 5,
    "sensord.log.memory.BLOCK": 4,
    "sensord.log.memory.REMEMBERED": 3,
}
"""What is done in portions is done in small ones, so that a few readings need several."""


class Scene:
    """Clients that come, ask, change their minds, clog, read and go, while readings come.

    Clients and subscriptions are chosen by any number, among those that can act.
    """

    def __init__(self, capacity: int, first: int, known: list[str], *, has_journal: bool) -> None:
        self._patch = pytest.MonkeyPatch()
        for name, value in SMALL.items():
            self._patch.setattr(name, value)
        self.world = World(capacity, first, has_journal=has_journal)
        for topic in known:
            self.world.publish(topic)
        self.monitors = [self.world.connect(codec) for codec in (MSGPACK, MSGPACK, JSON)]
        self.asked: list[tuple[Monitor, Answer, list[int]]] = []
        """Each get, and the last values of that moment."""

    def end(self) -> None:
        """Settle everything, and let everybody go."""
        try:
            self.settle()
            for monitor in self.monitors:
                monitor.leave()
            assert not len(self.world.groups), "a group without users is closed"
            self.world.publish("a")
            self.world.shared.sharing.close()
            assert self.world.loop.is_idle, "nobody listens any more"
            assert self.world.loop.next_timer is None
        finally:
            self.undo()

    def undo(self) -> None:
        self._patch.undo()

    def publish(
        self, topics: list[str], padding: int, quality: Quality, restates: bool, turns: int
    ) -> None:
        for topic in topics:
            self.world.publish(topic, padding=padding, quality=quality, restates=restates)
        self.go_on(0.0, turns)

    def publish_all(self, topics: list[str], padding: int, quality: Quality, turns: int) -> None:
        self.world.publish_all(topics, padding=padding, quality=quality)
        self.go_on(0.0, turns)

    def go_on(self, seconds: float, turns: int) -> None:
        self.world.pass_time(seconds)
        for _ in range(turns):
            self.world.loop.turn()

    def flush(self) -> None:
        """What the server does before it stops."""
        self.world.groups.flush()

    def settle(self) -> None:
        settle(self.world, self.monitors)
        for monitor, answer, wanted in self.asked:
            if monitor in self.monitors:
                assert answer.has_ended
                assert sorted(answer.readings) == wanted
        self.asked.clear()
        for monitor in self.monitors:
            refused = [answer.error for answer in monitor.answers.values() if answer.error]
            assert not refused, "every request here is a right one"

    def subscribe(
        self, who: int, topics: list[str], options: dict[str, Any], start: str, back: int
    ) -> None:
        monitor = self._reading(who)
        if len(monitor.ledgers) < MOST_SUBSCRIPTIONS:
            monitor.request(
                op="subscribe", topics=topics, **options, **{"from": self._start(start, back)}
            )

    def _start(self, start: str, back: int) -> object:
        """Make a value for ``from``; ``back`` tells how far back, in readings."""
        tail = self.world.log.tail
        match start:
            case "offset":
                return {"epoch": EPOCH, "offset": max(0, tail - back)}
            case "ahead":
                return {"epoch": EPOCH, "offset": tail + 1 + back}
            case "epoch":
                return {"epoch": "another", "offset": max(0, tail - back)}
            case "time_us":
                return {"time_us": self.world.clock.now_wall_us - back * 1000}
            case "ago":
                return f"-{back / 1000}s"
        return start

    def change(self, who: int, which: int, topics: list[str], options: dict[str, Any]) -> None:
        monitor, ledger = self._served(who, which)
        monitor.request(op="subscribe", topics=topics, change=ledger.number, **options)

    def unsubscribe(self, who: int, which: int, how_many: int) -> None:
        monitor, ledger = self._served(who, which)
        fields = {"topics": list(ledger.wanted.topics)[:how_many]} if how_many else {}
        monitor.request(op="unsubscribe", subscription=ledger.number, **fields)

    def get(self, who: int, topics: list[str]) -> None:
        monitor = self._reading(who)
        wanted = monitor.last_values(topics)
        answer = monitor.answers[monitor.request(op="get", topics=topics)]
        self.asked.append((monitor, answer, wanted))

    def clog(self, who: int, writes: int) -> None:
        """Clog now, or in the middle of whatever is written next."""
        wire = self._reading(who).wire
        if writes:
            wire.clogs_after = writes
        else:
            wire.clog()

    def unclog(self, who: int, writes: int) -> None:
        """Read a little: it may clog again while it is served."""
        congested = [monitor for monitor in self.monitors if monitor.wire.is_congested]
        monitor = congested[who % len(congested)]
        monitor.wire.clogs_after = writes or None
        monitor.unclog()

    def hold_back(self, which: int) -> None:
        """Let a live subscription cost too much; nothing new is live at once for a while."""
        groups = self.world.groups
        live = [member for group in groups._groups.values() for member in group.members]
        if live:
            shares = [(group, 0.6 / len(live)) for group in groups._groups.values()]
            now_s = self.world.loop.now
            groups._budget.is_over(1.0, 1.0, now_s)
            member = live[which % len(live)]
            groups._budget.hold(member, 0.1, now_s)
            member.hold_back()
            if which % 3 == 0:
                groups._hold_back(shares, now_s)
            else:
                for group, _ in shares:
                    group.doze()

    def journal(self, act: str, count: int, back: int) -> None:
        """Let something happen to the journal."""
        shelf = self.world.shelf
        assert shelf is not None
        match act:
            case "retire":
                shelf.retire(count)
            case "damage":
                shelf.damage(max(shelf.first, self.world.log.first - back), count)
            case "stick" if not shelf.is_stuck:
                shelf.stick()
            case "go on" if shelf.is_stuck:
                shelf.go_on()
            case "slow":
                shelf.turns = back % 4

    def come(self, codec: Codec) -> None:
        self.monitors.append(self.world.connect(codec))

    def leave(self, who: int) -> None:
        self.monitors.pop(who % len(self.monitors)).leave()

    @property
    def some_are_clogged(self) -> bool:
        return any(monitor.wire.is_congested for monitor in self.monitors)

    @property
    def some_read(self) -> bool:
        return not all(monitor.wire.is_congested for monitor in self.monitors)

    @property
    def some_are_served(self) -> bool:
        return any(one.ledgers for one in self.monitors if not one.wire.is_congested)

    def _reading(self, who: int) -> Monitor:
        reading = [monitor for monitor in self.monitors if not monitor.wire.is_congested]
        return reading[who % len(reading)]

    def _served(self, who: int, which: int) -> tuple[Monitor, Ledger]:
        served = [one for one in self.monitors if one.ledgers and not one.wire.is_congested]
        monitor = served[who % len(served)]
        ledgers = list(monitor.ledgers.values())
        return monitor, ledgers[which % len(ledgers)]


class Act:
    """One random act after another, the likelier ones more often, all from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        dice = self._random
        known = [topic for topic in TOPICS if dice.random() < 0.4]
        capacity, first, has_journal = (
            dice.choice(CAPACITIES),
            dice.choice([0, 1000]),
            dice.random() < 0.5,
        )
        self.scene = Scene(capacity, first, known, has_journal=has_journal)
        # Some runs are calm and some are not.
        self._clogs = dice.choice([1, 6, 12])
        self._changes = dice.choice([1, 3, 8])
        self._readings = dice.choice([2, 8, 20])
        self._holds = dice.choice([0, 1, 6])

    def next(self) -> None:
        scene, dice = self.scene, self._random
        acts = {self._publish: 25, self._go_on: 15, scene.flush: 1, scene.settle: 1}
        acts |= {self._come: 1} if len(scene.monitors) < MOST_MONITORS else {self._leave: 1}
        if scene.some_read:
            acts |= {self._subscribe: 5, self._get: 1, self._clog: self._clogs}
        if scene.some_are_served:
            acts |= {self._change: self._changes, self._unsubscribe: self._changes // 2}
        if scene.some_are_clogged:
            acts |= {self._unclog: 12}
        acts |= {self._hold_back: self._holds}
        if scene.world.shelf is not None:
            acts |= {self._journal: 3}
        (act,) = dice.choices(list(acts), list(acts.values()))
        act()

    def _filters(self) -> list[str]:
        return self._random.sample(FILTERS, self._random.choice([1, 1, 1, 2, 3]))

    def _publish(self) -> None:
        dice = self._random
        topics = dice.choices(TOPICS, k=dice.randint(1, self._readings))
        padding, quality, turns = dice.choice(PADDINGS), dice.choice(QUALITIES), dice.randint(0, 3)
        if dice.random() < 0.5:
            self.scene.publish_all(topics, padding, quality, turns)
        else:
            restates = dice.random() < 0.2
            self.scene.publish(topics, padding, quality, restates, turns)

    def _go_on(self) -> None:
        self.scene.go_on(self._random.choice(DELAYS_S), self._random.randint(0, 5))

    def _subscribe(self) -> None:
        dice = self._random
        who, start, back = dice.randrange(12), dice.choice(STARTS), dice.randint(0, 30)
        self.scene.subscribe(who, self._filters(), dice.choice(OPTIONS), start, back)

    def _change(self) -> None:
        dice = self._random
        who, which = dice.randrange(12), dice.randrange(12)
        self.scene.change(who, which, self._filters(), dice.choice(OPTIONS))

    def _unsubscribe(self) -> None:
        dice = self._random
        self.scene.unsubscribe(dice.randrange(12), dice.randrange(12), dice.randint(0, 3))

    def _get(self) -> None:
        self.scene.get(self._random.randrange(12), self._filters())

    def _clog(self) -> None:
        self.scene.clog(self._random.randrange(12), self._random.randint(0, 6))

    def _unclog(self) -> None:
        self.scene.unclog(self._random.randrange(12), self._random.choice([0, 0, 1, 2, 4]))

    def _hold_back(self) -> None:
        self.scene.hold_back(self._random.randrange(12))

    def _journal(self) -> None:
        dice = self._random
        self.scene.journal(dice.choice(JOURNAL_ACTS), dice.randint(1, 12), dice.randint(0, 30))

    def _come(self) -> None:
        self.scene.come(self._random.choice([MSGPACK, JSON]))

    def _leave(self) -> None:
        self.scene.leave(self._random.randrange(12))


@pytest.mark.timeout(300)
@settings(
    max_examples=150,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32), acts=st.integers(150, 300))
def test_nothing_is_lost_or_doubled_in_a_long_run(seed: int, acts: int) -> None:
    """Many clients and readings, and hundreds of random acts; a failure shrinks to fewer."""
    run = Act(seed)
    try:
        for _ in range(acts):
            run.next()
        run.scene.end()
    finally:
        run.scene.undo()


numbers = st.integers(0, 11)
filters = st.lists(st.sampled_from(FILTERS), min_size=1, max_size=3, unique=True)
options = st.sampled_from(OPTIONS)


class Interleaving(RuleBasedStateMachine):
    """The same acts, chosen by Hypothesis: a failure shrinks to the few acts that matter."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene(8, 0, [], has_journal=False)

    def teardown(self) -> None:
        self.scene.end()

    @initialize(
        capacity=st.sampled_from(CAPACITIES),
        first=st.sampled_from([0, 1000]),
        known=st.lists(st.sampled_from(TOPICS), unique=True),
        has_journal=st.booleans(),
        wanted=st.lists(st.tuples(numbers, filters, options), max_size=5),
    )
    def start(
        self, capacity: int, first: int, known: list[str], has_journal: bool, wanted: list[Any]
    ) -> None:
        self.scene.undo()
        self.scene = Scene(capacity, first, known, has_journal=has_journal)
        for who, topics, fields in wanted:
            self.scene.subscribe(who, topics, fields, "snapshot", 0)

    @rule(
        topics=st.lists(st.sampled_from(TOPICS), min_size=1, max_size=8),
        padding=st.sampled_from(PADDINGS),
        quality=st.sampled_from(QUALITIES),
        restates=st.booleans(),
        turns=st.integers(0, 3),
    )
    def publish(
        self, topics: list[str], padding: int, quality: Quality, restates: bool, turns: int
    ) -> None:
        self.scene.publish(topics, padding, quality, restates, turns)

    @rule(
        topics=st.lists(st.sampled_from(TOPICS), min_size=1, max_size=20),
        padding=st.sampled_from(PADDINGS),
        quality=st.sampled_from(QUALITIES),
        turns=st.integers(0, 3),
    )
    def publish_all(self, topics: list[str], padding: int, quality: Quality, turns: int) -> None:
        self.scene.publish_all(topics, padding, quality, turns)

    @rule(seconds=st.sampled_from(DELAYS_S), turns=st.integers(0, 5))
    def go_on(self, seconds: float, turns: int) -> None:
        self.scene.go_on(seconds, turns)

    @rule()
    def flush(self) -> None:
        self.scene.flush()

    @rule()
    def settle(self) -> None:
        self.scene.settle()

    @precondition(lambda self: self.scene.some_read)
    @rule(
        who=numbers,
        topics=filters,
        fields=options,
        start=st.sampled_from(STARTS),
        back=st.integers(0, 30),
    )
    def subscribe(self, who: int, topics: list[str], fields: Any, start: str, back: int) -> None:
        self.scene.subscribe(who, topics, fields, start, back)

    @precondition(lambda self: self.scene.some_are_served)
    @rule(who=numbers, which=numbers, topics=filters, fields=options)
    def change(self, who: int, which: int, topics: list[str], fields: Any) -> None:
        self.scene.change(who, which, topics, fields)

    @precondition(lambda self: self.scene.some_are_served)
    @rule(who=numbers, which=numbers, how_many=st.integers(0, 3))
    def unsubscribe(self, who: int, which: int, how_many: int) -> None:
        self.scene.unsubscribe(who, which, how_many)

    @precondition(lambda self: self.scene.some_read)
    @rule(who=numbers, topics=filters)
    def get(self, who: int, topics: list[str]) -> None:
        self.scene.get(who, topics)

    @rule(which=numbers)
    def hold_back(self, which: int) -> None:
        self.scene.hold_back(which)

    @precondition(lambda self: self.scene.some_read)
    @rule(who=numbers, writes=st.integers(0, 6))
    def clog(self, who: int, writes: int) -> None:
        self.scene.clog(who, writes)

    @precondition(lambda self: self.scene.some_are_clogged)
    @rule(who=numbers, writes=st.integers(0, 4))
    def unclog(self, who: int, writes: int) -> None:
        self.scene.unclog(who, writes)

    @precondition(lambda self: self.scene.world.shelf is not None)
    @rule(act=st.sampled_from(JOURNAL_ACTS), count=st.integers(1, 12), back=st.integers(0, 30))
    def journal(self, act: str, count: int, back: int) -> None:
        self.scene.journal(act, count, back)

    @precondition(lambda self: len(self.scene.monitors) < MOST_MONITORS)
    @rule(codec=st.sampled_from([MSGPACK, JSON]))
    def come(self, codec: Codec) -> None:
        self.scene.come(codec)

    @precondition(lambda self: len(self.scene.monitors) > 1)
    @rule(who=numbers)
    def leave(self, who: int) -> None:
        self.scene.leave(who)


TestInterleaving = pytest.mark.timeout(300)(Interleaving.TestCase)
TestInterleaving.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
