"""One frame for all who asked for the same, at the end of the turn or of the window."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from sensord.bus import Bus
from sensord.errors import ProtocolError
from sensord.log import Log
from sensord.model.readings import Kind, Metadata, Reading, Record, ValueType
from sensord.server import packets
from sensord.server.live import budget
from sensord.server.live import group as group_module
from sensord.server.live.group import Group, Groups, Key
from sensord.server.packets import Write
from sensord.wire.frames import JSON, MSGPACK
from sensord.wire.ops.subscriptions import Options
from tests.unit.manual import ManualClock, ManualLoop, manual_loop
from tests.unit.server.monitors import payload_of

LATENCY_S = 0.02

STATE = Metadata(ValueType.STRING)
EVENT = Metadata(ValueType.STRING, kind=Kind.EVENT)


@dataclass(eq=False)
class Recorder:
    """A member that keeps what it is written, and what it is told of boundaries."""

    written: list[bytes] = field(default_factory=list)
    boundaries: list[list[int]] = field(default_factory=list)

    @property
    def write(self) -> Write:
        return self.written.append

    @property
    def client(self) -> object:
        return self

    def hold_back(self) -> None:
        raise AssertionError("these groups cost nothing")

    def release(self) -> None:
        raise AssertionError("it was not held back")

    def go_on(self) -> None:
        raise AssertionError("it was not held back")

    def boundary(self, records: Sequence[Record]) -> None:
        self.boundaries.append([record.offset for record in records])

    @property
    def frames(self) -> list[tuple[int, list[str]]]:
        """Cursor and values of each data frame."""
        told = [json.loads(payload_of(data)[1]) for data in self.written]
        return [(frame[1], frame[3][2::3]) for frame in told if isinstance(frame, list)]

    @property
    def announced(self) -> list[str]:
        told = [json.loads(payload_of(data)[1]) for data in self.written]
        messages = [message for message in told if isinstance(message, dict)]
        return [channel["topic"] for message in messages for channel in message["channels"]]


class Scene:
    """A bus, its groups and a loop that the test turns."""

    def __init__(self) -> None:
        self.loop: ManualLoop = manual_loop()
        self.clock = ManualClock()
        self.bus = Bus(Log("e1", 1_000_000), self.clock)
        self.groups = Groups(self.bus, self.loop)

    def group(self, *topics: str, options: Options | None = None) -> Group:
        return self.groups.enter(Key(JSON, topics, options or Options(max_latency_s=LATENCY_S)))

    def joined(self, group: Group) -> Recorder:
        member = Recorder()
        group.join(member)
        return member

    def publish(self, topic: str, value: str = "", metadata: Metadata = STATE) -> Record:
        channel = self.bus.channel(topic, metadata)
        return self.bus.publish(channel, Reading(0, value or str(self.bus.log.tail)))


@pytest.fixture
def scene() -> Scene:
    return Scene()


# -- when a frame leaves ---------------------------------------------------------------------------


def test_on_a_quiet_group_a_reading_leaves_at_the_end_of_the_turn(scene: Scene) -> None:
    """With all others of that turn."""
    member = scene.joined(scene.group("#"))
    scene.publish("a")
    scene.publish("b")
    assert not member.written
    scene.loop.turn()
    assert member.frames == [(2, ["0", "1"])]


def test_under_load_a_frame_leaves_every_latency(scene: Scene) -> None:
    """What comes meanwhile waits for the window's end."""
    member = scene.joined(scene.group("#"))
    for step in range(1, 51):
        scene.publish("a")
        scene.loop.run_until(step * 0.001)
    assert len(member.frames) == 4  # the first two at once: one may run ahead of the grid
    scene.loop.drain()
    assert sum(len(values) for _, values in member.frames) == 50


