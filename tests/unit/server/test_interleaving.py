"""Whatever happens in whatever order, every subscription gets exactly what it asked for, once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sensord.model import GOOD
from sensord.wire.frames import JSON, MSGPACK
from tests.unit.server.monitors import EPOCH, KINDS, STALE, Ledger, Monitor, World, settle

FILTERS = ["#", "+", "+/x", "a/#", "a/x", "a/y", "b/#", "b/y/+", "c", "$sys/#"]
"""Few, so that subscriptions often fall into one group, or one session wants the same twice."""

MOST_MONITORS = 4
MOST_SUBSCRIPTIONS = 4

filters = st.lists(st.sampled_from(FILTERS), min_size=1, max_size=3)
which = st.integers(0, 11)
"""Chosen among however many there are."""

SMALL = {
    "sensord.server.group.FRAME_READINGS": 3,
    "sensord.server.group.FRAME_BYTES": 150,
    "sensord.server.group.ANNOUNCED_AT_ONCE": 2,
    "sensord.log.cursor.PIECE_READINGS": 5,
    "sensord.log.memory.BLOCK": 4,
    "sensord.log.memory.REMEMBERED": 3,
}
"""What is done in portions is done in small ones, so that a few readings need several."""


options: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {},
        {"mode": "latest"},
        {"mode": "latest"},
        {"max_latency": 1.0},
        {"period": 1.0},
        {"deadband": 4.0},
        {"period": 1.0, "deadband": 4.0},
    ]
)
"""How to be served; many ask for the same."""


class Interleaving(RuleBasedStateMachine):
    """Clients come, ask, change their minds, clog, read and go, while readings are published."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for name, value in SMALL.items():
            self.patch.setattr(name, value)
        self.world = World()
        self.monitors: list[Monitor] = []

    def teardown(self) -> None:
        try:
            settle(self.world, self.monitors)
            for monitor in self.monitors:
                monitor.leave()
            assert not len(self.world.groups), "groups without members are let go"
            self.world.loop.settle()
        finally:
            self.patch.undo()

    @initialize(
        capacity=st.sampled_from([8, 8, 40, 400]),
        first=st.sampled_from([0, 1000]),
        known=st.sets(st.sampled_from(list(KINDS))),
        wanted=st.lists(st.tuples(which, filters, options), max_size=5),
    )
    def start(self, capacity: int, first: int, known: set[str], wanted: list[Any]) -> None:
        self.world = World(capacity, first)
        for topic in sorted(known):
            self.world.publish(topic)
        self.monitors = [self.world.connect(codec) for codec in (MSGPACK, MSGPACK, JSON)]
        for who, topics, fields in wanted:
            self.monitors[who % 3].request(op="subscribe", topics=topics, **fields)

    # -- readings and time -------------------------------------------------------------------------

    @rule(
        topics=st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=8),
        padding=st.sampled_from([0, 0, 0, 60, 400]),
        quality=st.sampled_from([GOOD, GOOD, STALE]),
        restates=st.booleans(),
        turns=st.integers(0, 3),
    )
    def publish(
        self, topics: list[str], padding: int, quality: Any, restates: bool, turns: int
    ) -> None:
        for topic in topics:
            self.world.publish(topic, padding=padding, quality=quality, restates=restates)
        for _ in range(turns):
            self.world.loop.turn()

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.05, 2.0]), turns=st.integers(0, 5))
    def go_on(self, seconds: float, turns: int) -> None:
        self.world.pass_time(seconds)
        for _ in range(turns):
            self.world.loop.turn()

    @rule()
    def flush(self) -> None:
        self.world.groups.flush()

    @rule()
    def settle(self) -> None:
        settle(self.world, self.monitors)

    # -- requests ----------------------------------------------------------------------------------

    @precondition(lambda self: self.some_read)
    @rule(data=st.data(), who=which, topics=filters, fields=options)
    def subscribe(self, data: st.DataObject, who: int, topics: list[str], fields: Any) -> None:
        monitor = self._reading(who)
        if len(monitor.ledgers) < MOST_SUBSCRIPTIONS:
            if start := data.draw(self._starts()):
                fields = fields | {"from": start}
            monitor.request(op="subscribe", topics=topics, **fields)

    def _starts(self) -> st.SearchStrategy[Any]:
        tail, first = self.world.log.tail, self.world.first
        offsets = st.integers(max(0, first - 3), tail + 2)
        times = st.integers(-5, 60).map(lambda ms: self.world.clock.now_wall_us - ms * 1000)
        return st.one_of(
            st.sampled_from([None, "snapshot", "now", "now"]),
            st.builds(lambda offset: {"epoch": EPOCH, "offset": offset}, offsets),
            st.builds(lambda offset: {"epoch": EPOCH, "offset": offset}, offsets),
            st.just({"epoch": "another", "offset": first}),
            times.map(lambda time_us: {"time_us": time_us}),
            st.sampled_from(["-0.003s", "-0.02s", "-1m"]),
        )

    @precondition(lambda self: self.some_are_served)
    @rule(who=which, which_one=which, topics=filters, fields=options)
    def change(self, who: int, which_one: int, topics: list[str], fields: Any) -> None:
        monitor, ledger = self._served(who, which_one)
        monitor.request(op="subscribe", topics=topics, change=ledger.number, **fields)

    @precondition(lambda self: self.some_are_served)
    @rule(who=which, which_one=which, how_many=st.integers(0, 3))
    def unsubscribe(self, who: int, which_one: int, how_many: int) -> None:
        monitor, ledger = self._served(who, which_one)
        fields = {"topics": list(ledger.wanted.topics)[:how_many]} if how_many else {}
        monitor.request(op="unsubscribe", subscription=ledger.number, **fields)

    @precondition(lambda self: self.some_read)
    @rule(who=which, topics=filters)
    def get(self, who: int, topics: list[str]) -> None:
        monitor = self._reading(who)
        wanted = monitor.last_values(topics)
        answer = monitor.answers[monitor.request(op="get", topics=topics)]
        assert answer.has_ended
        assert sorted(answer.readings) == wanted

    # -- clients -----------------------------------------------------------------------------------

    @precondition(lambda self: self.some_read)
    @rule(who=which, writes=st.integers(0, 6))
    def clog(self, who: int, writes: int) -> None:
        """Clog now, or in the middle of whatever is written next."""
        wire = self._reading(who).wire
        if writes:
            wire.clogs_after = writes
        else:
            wire.clog()

    @precondition(lambda self: self.some_are_clogged)
    @rule(who=which, writes=st.integers(0, 4))
    def unclog(self, who: int, writes: int) -> None:
        """Read a little: it may clog again while it is served."""
        clogged = [monitor for monitor in self.monitors if monitor.wire.is_clogged]
        monitor = clogged[who % len(clogged)]
        monitor.wire.clogs_after = writes or None
        monitor.unclog()

    @precondition(lambda self: len(self.monitors) < MOST_MONITORS)
    @rule(codec=st.sampled_from([MSGPACK, JSON]))
    def come(self, codec: Any) -> None:
        self.monitors.append(self.world.connect(codec))

    @precondition(lambda self: len(self.monitors) > 1)
    @rule(who=which)
    def leave(self, who: int) -> None:
        self.monitors.pop(who % len(self.monitors)).leave()

    # -- choosing ----------------------------------------------------------------------------------

    @property
    def some_are_clogged(self) -> bool:
        return any(monitor.wire.is_clogged for monitor in self.monitors)

    @property
    def some_read(self) -> bool:
        return not all(monitor.wire.is_clogged for monitor in self.monitors)

    @property
    def some_are_served(self) -> bool:
        return any(one.ledgers for one in self.monitors if not one.wire.is_clogged)

    def _reading(self, who: int) -> Monitor:
        reading = [monitor for monitor in self.monitors if not monitor.wire.is_clogged]
        return reading[who % len(reading)]

    def _served(self, who: int, which_one: int) -> tuple[Monitor, Ledger]:
        served = [one for one in self.monitors if one.ledgers and not one.wire.is_clogged]
        monitor = served[who % len(served)]
        ledgers = list(monitor.ledgers.values())
        return monitor, ledgers[which_one % len(ledgers)]

    # -- always ------------------------------------------------------------------------------------

    @invariant()
    def nobody_is_refused(self) -> None:
        """Every request of this machine is a right one."""
        for monitor in self.monitors:
            assert not [answer for answer in monitor.answers.values() if answer.error]


TestInterleaving = Interleaving.TestCase
TestInterleaving.settings = settings(
    max_examples=100,
    stateful_step_count=50,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
