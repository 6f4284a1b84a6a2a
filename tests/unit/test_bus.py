"""Every reading goes into the log and to those who selected its channel, once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sensord.bus import Bus
from sensord.log import Log
from sensord.model.readings import Channel, Kind, Metadata, Reading, Record
from sensord.model.topics import matches
from tests.unit.manual import START_US, ManualClock

STATE = Metadata()
EVENT = Metadata(kind=Kind.EVENT)


class Sink:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.channels: list[Channel] = []

    def push(self, record: Record) -> None:
        self.records.append(record)

    def selected(self, channel: Channel) -> None:
        self.channels.append(channel)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def bus(clock: ManualClock) -> Bus:
    return Bus(Log("e1", 1024), clock)


def test_a_topic_with_the_same_metadata_is_the_same_channel(bus: Bus) -> None:
    """Channels are numbered in the order in which they appear."""
    a, b = bus.channel("a", STATE), bus.channel("b", STATE)
    assert (a.number, b.number) == (0, 1)
    assert bus.channel("a", Metadata()) is a
    assert bus.find("a") is a
    assert bus.find("c") is None


def test_other_metadata_is_another_channel(bus: Bus) -> None:
    """The old one keeps its records and its number, and has no last value any more."""
    old = bus.channel("a", STATE)
    bus.publish(old, Reading(1, 1.0))
    new = bus.channel("a", EVENT)
    assert new is not old
    assert bus.find("a") is new
    assert bus.select(["a"]) == [old, new]
    assert bus.last(old) is bus.last(new) is None
    assert bus.described("a", STATE) is old
    assert bus.described("a", EVENT) is new


def test_a_description_that_is_not_known_is_an_error(bus: Bus) -> None:
    """The journal has channels that this run has not seen yet."""
    with pytest.raises(KeyError):
        bus.described("a", STATE)


def test_a_topic_belongs_to_whoever_claims_it_first(bus: Bus) -> None:
    """Two fields may not write into one channel."""
    assert bus.claim("a")
    assert not bus.claim("a")
    assert bus.claim("b")


def test_publishing_writes_the_log_with_the_next_offset(bus: Bus, clock: ManualClock) -> None:
    """Stamped with the wall clock."""
    channel = bus.channel("a", STATE)
    first = bus.publish(channel, Reading(5, 1.0))
    clock.move(7)
    second = bus.publish(channel, Reading(6, 2.0))
    assert [record.offset for record in (first, second)] == [0, 1]
    assert [record.log_us for record in (first, second)] == [START_US, START_US + 7]
    assert [r for piece in bus.log.read(0, 9) for r in piece] == [first, second]
    assert bus.last(channel) is second
    assert bus.now_us() == START_US + 7


def test_what_arrived_together_is_published_in_its_order(bus: Bus) -> None:
    """Stamped with the time at which it arrived; the last of a channel is its last value."""
    a, b = bus.channel("a", STATE), bus.channel("$sys/b", STATE)
    everything, states = Sink(), Sink()
    bus.attach(["#", "$sys/#"], everything)
    bus.attach(["$sys/b"], states)
    bus.publish(a, Reading(0, 0.0))
    readings = [Reading(i, float(i)) for i in (1, 2, 3)]
    bus.publish_all([(a, readings[0]), (b, readings[1]), (a, readings[2])], START_US - 1)
    records = [Record(i, START_US - 1, c, readings[i - 1]) for i, c in ((1, a), (2, b), (3, a))]
    assert everything.records[1:] == records
    assert states.records == records[1:2]
    assert [r for piece in bus.log.read(1, 9) for r in piece] == records
    assert (bus.last(a), bus.last(b)) == (records[2], records[1])
    bus.publish_all([], START_US)
    assert bus.log.tail == 4


def test_a_channel_without_a_reading_has_no_last_value(bus: Bus) -> None:
    """It is selected all the same."""
    channel = bus.channel("a", STATE)
    assert bus.last(channel) is None
    assert bus.select(["#"]) == [channel]


def test_a_remembered_reading_is_the_last_one_until_another_comes(bus: Bus) -> None:
    """Nobody is told of it and the log does not grow: it is an old one."""
    channel, sink = bus.channel("a", STATE), Sink()
    bus.attach(["#"], sink)
    old, older = (Record(offset, START_US, channel, Reading(1, 0.5)) for offset in (-3, -7))
    bus.remember(old)
    bus.remember(older)
    assert bus.last(channel) is old
    assert (sink.records, bus.log.tail) == ([], 0)
    new = bus.publish(channel, Reading(2, 1.5))
    bus.remember(old)
    assert bus.last(channel) is new
    assert sink.records == [new]


def test_a_sink_whose_filters_overlap_is_served_once(bus: Bus) -> None:
    """Of channels that it finds and of those that come later."""
    bus.channel("a/x", STATE)
    sink = Sink()
    known = bus.attach(["a/#", "+/x"], sink)
    assert [channel.topic for channel in known] == ["a/x"]
    later = bus.channel("b/x", STATE)
    both = bus.channel("a/y", STATE)
    assert sink.channels == [later, both]
    for channel in (known[0], later, both):
        bus.publish(channel, Reading(0, 1.0))
    assert [record.offset for record in sink.records] == [0, 1, 2]


def test_a_sink_that_was_detached_hears_nothing_more(bus: Bus) -> None:
    """Not of channels that gave way either."""
    old = bus.channel("a", STATE)
    sink = Sink()
    bus.attach(["#"], sink)
    new = bus.channel("a", EVENT)
    bus.detach(["#"], sink)
    for channel in (old, new, bus.channel("b", STATE)):
        bus.publish(channel, Reading(0, 1.0))
    assert sink.records == []
    assert sink.channels == [new]


TOPICS = ["a", "a/x", "a/y", "b/x", "$sys/x"]
FILTERS = ["#", "+", "a/#", "+/x", "a/x", "$sys/#"]


class Publishing(RuleBasedStateMachine):
    """Sinks come and go while channels appear: each gets what it selected, while it was there."""

    def __init__(self) -> None:
        super().__init__()
        self.bus = Bus(Log("e1", 1024), ManualClock())
        self.sinks: list[tuple[list[str], Sink]] = []
        self.wanted: dict[Sink, list[int]] = {}
        self.knows: dict[Sink, list[Channel]] = {}
        self.last: dict[Channel, int] = {}
        self.published = 0

    @rule(topic=st.sampled_from(TOPICS), metadata=st.sampled_from([STATE, STATE, EVENT]))
    def publish(self, topic: str, metadata: Metadata) -> None:
        channel = self.channel(topic, metadata)
        self.publishes(channel)
        assert self.bus.publish(channel, Reading(0, None)).offset == self.last[channel]

    @rule(topics=st.lists(st.sampled_from(TOPICS), max_size=6))
    def publish_all(self, topics: list[str]) -> None:
        channels = [self.channel(topic, STATE) for topic in topics]
        for channel in channels:
            self.publishes(channel)
        self.bus.publish_all([(channel, Reading(0, None)) for channel in channels], START_US)
        assert self.bus.log.tail == self.published

    def channel(self, topic: str, metadata: Metadata) -> Channel:
        before = self.bus.find(topic)
        channel = self.bus.channel(topic, metadata)
        if channel is not before:
            for filters, sink in self.sinks:
                if any(matches(pattern, topic) for pattern in filters):
                    self.knows[sink].append(channel)
            if before is not None:
                self.last.pop(before, None)
        return channel

    def publishes(self, channel: Channel) -> None:
        for filters, sink in self.sinks:
            if any(matches(pattern, channel.topic) for pattern in filters):
                self.wanted[sink].append(self.published)
        self.last[channel] = self.published
        self.published += 1

    @rule(filters=st.lists(st.sampled_from(FILTERS), min_size=1, max_size=3))
    def attach(self, filters: list[str]) -> None:
        sink = Sink()
        known = self.bus.attach(filters, sink)
        assert known == self.bus.select(filters)
        numbers = Counter(channel.number for channel in known)
        assert set(numbers.values()) <= {1}
        self.sinks.append((filters, sink))
        self.wanted[sink], self.knows[sink] = [], []

    @precondition(lambda self: self.sinks)
    @rule(which=st.integers(0, 9))
    def detach(self, which: int) -> None:
        filters, sink = self.sinks.pop(which % len(self.sinks))
        self.bus.detach(filters, sink)

    @invariant()
    def every_sink_has_what_it_selected(self) -> None:
        for sink, wanted in self.wanted.items():
            assert [record.offset for record in sink.records] == wanted
            assert sink.channels == self.knows[sink]

    @invariant()
    def last_values_are_those_of_the_channels_in_use(self) -> None:
        for channel in self.bus.select(["#", "$sys/#"]):
            record = self.bus.last(channel)
            assert (None if record is None else record.offset) == self.last.get(channel)


TestPublishing: Any = Publishing.TestCase
TestPublishing.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
