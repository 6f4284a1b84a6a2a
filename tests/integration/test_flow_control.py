"""Flow control over real sockets: `docs/protocol.md`, section 7, with monitors that do not read."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import sensord.server.connection
import sensord.server.listener
from sensord.log.memory import BLOCK
from sensord.model.readings import ValueType
from sensord.server.connection import Connection
from sensord.server.live import budget
from sensord.server.packets import FRAME_BYTES
from sensord.server.shared import Limits
from tests.kit.loops import on_each_loop
from tests.kit.monitor import LazyMonitor, Monitor, Story, lazy_monitor, monitor
from tests.kit.standing import StandingTime
from tests.kit.station import Station

BATCH = 50
LARGE_BYTES = 8 * 1024

SMALL = Limits(outbox_bytes=32 * 1024)
"""A slow monitor lags after a hundred kilobytes, two thirds of which the kernel holds."""


class Plant:
    """A server, a monitor that reads along, and readings: numbers of two channels, and events."""

    def __init__(self, station: Station, quick: Monitor, watching: Story) -> None:
        self.station = station
        self.time = StandingTime(station.server)
        self.quick = quick
        """Subscribed to the same as the lazy ones: what it has had was flushed to them too."""
        self.watching = watching
        self.published: list[tuple[str, Any]] = []
        self._events = station.event("plant/alarm")
        self._large = station.state("plant/large", ValueType.STRING)
        self._offset = 0

    def put(self, topic: str, value: Any) -> None:
        """Publish one value."""
        known = {"plant/alarm": self._events, "plant/large": self._large}
        self.station.publish(known.get(topic, topic), value)
        self.published.append((topic, value))
        self._offset = self.station.log.tail

    async def publish(self, batches: int = 1) -> None:
        """Publish so many batches, each in a frame of its own."""
        for _ in range(batches):
            for number in range(len(self.published), len(self.published) + BATCH):
                if number % 10 == 0:
                    self.put("plant/alarm", f"event {number}")
                else:
                    self.put(f"plant/{'ab'[number % 2]}", number + 0.5)
            await self.flushed()

    async def flushed(self) -> None:
        """Wait until the group has sent all that was published."""
        await self.quick.until(lambda: (self.watching.cursor or 0) >= self._offset)

    async def until_lagging(self) -> None:
        """Publish large readings until a session is above its mark.

        It stays there: what the kernel may still take is less than what lies between the marks.
        """
        while not self.is_lagging:
            self.put("plant/large", f"{len(self.published)} {'x' * LARGE_BYTES}")
            await self.flushed()
            await self.quick.ask("ping")

    async def caught_up(self, lazy: LazyMonitor, story: Story) -> None:
        """Let the lazy monitor read until it has everything."""
        await lazy.until(lambda: story.phase == "live" and (story.cursor or 0) >= self._offset)

    @property
    def is_lagging(self) -> bool:
        return any(connection.is_congested for connection in self.station.server._connections)

    @property
    def unsent_bytes(self) -> int:
        """The most that the server itself holds for a client."""
        return max(unsent_bytes(connection) for connection in self.station.server._connections)

    @property
    def counts(self) -> Counter[str]:
        return Counter(topic for topic, _ in self.published)

    @property
    def events(self) -> list[tuple[str, Any]]:
        return [pair for pair in self.published if pair[0] == "plant/alarm"]


def unsent_bytes(connection: Connection) -> int:
    transport = connection._transport
    assert transport is not None
    return transport.get_write_buffer_size()


@asynccontextmanager
async def plant(
    limits: Limits = SMALL, *, ring: int = 65_536, **options: Any
) -> AsyncIterator[Plant]:
    """Run one; ``options`` are those of the subscriptions."""
    # A frame a millisecond, so that a test need not wait for them.
    options = {"max_latency": 0.001, **options}
    async with Station(limits, ring=ring) as station, monitor(station.url) as quick:
        watching = await quick.subscribe("plant/#", start="now", **options)
        await quick.live(watching)
        yield Plant(station, quick, watching)


@asynccontextmanager
async def lazy_one(
    plant: Plant, encoding: str = "msgpack", **options: Any
) -> AsyncIterator[tuple[LazyMonitor, Story]]:
    """Connect and subscribe."""
    options = {"max_latency": 0.001, **options}
    async with lazy_monitor(plant.station.url, encoding) as lazy:
        story = await lazy.subscribe("plant/#", start="now", **options)
        await lazy.live(story)
        yield lazy, story


def pairs(story: Story) -> list[tuple[str, Any]]:
    return [(seen.topic, seen.value) for seen in story.readings]


def accounted(story: Story) -> Counter[str]:
    """Count by topic what was sent and what was named as lost."""
    return Counter(seen.topic for seen in story.readings) + story.lost


@pytest.fixture(autouse=True)
def _sweeps_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that tests need not wait for them."""
    monkeypatch.setattr(sensord.server.listener, "SWEEP_S", 0.1)


