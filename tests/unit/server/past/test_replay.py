"""A replay sends the past when it is due, and nothing of it is lost or doubled on the way."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.client.conversation import (
    Conversation,
    Ended,
    Gap,
    Items,
    PhaseChange,
    Refused,
    Update,
)
from sensord.server.past import replay as replays
from sensord.server.session import Session
from sensord.wire.frames import JSON, MSGPACK, Codec
from tests.unit.server.monitors import EPOCH, Wire, World, payload_of

S = 1_000_000


class Viewer:
    """A client with one replay."""

    def __init__(self, world: World, codec: Codec = MSGPACK) -> None:
        self.world = world
        self.wire = Wire(self._arrived)
        self.session = Session("1", 1, "test", codec, self.wire, world.shared)
        self.wire.session = self.session
        self.got: list[tuple[float, int]] = []
        """When, by the loop, and which offset."""
        self.runs: list[list[int]] = []
        """Offsets, and those named in gaps, since the beginning and since each seek."""
        self.streams: list[int] = []
        self.gaps: list[Gap] = []
        self.phases: list[str] = []
        self.refused: list[str] = []
        self.has_ended = False
        self._codec = codec
        self._ids = itertools.count(1)
        self._conversation = Conversation(codec)
        self.ask(op="hello")
        self.replay = 0

    def ask(self, **fields: Any) -> int:
        number = next(self._ids)
        message = self._codec.message({"id": number, **fields})
        self.session.received(message, is_text=self._codec.is_text)
        return number

    def begin(self, *topics: str, **fields: Any) -> None:
        """Open the replay."""
        whole = {"from": {"epoch": EPOCH, "offset": 0}, **fields}
        self.runs.append([])
        self.replay = self.ask(op="replay", topics=list(topics) or ["#"], **whole)
        self.world.loop.settle()

    def act(self, op: str, **fields: Any) -> None:
        """Do something with it."""
        if op == "seek":
            self.runs.append([])
        self.ask(op=op, replay=self.replay, **fields)
        self.world.loop.settle()

    def try_(self, op: str, value: Any) -> None:
        """Do one of the things that can happen; no request is read while the wire is congested."""
        match op:
            case "wait":
                self.wait(value)
            case "publish":
                self.world.publish("a")
            case "unclog":
                if self.wire.is_congested:
                    self.wire.unclog()
                    self.world.loop.settle()
            case _ if self.wire.is_congested:
                pass
            case "clog" if value:
                self.wire.clogs_after = value
            case "clog":
                self.wire.clog()
            case "seek":
                self.act("seek", **{"from": {"epoch": EPOCH, "offset": value}})
            case "step":
                self.act("step", count=value)
            case "speed" if value is not None:
                self.act("speed", speed=value)
            case _:
                self.act(op)

    def wait(self, seconds: float) -> None:
        """Let time pass, stopping wherever a timer is due."""
        loop = self.world.loop
        until = loop.now + seconds
        while (when := loop.next_timer) is not None and when <= until:
            loop.now = max(when, loop.now)
            loop.settle()
        loop.now = until
        loop.settle()

    @property
    def offsets(self) -> list[int]:
        return [offset for _, offset in self.got]

    def _arrived(self, packet: bytes) -> None:
        event = self._conversation.received(payload_of(packet)[1])
        match event:
            case Items(_, items, resume):
                for item in items:
                    self._item(item)
                if items and isinstance(items[-1], Update):
                    assert resume is not None
                    assert resume.offset == self.got[-1][1] + 1
            case Refused(_, error):
                self.refused.append(error.code)
            case Ended():
                assert not self.has_ended
                self.has_ended = True

    def _item(self, item: object) -> None:
        match item:
            case Update():
                assert not self.has_ended
                assert not item.is_last_value
                offset = self.world.by_time[item.reported_us].offset
                self.got.append((self.world.loop.now, offset))
                self.runs[-1].append(offset)
            case Gap():
                self.gaps.append(item)
                if item.start is not None and item.stop is not None:
                    self.runs[-1] += range(item.start, item.stop)
            case PhaseChange(phase):
                self.phases.append(phase)


def recorded(*seconds: float, **more: Any) -> World:
    """Make a world in which a reading of ``a`` was logged after so many seconds each."""
    world = World(**more)
    before = 0.0
    for at in seconds:
        world.clock.move(round((at - before) * S) - 1000)  # to publish takes a millisecond
        world.publish("a")
        before = at
    return world


@pytest.mark.parametrize("codec", [MSGPACK, JSON])
def test_readings_come_as_far_apart_as_they_were_logged(codec: Codec) -> None:
    """The first one at once, and at the end comes the end."""
    viewer = Viewer(recorded(5, 6, 8.5), codec)
    viewer.begin()
    assert viewer.got == [(0.0, 0)]
    viewer.wait(10)
    assert viewer.got == [(0.0, 0), (pytest.approx(1.0), 1), (pytest.approx(3.5), 2)]
    assert viewer.phases == ["replaying"]
    assert viewer.has_ended
    assert viewer.world.loop.next_timer is None


@pytest.mark.parametrize("speed", [0.5, 2, 1000])
def test_speed_is_how_many_seconds_of_the_past_pass_in_one(speed: float) -> None:
    """Twice as fast is half the time."""
    viewer = Viewer(recorded(1, 2, 4))
    viewer.begin(speed=speed)
    viewer.wait(3 / speed + 0.05)
    assert [at for at, _ in viewer.got] == pytest.approx([0, 1 / speed, 3 / speed], abs=0.02)
    assert viewer.has_ended


def test_dense_readings_share_frames() -> None:
    """A frame leaves every 20 ms at most, however close the readings are."""
    viewer = Viewer(recorded(*(1 + n / 1000 for n in range(1, 101))))
    viewer.begin()
    viewer.wait(1)
    assert viewer.offsets == list(range(100))
    assert len({at for at, _ in viewer.got}) <= 7


def test_time_that_passes_in_a_pause_does_not_count() -> None:
    """It goes on where it was held."""
    viewer = Viewer(recorded(1, 2, 3))
    viewer.begin()
    viewer.wait(0.75)
    viewer.act("pause")
    viewer.wait(100)
    assert viewer.offsets == [0]
    viewer.act("speed")
    viewer.wait(0.2)
    assert viewer.offsets == [0]
    viewer.wait(0.1)
    assert viewer.offsets == [0, 1]
    assert viewer.phases == ["replaying", "paused", "replaying"]


def test_another_speed_counts_from_where_it_is_given() -> None:
    """What has passed has passed at the old one."""
    viewer = Viewer(recorded(1, 2, 4))
    viewer.begin()
    viewer.wait(0.5)
    viewer.act("speed", speed=0.5)
    viewer.wait(0.9)
    assert viewer.offsets == [0]
    viewer.wait(0.2)
    assert viewer.offsets == [0, 1]


def test_steps_come_at_once_and_pause() -> None:
    """Going on counts from the reading stepped to."""
    viewer = Viewer(recorded(1, 2, 30, 31, 32))
    viewer.begin(paused=True)
    assert (viewer.offsets, viewer.phases) == ([], ["paused"])
    viewer.act("step", count=3)
    assert viewer.offsets == [0, 1, 2]
    viewer.wait(100)
    viewer.act("speed")
    viewer.wait(0.9)
    assert viewer.offsets == [0, 1, 2]
    viewer.wait(0.2)
    assert viewer.offsets == [0, 1, 2, 3]
    viewer.act("step")
    assert viewer.phases == ["paused", "replaying", "paused"]
    assert viewer.offsets == [0, 1, 2, 3, 4]
    assert not viewer.has_ended, "paused, it can still go elsewhere"
    viewer.act("speed")
    assert viewer.has_ended


def test_seeking_goes_on_elsewhere_on_another_stream() -> None:
    """To a position or a time; its first reading comes at once."""
    world = recorded(1, 2, 3, 4)
    viewer = Viewer(world)
    viewer.begin()
    viewer.act("seek", **{"from": {"epoch": EPOCH, "offset": 3}})
    assert viewer.offsets == [0, 3]
    viewer = Viewer(world)
    viewer.begin(paused=True)
    viewer.act("seek", **{"from": {"time_us": world.records[2].log_us}})
    viewer.act("step", count=4096)
    assert viewer.offsets == [2, 3]
    viewer.act("seek", **{"from": "-1000000d"})
    viewer.act("step")
    assert viewer.offsets == [2, 3, 0]


def test_it_ends_before_the_place_where_it_is_to_end() -> None:
    """At a position, at a time, and where the log ended when it was asked for."""
    world = recorded(1, 2, 3, 4)
    for stop, count in (
        ({"epoch": EPOCH, "offset": 2}, 2),
        ({"epoch": EPOCH, "offset": 9}, 4),
        ({"time_us": world.records[3].log_us}, 3),
        (None, 4),
    ):
        viewer = Viewer(world)
        viewer.begin(to=stop, speed=1e9)
        viewer.wait(1)
        assert viewer.offsets == list(range(count))
        assert viewer.has_ended
    viewer = Viewer(world)
    viewer.begin()
    world.publish("a")
    viewer.wait(100)
    assert viewer.offsets == [0, 1, 2, 3]


def test_a_clock_that_was_set_back_costs_no_time() -> None:
    """What was logged at an earlier time than the reading before it comes at once."""
    world = recorded(5000, 5001)
    world.clock.now_wall_us -= 3600 * S
    world.publish("a")
    world.clock.move(S)
    world.publish("a")
    viewer = Viewer(world)
    viewer.begin()
    viewer.wait(1.01)
    assert viewer.offsets == [0, 1, 2]
    viewer.wait(1)
    assert viewer.offsets == [0, 1, 2, 3]


def test_a_client_that_does_not_read_stops_the_clock() -> None:
    """Nothing comes all at once when it reads again."""
    viewer = Viewer(recorded(1, 2, 3))
    viewer.begin()
    viewer.wire.clog()
    viewer.wait(100)
    viewer.wire.unclog()
    viewer.wait(0.9)
    assert viewer.offsets == [0]
    viewer.wait(1.2)
    assert viewer.offsets == [0, 1, 2]


def test_what_memory_no_longer_holds_is_named_by_topic() -> None:
    """Without a journal; what follows comes without delay."""
    world = World(capacity=1)
    for number in range(5000):
        world.publish("a" if number % 2 else "b/x")
    viewer = Viewer(world)
    viewer.begin("a", speed=1e9)
    viewer.wait(1)
    (gap,) = viewer.gaps
    assert (gap.reason, gap.start) == ("expired", 0)
    assert gap.lost == {"a": sum(n % 2 for n in range(gap.stop or 0))}
    assert len(viewer.offsets) == 2500 - (gap.count or 0)
    assert viewer.session.lost == gap.lost


def test_a_time_that_is_no_longer_held_is_named() -> None:
    """Nobody knows how many readings there were."""
    world = World(capacity=1)
    for _ in range(5000):
        world.publish("a")
    viewer = Viewer(world)
    viewer.begin(**{"from": {"time_us": 0}, "speed": 1e9})
    (gap,) = viewer.gaps
    assert (gap.reason, gap.start, gap.count) == ("expired", None, None)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"op": "pause", "replay": 7}, "not_found"),
        ({"op": "seek", "replay": 7, "from": "-1h"}, "not_found"),
        ({"op": "replay", "topics": ["a"]}, "bad_request"),
        ({"op": "replay", "topics": ["a"], "from": "now"}, "bad_request"),
        ({"op": "replay", "topics": ["a"], "from": {"epoch": "?", "offset": 0}}, "not_found"),
        (
            {"op": "replay", "topics": ["a"], "from": "-1h", "to": {"epoch": "?", "offset": 0}},
            "not_found",
        ),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], code: str) -> None:
    """And nothing stays open."""
    viewer = Viewer(recorded(1))
    viewer.ask(**fields)
    assert viewer.refused == [code]
    assert not viewer.session.ongoing


def test_seeking_to_another_log_leaves_the_replay_as_it_is() -> None:
    """It is refused before anything changes."""
    viewer = Viewer(recorded(1, 2))
    viewer.begin()
    viewer.ask(op="seek", replay=viewer.replay, **{"from": {"epoch": "?", "offset": 0}})
    viewer.wait(2)
    assert (viewer.refused, viewer.offsets) == (["not_found"], [0, 1])


def test_the_end_of_a_session_ends_its_replay() -> None:
    """No timer stays behind."""
    viewer = Viewer(recorded(1, 2))
    viewer.begin()
    viewer.session.ended()
    viewer.world.shared.sharing.close()
    assert viewer.world.loop.next_timer is None


def test_a_silence_is_no_longer_than_a_minute() -> None:
    """As when a recording is played: a night does not take a night."""
    viewer = Viewer(recorded(1, 2, 30_000, 30_001))
    viewer.begin()
    viewer.wait(65)
    assert [at for at, _ in viewer.got] == pytest.approx([0, 1, 61, 62])
    assert viewer.has_ended


def test_replays_as_fast_as_can_be_take_turns() -> None:
    """In a turn of the loop one of them sends a bounded number; live readings come between."""
    world = recorded(*range(1, 40))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replays, "AT_ONCE", 5)
        patch.setattr(replays, "AHEAD", 5)
        viewers = [Viewer(world) for _ in range(3)]
        world.loop.settle()
        for viewer in viewers:
            viewer.runs.append([])
            whole = {"from": {"epoch": EPOCH, "offset": 0}, "speed": 1e9}
            viewer.replay = viewer.ask(op="replay", topics=["#"], **whole)
        counts = [len(viewer.got) for viewer in viewers]
        served = []
        while not all(viewer.has_ended for viewer in viewers):
            world.loop.now += 0.1
            world.loop.turn()
            now = [len(viewer.got) for viewer in viewers]
            grown = [after - before for before, after in zip(counts, now, strict=True)]
            assert sum(grown) <= 5
            served += [number for number, more in enumerate(grown) if more]
            counts = now
    assert [viewer.offsets for viewer in viewers] == [list(range(39))] * 3
    assert {*served[:3]} == {0, 1, 2}


@contextmanager
def small_pieces() -> Iterator[None]:
    """Make frames and what is read ahead small, so that many things happen at their seams."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replays, "AT_ONCE", 3)
        patch.setattr(replays, "AHEAD", 4)
        yield