def test_a_source_that_speaks_once_a_window_soon_waits_no_more(scene: Scene) -> None:
    """Readings of others have used the room ahead of the grid; after a second it is back."""
    member = scene.joined(scene.group("#"))
    waited = []
    for step in range(100):
        scene.loop.run_until(step * LATENCY_S)
        scene.publish("a", f"{step}")
        scene.loop.turn()
        waited.append(not member.frames or f"{step}" not in member.frames[-1][1])
        if step in {10, 11, 12, 13}:
            scene.loop.run_until((step + 0.6) * LATENCY_S)
            scene.publish("b")
    assert any(waited[10:20])
    assert not any(waited[70:])


def test_after_a_quiet_time_the_next_reading_leaves_at_once(scene: Scene) -> None:
    """The window is counted from the last frame."""
    member = scene.joined(scene.group("#"))
    scene.publish("a")
    scene.loop.turn()
    scene.loop.run_until(LATENCY_S)
    scene.publish("a")
    scene.loop.turn()
    assert len(member.frames) == 2


def test_the_very_same_bytes_go_to_every_member(scene: Scene) -> None:
    """Encoded once, however many there are."""
    group = scene.group("#")
    members = [scene.joined(group) for _ in range(3)]
    scene.publish("a")
    scene.loop.turn()
    frames_written = [member.written[-1] for member in members]
    assert frames_written[0] is frames_written[1] is frames_written[2]


def test_without_members_nothing_is_encoded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group whose members all lag costs no frames."""
    group = scene.group("#")
    monkeypatch.setattr(group_module, "frames", lambda *_: pytest.fail("encoded for nobody"))
    scene.publish("a")
    scene.loop.turn()
    assert group.boundary == 1


def test_only_what_the_filters_select_is_sent(scene: Scene) -> None:
    """And the cursor says how far the log has come all the same."""
    member = scene.joined(scene.group("a/+"))
    scene.publish("a/x")
    scene.publish("b")
    scene.loop.turn()
    assert member.frames == [(2, ["0"])]


def test_a_new_channel_is_announced_with_its_first_reading(scene: Scene) -> None:
    """To those who are there, once."""
    group = scene.group("a/#")
    member = scene.joined(group)
    for topic in ["a/x", "b", "a/y", "a/x"]:
        scene.publish(topic)
    scene.loop.turn()
    assert member.announced == ["a/x", "a/y"]


def test_who_joins_is_not_told_again_what_it_knows(scene: Scene) -> None:
    """The others are told of the new channels then."""
    group = scene.group("#")
    one = scene.joined(group)
    scene.bus.channel("a", STATE)
    two = scene.joined(group)
    assert (one.announced, two.announced) == (["a"], [])


def test_a_period_sends_the_newest_of_each_state_and_every_event(scene: Scene) -> None:
    """Once in each period."""
    member = scene.joined(scene.group("#", options=Options(period_s=1.0)))
    scene.publish("a")
    scene.loop.turn()
    for _ in range(3):
        scene.publish("a")
        scene.publish("e", metadata=EVENT)
        scene.loop.run_until(scene.loop.now + 0.1)
    assert member.frames == [(1, ["0"])]
    scene.loop.drain()
    assert scene.loop.now == 1.0
    assert member.frames[1:] == [(7, ["2", "4", "5", "6"])]


def test_where_thinning_withholds_all_no_frame_is_sent(scene: Scene) -> None:
    """The boundary moves on all the same."""
    group = scene.group("#", options=Options(deadband=10.0))
    member = scene.joined(group)
    channel = scene.bus.channel("n", Metadata())
    for value in (1.0, 2.0):
        scene.bus.publish(channel, Reading(0, value))
        scene.loop.drain()
    assert len(member.frames) == 1
    assert group.boundary == 2


# -- boundaries ------------------------------------------------------------------------------------


def test_the_boundary_is_before_what_is_pending_and_else_the_tail(scene: Scene) -> None:
    """What lies before it, every member has had."""
    group = scene.group("a")
    scene.publish("b")
    assert group.boundary == 1
    scene.publish("a")
    scene.publish("b")
    assert group.boundary == 1
    scene.loop.turn()
    assert group.boundary == 3


def test_who_waits_is_told_of_the_next_flush_once(scene: Scene) -> None:
    """With all that was pending, thinned or not."""
    group = scene.group("#", options=Options(period_s=1.0))
    member = Recorder()
    group.wait(member)
    scene.publish("a")
    scene.publish("a")
    scene.loop.turn()
    scene.publish("a")
    scene.loop.drain()
    assert member.boundaries == [[0, 1]]
    assert not member.written


def test_who_leaves_is_neither_written_nor_told(scene: Scene) -> None:
    """And learns up to where it was served, and how many channels it knows."""
    group = scene.group("a/#")
    member, waiting = scene.joined(group), Recorder()
    group.wait(waiting)
    scene.publish("a/x")
    scene.loop.turn()
    scene.publish("a/y")
    written = len(member.written)
    group.wait(waiting)
    assert group.leave(member) == (1, 1)
    assert group.leave(waiting) == (1, 1)
    scene.loop.drain()
    assert len(member.written) == written
    assert waiting.boundaries == [[0]]


def test_a_member_that_leaves_in_the_middle_of_a_flush_has_had_what_was_written(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is behind the frame that made it leave; the others get the rest."""
    monkeypatch.setattr(packets, "FRAME_READINGS", 1)
    group = scene.group("a")
    places: list[tuple[int, int]] = []

    class Leaving(Recorder):
        @property
        def write(self) -> Write:
            return self._take

        def _take(self, data: bytes, /) -> None:
            self.written.append(data)
            if len(self.frames) == 2:
                places.append(group.leave(self))

    one, two = Leaving(), Recorder()
    scene.bus.channel("a", STATE)
    for member in (one, two):
        group.join(member)
    for _ in range(4):
        scene.publish("a")
        scene.publish("b")
    scene.loop.turn()
    assert places == [(3, 1)]
    assert [cursor for cursor, _ in one.frames] == [1, 3]
    assert [cursor for cursor, _ in two.frames] == [1, 3, 5, 8]