each_encoding = pytest.mark.parametrize("encoding", ["msgpack", "json"])


@on_each_loop
@each_encoding
async def test_a_monitor_that_stops_reading_gets_everything_when_it_reads_on(
    encoding: str,
) -> None:
    """In order, once, told as lagging and then as live; the others notice nothing."""
    async with plant() as running, lazy_one(running, encoding) as (lazy, story):
        await running.until_lagging()
        await running.publish(40)
        assert pairs(running.watching) == running.published
        await running.caught_up(lazy, story)
        await running.publish()
        await running.caught_up(lazy, story)
        assert not running.is_lagging
        assert pairs(story) == running.published
        assert story.gaps == []
        assert story.phases == ["live", "lagging", "live"]
        assert running.watching.phases == ["live"]


@on_each_loop
async def test_it_can_lag_again_and_again() -> None:
    """Every time it catches up and joins the others."""
    async with plant() as running, lazy_one(running) as (lazy, story):
        for _ in range(5):
            await running.until_lagging()
            await running.publish()
            await running.caught_up(lazy, story)
        assert pairs(story) == running.published
        assert story.phases == ["live", *["lagging", "live"] * 5]
        assert story.gaps == []


@on_each_loop
@each_encoding
async def test_with_mode_latest_newer_values_take_the_place_of_older_ones(encoding: str) -> None:
    """Each that gave way is counted in a gap; events are never among them."""
    async with plant() as running, lazy_one(running, encoding, mode="latest") as (lazy, story):
        await running.until_lagging()
        await running.publish(100)
        await running.caught_up(lazy, story)
        assert {gap["reason"] for gap in story.gaps} == {"conflated"}
        assert sum(gap["count"] for gap in story.gaps) == story.lost.total() > 0
        assert accounted(story) == running.counts
        assert set(story.lost) == {"plant/a", "plant/b"}
        assert [pair for pair in pairs(story) if pair[0] == "plant/alarm"] == running.events
        assert pairs(story)[-2:] == running.published[-2:]
        order = [running.published.index(pair) for pair in pairs(story)]
        assert order == sorted(set(order))


@on_each_loop
async def test_who_lags_behind_the_ring_gets_a_named_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the right counts by topic, and the last value of what fell silent inside the gap."""
    # Offsets are counted here, and a sweep that finds it lagging publishes that.
    monkeypatch.setattr(sensord.server.listener, "SWEEP_S", 3600.0)
    async with plant(ring=2 * BLOCK) as running, lazy_one(running) as (lazy, story):
        await running.until_lagging()
        for value in (1.5, 2.5, 3.5):
            running.put("plant/silent", value)
        begun = running.station.log.tail
        while running.station.log.first < begun + BLOCK:
            await running.publish()
        await running.caught_up(lazy, story)
        [gap] = story.gaps
        assert gap["reason"] == "expired"
        assert gap["count"] == story.lost.total() > BLOCK
        assert gap["to"] - gap["from"] == gap["count"] + 1
        assert accounted(story) == running.counts
        assert story.lost["plant/silent"] == 2
        after = story.told[story.told.index(gap) + 1]
        assert (after.topic, after.value) == ("plant/silent", 3.5)
        # Before and after the gap: everything, in order. (Only the plant is in this log.)
        seen, rest = pairs(story), running.published[gap["to"] :]
        assert seen == [*running.published[: gap["from"]], ("plant/silent", 3.5), *rest]


@on_each_loop
async def test_a_monitor_that_lags_for_too_long_is_sent_away() -> None:
    """With 4002; what it reads until then is whole; others stay."""
    async with plant() as running, lazy_one(running) as (lazy, story):
        told = await running.quick.subscribe("$sys/sessions/+")
        await running.until_lagging()
        await running.quick.until(lambda: told.readings)
        running.time.now_s += SMALL.lag_timeout_s + 1
        await running.quick.until(
            lambda: "ended" in [seen.value["state"] for seen in told.readings]
        )
        closed = await lazy.closed()
        assert closed.code == 4002
        assert running.station.server.statistics().sessions == 1
        assert (await running.quick.ask("ping"))["op"] == "result"
        assert pairs(story) == running.published[: len(story.readings)]


@on_each_loop
async def test_a_monitor_that_never_reads_again_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its good-bye is not waited for for ever; its memory is free."""
    monkeypatch.setattr(sensord.server.connection, "CLOSE_TIMEOUT_S", 0.1)
    async with plant() as running, lazy_one(running):
        await running.until_lagging()
        running.time.now_s += SMALL.lag_timeout_s + 1
        while running.station.server.statistics().connections > 1:
            await running.quick.ask("ping")
        assert running.station.server.statistics().lagging == 0