ACTS = st.one_of(
    st.tuples(st.just("wait"), st.floats(0, 3)),
    st.tuples(st.just("pause"), st.none()),
    st.tuples(st.just("speed"), st.sampled_from([0.5, 1.0, 10.0, 1e9, None])),
    st.tuples(st.just("step"), st.integers(1, 9)),
    st.tuples(st.just("seek"), st.integers(0, 45)),
    st.tuples(st.just("clog"), st.integers(0, 4)),
    st.tuples(st.just("unclog"), st.none()),
    st.tuples(st.just("publish"), st.none()),
)


@given(
    st.lists(st.floats(0.001, 2), min_size=1, max_size=40),
    st.lists(ACTS, max_size=25),
    st.booleans(),
    st.integers(0, 3),
)
def test_from_each_place_all_readings_come_in_order_or_are_named(
    apart: list[float], acts: list[tuple[str, Any]], has_journal: bool, turns: int
) -> None:
    """Whatever the client does, and however slowly it reads."""
    world = recorded(*itertools.accumulate(apart, initial=1.0), has_journal=has_journal)
    if world.shelf is not None:
        world.shelf.turns = turns
        world.shelf.damage(len(apart) // 2, 2)
    count = len(world.records)
    with small_pieces():
        viewer = Viewer(world)
        viewer.begin()
        begins = [0]
        for op, value in acts:
            if viewer.has_ended:
                break
            if op == "seek" and not viewer.wire.is_congested:
                begins.append(min(value, count))
            viewer.try_(op, value)
        viewer.wire.clogs_after = None
        if viewer.wire.is_congested:
            viewer.wire.unclog()
        if not viewer.has_ended:
            viewer.act("speed", speed=1.0)
            viewer.wait(200)
    assert viewer.has_ended
    assert not viewer.refused
    for begin, run in zip(begins, viewer.runs, strict=True):
        assert run == list(range(begin, begin + len(run)))
    assert viewer.runs[-1] == list(range(begins[-1], count))


def test_nothing_is_held_for_a_client_that_does_not_read() -> None:
    """What is read ahead would be held for as long as the client likes."""
    world = World(10_000)
    for _ in range(5_000):
        world.publish("a")
    viewer = Viewer(world)
    viewer.wire.clogs_after = 4
    viewer.begin(speed=1_000_000.0)
    assert viewer.wire.is_congested
    (replay,) = viewer.session.ongoing.values()
    assert isinstance(replay, replays.Replay)
    assert not replay._ahead
    viewer.wire.unclog()
    viewer.wait(10.0)
    assert viewer.runs == [list(range(5_000))]