def test_a_member_that_an_announcement_makes_leave_has_had_no_reading_of_that_flush(
    scene: Scene,
) -> None:
    """Its place is before all that was pending."""
    group = scene.group("#")
    places: list[int] = []

    class Leaving(Recorder):
        @property
        def write(self) -> Write:
            return self._take

        def _take(self, _data: bytes, /) -> None:
            places.append(group.leave(self)[0])

    group.join(Leaving())
    scene.publish("a")
    scene.publish("b")
    scene.loop.turn()
    assert places == [0]


# -- bounds ----------------------------------------------------------------------------------------


def test_too_much_for_a_long_latency_leaves_early(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not before the turn has ended."""
    monkeypatch.setattr(group_module, "MAX_PENDING", 8)
    scene = Scene()
    member = scene.joined(scene.group("#", options=Options(max_latency_s=60.0)))
    scene.publish("a")
    scene.loop.turn()
    for _ in range(20):
        scene.publish("a")
    assert len(member.frames) == 1
    scene.loop.turn()
    assert [len(values) for _, values in member.frames] == [1, 20]
    scene.publish("a")
    scene.loop.settle()
    assert len(member.frames) == 2, "the window is counted from there"


def test_too_much_for_a_long_period_is_reduced_to_the_newest(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that is going to be withheld is kept until then."""
    monkeypatch.setattr(group_module, "MAX_PENDING", 8)
    scene = Scene()
    group = scene.group("#", options=Options(period_s=60.0))
    member = scene.joined(group)
    scene.publish("a")
    scene.loop.turn()
    for _ in range(100):
        scene.publish("a")
        scene.publish("b")
        assert len(group._pending) < 8
    scene.loop.settle()
    assert len(member.frames) == 1
    assert group.boundary == 1
    scene.loop.drain()
    assert member.frames[1] == (201, ["199", "200"])


def test_too_many_events_for_a_long_period_leave_early(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They cannot be reduced."""
    monkeypatch.setattr(group_module, "MAX_PENDING", 8)
    scene = Scene()
    member = scene.joined(scene.group("#", options=Options(period_s=60.0)))
    scene.publish("e", metadata=EVENT)
    scene.loop.turn()
    for _ in range(20):
        scene.publish("e", metadata=EVENT)
    scene.loop.turn()
    assert [len(values) for _, values in member.frames] == [1, 20]


# -- all groups ------------------------------------------------------------------------------------


def test_equal_keys_are_one_group_until_its_last_user_goes(scene: Scene) -> None:
    """Then it is closed, and another one has another stream."""
    one = scene.group("#")
    assert scene.group("#") is one
    scene.groups.release(one)
    assert len(scene.groups) == 1
    scene.publish("a")
    scene.groups.release(one)
    assert len(scene.groups) == 0
    scene.publish("a")
    assert scene.loop.is_idle
    other = scene.group("#")
    assert other.stream != one.stream
    assert other.stream != scene.groups.next_stream()


def test_keys_differ_in_what_they_ask_for(scene: Scene) -> None:
    """Encoding, filters, options, and twins of one session."""
    key = Key(JSON, ("#",), Options())
    keys = [
        key,
        key._replace(codec=MSGPACK),
        key._replace(topics=("a",)),
        key._replace(options=Options("latest")),
        key._replace(twin=1),
    ]
    assert len({scene.groups.enter(one).stream for one in keys}) == 5


def test_flushing_all_sends_what_is_pending(scene: Scene) -> None:
    """As the server does before it says good-bye."""
    members = [scene.joined(scene.group(topic)) for topic in ("a", "b")]
    scene.publish("a")
    scene.loop.turn()
    scene.publish("a")
    scene.publish("b")
    scene.groups.flush()
    assert [len(member.frames) for member in members] == [2, 1]
    assert scene.loop.is_idle
    scene.loop.drain()
    assert [len(member.frames) for member in members] == [2, 1]


def test_a_closed_group_does_not_flush(scene: Scene) -> None:
    """Its timer is gone with it."""
    group = scene.group("#")
    member = scene.joined(group)
    scene.publish("a")
    group.close()
    scene.loop.drain()
    assert not member.frames


def wide(scene: Scene, count: int) -> None:
    for number in range(count):
        scene.bus.channel(f"wide/{number}", STATE)


def different(number: int) -> Options:
    return Options(max_latency_s=LATENCY_S + number / 1000)


def test_the_channel_lists_of_different_groups_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand with an option each, to ten thousand topics, took a gigabyte."""
    monkeypatch.setattr(budget, "MOST_LIST_BYTES", 3 * 100 * budget.CHANNEL_BYTES)
    scene = Scene()
    wide(scene, 100)
    made = [scene.group("wide/#", options=different(number)) for number in range(3)]
    with pytest.raises(ProtocolError, match="too many channels"):
        scene.group("wide/#", options=different(3))
    assert len(scene.groups) == 3
    assert scene.group("wide/#", options=different(2)) is made[2], "what is shared costs nothing"
    scene.groups.release(made[0])
    scene.group("wide/#", options=different(3))


def test_a_refused_group_receives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is out of the bus again."""
    monkeypatch.setattr(budget, "MOST_LIST_BYTES", 50 * budget.CHANNEL_BYTES)
    scene = Scene()
    wide(scene, 51)
    with pytest.raises(ProtocolError):
        scene.group("wide/#")
    assert not any(scene.bus._sinks)


def test_one_client_gets_half_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it holds already counts."""
    monkeypatch.setattr(budget, "MOST_LIST_BYTES", 4 * 100 * budget.CHANNEL_BYTES)
    scene = Scene()
    wide(scene, 100)
    key = Key(JSON, ("wide/#",), different(0))
    held = 150 * budget.CHANNEL_BYTES
    with pytest.raises(ProtocolError, match="too many channels"):
        scene.groups.enter(key, held)
    scene.groups.enter(key, 100 * budget.CHANNEL_BYTES)