@on_each_loop
async def test_who_lags_is_named_under_sys_sessions() -> None:
    """Who it is, whether it still lags, and what it lost."""
    async with plant() as running, lazy_one(running, mode="latest") as (lazy, story):
        told = await running.quick.subscribe("$sys/sessions/+")
        await running.until_lagging()
        await running.quick.until(lambda: told.readings)
        assert running.station.server.statistics().lagging == 1
        await running.publish(20)
        await running.caught_up(lazy, story)
        await running.quick.until(lambda: len(told.readings) == 2)
        first, second = told.readings
        assert first.topic == second.topic
        assert first.topic.startswith("$sys/sessions/")
        assert first.value["client"] == "lazy"
        assert first.value["state"] == "lagging"
        assert second.value["state"] == "live"
        assert second.value["lost"] == dict(story.lost)
        assert running.station.server.statistics().lagging == 0


@on_each_loop
async def test_requests_wait_while_a_monitor_lags() -> None:
    """They are answered in order when it reads on."""
    async with plant() as running, lazy_one(running) as (lazy, story):
        await running.until_lagging()
        for number in (100, 101, 102):
            await lazy.send({"op": "ping", "id": number})
        await running.publish(20)
        await lazy.until(lambda: {100, 101, 102} <= set(lazy.answers))
        await running.caught_up(lazy, story)
        assert [n for n in lazy.answers if n in {100, 101, 102}] == [100, 101, 102]
        assert pairs(story) == running.published


@on_each_loop
async def test_a_monitor_that_reads_slowly_but_steadily_loses_nothing() -> None:
    """It is neither cut nor pinged to death, though the sweep finds it lagging again and again."""
    async with plant() as running, lazy_one(running) as (lazy, story):
        for _ in range(600):
            if running.station.log.tail - (story.cursor or 0) < 20_000:  # well within the ring
                await running.publish(4)
            await running.quick.ask("ping")
            # A fraction of what comes, and from one mark to the other in a few dozen turns.
            await lazy.read_some(1000)
            running.time.now_s += 0.1  # a minute in all: longer than any limit
        await running.caught_up(lazy, story)
        assert pairs(story) == running.published
        assert "lagging" in story.phases
        assert story.gaps == []


@on_each_loop
async def test_a_snapshot_too_large_for_a_lazy_monitor_arrives_whole() -> None:
    """And the readings that were published while it came follow, once."""
    async with plant() as running, lazy_monitor(running.station.url) as lazy:
        for i in range(5000):
            running.put(f"plant/{i}", i + 0.5)
        await running.flushed()
        story = await lazy.subscribe("plant/#", max_latency=0.001)
        await running.publish(20)
        await running.caught_up(lazy, story)
        assert pairs(story) == running.published
        assert story.phases[0] == "snapshot"
        assert story.gaps == []


@on_each_loop
async def test_a_stopped_monitor_costs_a_bounded_amount_of_memory() -> None:
    """The mark and one frame, however long it stops and however much is published meanwhile."""
    async with plant(ring=2 * BLOCK) as running, lazy_one(running):
        await running.until_lagging()
        tracemalloc.start()
        try:
            begun = 0
            for turn in range(400):
                await running.publish()
                running.published.clear()
                running.watching.told.clear()
                if turn == 200:  # by now the ring is full of what is traced
                    begun, _ = tracemalloc.get_traced_memory()
            now, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert running.is_lagging
        assert running.unsent_bytes < SMALL.outbox_bytes + FRAME_BYTES
        assert now - begun < 500_000


@on_each_loop
async def test_a_subscription_to_too_many_channels_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the reason; one that would change to it continues as it was, and ids stay free."""
    monkeypatch.setattr(budget, "MOST_LIST_BYTES", 40 * budget.CHANNEL_BYTES)
    async with Station() as station, monitor(station.url) as client:
        for number in range(30):
            station.publish(f"wide/{number}", number)
        narrow = await client.subscribe("wide/1")
        refused = await client.ask("subscribe", id=77, topics=["wide/#"])
        assert (refused["op"], refused["code"]) == ("error", "too_many")
        assert "select less" in refused["message"]
        number = client.number(narrow)
        refused = await client.ask("subscribe", change=number, topics=["wide/#"])
        assert (refused["op"], refused["code"]) == ("error", "too_many")
        assert len(station.server.shared.groups) == 1
        await client.live(narrow)
        station.publish("wide/1", 99.0)
        await client.until(lambda: narrow.readings[-1].value == 99.0)
        assert (await client.ask("subscribe", id=77, topics=["wide/2"]))["op"] == "result"
