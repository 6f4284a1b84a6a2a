"""Matching: ten thousand topics and a thousand different filters.

What a subscription costs until it is served, what a publication costs when a thousand groups are
there and few of them want it, and what a new topic costs, which every filter is asked about once.
In this process: bus and groups with a member each, frames included, nothing on a socket.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
import time
from dataclasses import dataclass

import uvloop

from bench.ingest import Sink
from bench.report import Options, Report, main, median
from sensord.bus import Bus
from sensord.log import Log
from sensord.model.clocks import SystemClock
from sensord.model.readings import Metadata, Reading
from sensord.model.topics import matches
from sensord.server.live.group import Groups, Key
from sensord.wire.frames import MSGPACK
from sensord.wire.ops.subscriptions import Options as SubscriptionOptions

__all__ = ["measure"]


@dataclass(frozen=True, slots=True)
class Found:
    """One run, in µs each; ``selected`` is how many groups want a topic, on average."""

    subscribe: float
    publish: float
    publish_alone: float
    new_topic: float
    unsubscribe: float
    selected: float


def all_topics(count: int) -> list[str]:
    """Return topics of four levels, ten names each but in the first."""
    digits = itertools.product(range(-(-count // 1000)), range(10), range(10), range(10))
    topics = [f"site{a}/line{b}/cell{c}/sensor{d}" for a, b, c, d in digits]
    return topics[:count]


def all_filters(topics: list[str], count: int) -> list[str]:
    """Return different filters: of ten, four name a topic, three a cell, two use +, one a line."""
    chance = random.Random(1)
    found: dict[str, None] = {}
    while len(found) < count:
        site, line, cell, sensor = chance.choice(topics).split("/")
        kind = chance.randrange(10)
        if kind < 4:
            found[f"{site}/{line}/{cell}/{sensor}"] = None
        elif kind < 7:
            found[f"{site}/{line}/{cell}/#"] = None
        elif kind < 9:
            found[f"{site}/+/{cell}/{sensor}"] = None
        else:
            found[f"{site}/{line}/#" if chance.random() < 0.5 else f"+/{line}/{cell}/#"] = None
    return list(found)


def published(bus: Bus, topics: list[str], metadata: Metadata) -> float:
    """Return the CPU seconds of one reading on each topic."""
    wall_us = bus.now_us()
    channels = [bus.channel(topic, metadata) for topic in topics]
    readings = [Reading(wall_us, number % 1000 / 100) for number in range(len(topics))]
    begun = time.process_time()
    bus.publish_all(list(zip(channels, readings, strict=True)), wall_us)
    return time.process_time() - begun


async def run(topic_count: int, filter_count: int) -> Found:
    """Subscribe, publish, add topics, unsubscribe."""
    topics = all_topics(topic_count)
    filters = all_filters(topics, filter_count)
    bus = Bus(Log("bench", 65_536), SystemClock())
    groups = Groups(bus, asyncio.get_running_loop())
    metadata = Metadata(decimals=2)
    for topic in topics:
        bus.channel(topic, metadata)
    alone = published(bus, topics, metadata)
    begun = time.process_time()
    entered = [groups.enter(Key(MSGPACK, (one,), SubscriptionOptions())) for one in filters]
    for group in entered:
        group.join(Sink())
    subscribe = time.process_time() - begun
    groups.flush()
    before = time.process_time()
    with_groups = published(bus, topics, metadata)
    groups.flush()
    with_groups = max(with_groups, time.process_time() - before)
    begun = time.process_time()
    for topic in topics:
        bus.channel(f"{topic}x", metadata)
    new_topic = time.process_time() - begun
    begun = time.process_time()
    for group in entered:
        groups.release(group)
    unsubscribe = time.process_time() - begun
    selected = sum(len(group.numbers) for group in entered) / topic_count
    await asyncio.sleep(0)
    each = 1e6 / topic_count
    return Found(
        subscribe * 1e6 / filter_count,
        with_groups * each,
        alone * each,
        new_topic * each,
        unsubscribe * 1e6 / filter_count,
        selected,
    )


def naive(topic_count: int, filter_count: int) -> float:
    """Return the CPU µs of asking every filter about one topic."""
    topics = all_topics(topic_count)
    filters = all_filters(topics, filter_count)
    asked = random.Random(2).sample(topics, 20)
    begun = time.process_time()
    for topic in asked:
        for one in filters:
            matches(one, topic)
    return (time.process_time() - begun) * 1e6 / len(asked)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare this benchmark's options."""
    parser.add_argument("--topics", type=int, default=10_000)
    parser.add_argument("--filters", type=int, help="default 1000, brief 100")


def measure(report: Report, options: Options) -> None:
    """Measure all of it."""
    topics = options.more.topics
    filters = options.more.filters or (100 if options.brief else 1000)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = [runner.run(run(topics, filters)) for _ in range(options.repeats)]
    everyone = naive(topics, filters)
    where = f"{topics:,} topics, {filters:,} filters"
    wanted = f"{median(one.selected for one in found):.2g} groups want each topic"
    report.add(f"{where}: subscribe", median(one.subscribe for one in found), "µs")
    report.add(f"{where}: unsubscribe", median(one.unsubscribe for one in found), "µs")
    value = median(one.publish for one in found)
    report.add(
        f"{where}: publish, frames included",
        value,
        "µs",
        peer="asking every filter",
        peer_value=everyone,
        ratio=value / everyone,
        note=wanted,
    )
    report.add(f"{where}: publish to nobody", median(one.publish_alone for one in found), "µs")
    report.add(f"{where}: first reading of a topic", median(one.new_topic for one in found), "µs")


if __name__ == "__main__":
    sys.exit(main("matching", str(__doc__).splitlines()[0], measure, configure))
