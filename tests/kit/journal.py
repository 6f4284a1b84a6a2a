"""Readings to put into a journal, and ways to look at what came out of it."""

from __future__ import annotations

import itertools
import json
import random
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from mcap.reader import make_reader
from mcap.records import Channel as McapChannel
from mcap.records import Message, Schema
from mcap.stream_reader import StreamReader

from sensord.log.journal import Batch, Hole, Options, Scan, Writer
from sensord.log.journal.shape import Shape
from sensord.mcap.disk import Disk
from sensord.model.readings import (
    GOOD,
    Channel,
    Level,
    Metadata,
    Quality,
    Reading,
    Record,
    Value,
    ValueType,
)

__all__ = [
    "START_US",
    "Killed",
    "Row",
    "channels",
    "check_cover",
    "expected_payload",
    "found_in",
    "killed_journal",
    "mixed_readings",
    "open_writer",
    "oracle_rows",
    "row",
    "rows",
    "small_shape",
    "walk_readings",
]

START_US = 1_700_000_000_000_000
KIB = 1 << 10


class Row(NamedTuple):
    """A record by value, so that it can be compared whoever made its channel."""

    offset: int
    log_us: int
    topic: str
    metadata: Metadata
    time_us: int
    value: str
    """With its type: 1, 1.0 and true differ, and so do 0.0 and -0.0."""
    quality: Quality
    restates: bool


def row(record: Record) -> Row:
    channel, reading = record.channel, record.reading
    return Row(
        record.offset,
        record.log_us,
        channel.topic,
        channel.metadata,
        reading.time_us,
        repr(reading.value),
        reading.quality,
        reading.restates,
    )


def rows(records: Iterable[Record]) -> list[Row]:
    return list(map(row, records))


def found_in(scan: Scan) -> tuple[list[Row], list[Hole]]:
    """Run a scan to its end: the rows, and the holes between them."""
    found: list[Row] = []
    holes: list[Hole] = []
    for item in scan:
        if isinstance(item, Batch):
            found += rows(item.records())
        else:
            holes.append(item)
    return found, holes


def channels(count: int, metadata: Metadata | None = None) -> list[Channel]:
    described = metadata or Metadata(unit="Cel", decimals=2, device="boiler", description="a value")
    return [
        Channel(i, f"plant/area{i // 20}/device{i // 5}/value{i}", described) for i in range(count)
    ]


def walk_readings(
    count: int,
    *,
    first: int = 0,
    start_us: int = START_US,
    rate: float = 1000.0,
    of: Sequence[Channel] | None = None,
    line: int = 1,
    seed: int = 1,
) -> list[Record]:
    """Make readings as a plant sends them: values that wander, in lines of ``line`` values.

    The values of a line share a source time and are logged 4 µs after each other.
    """
    rng = random.Random(seed)
    of = of or channels(200)
    values = [rng.uniform(0, 100) for _ in of]
    made: list[Record] = []
    log_us = float(start_us)
    while len(made) < count:
        log_us += rng.expovariate(1.0) * 1e6 * line / rate
        time_us = int(log_us) - rng.randint(50, 500)
        begin = rng.randrange(max(1, len(of) // line)) * line
        for i in range(min(line, count - len(made))):
            which = (begin + i) % len(of)
            values[which] += rng.gauss(0, 0.1)
            reading = Reading(time_us, round(values[which], 2))
            made.append(Record(first + len(made), int(log_us) + 4 * i, of[which], reading))
    return made


def small_shape(
    *,
    max_bytes: int = 1 << 30,
    segment_bytes: int = 64 * KIB,
    chunk_bytes: int = 4 * KIB,
    ring_bytes: int = 64 * KIB,
    min_free: int = 0,
    max_age_us: int = 1 << 60,
    segment_age_us: int = 3600 * 10**6,
) -> Shape:
    """Make everything small, so that a few hundred readings see every edge."""
    return Shape(
        max_bytes, max_age_us, min_free, segment_bytes, segment_age_us, chunk_bytes, ring_bytes
    )


def open_writer(folder: Path, shape: Shape | None = None, disk: Disk | None = None) -> Writer:
    """Make a writer and open it at the start of time."""
    writer = Writer(Options(folder=str(folder)), shape=shape or small_shape(), disk=disk)
    writer.open(START_US, 0)
    return writer


def oracle_rows(path: Path) -> list[tuple[int, int, int, str, dict[str, Any]]]:
    """Read a file with the `mcap` package, by its index and from end to end, CRCs checked.

    Sequence, log time, publish time, topic and payload of each message, in the file's order.
    """
    by_index: list[tuple[int, int, int, str, dict[str, Any]]] = []
    with path.open("rb") as file:
        for schema, channel, message in make_reader(file, validate_crcs=True).iter_messages():
            assert schema is not None
            assert schema.id
            assert schema.encoding == "jsonschema"
            by_index.append(_plain(channel, message))
    known: dict[int, McapChannel] = {}
    schemas: set[int] = set()
    end_to_end = []
    with path.open("rb") as file:
        for record in StreamReader(file, validate_crcs=True).records:
            if isinstance(record, Schema):
                schemas.add(record.id)
            elif isinstance(record, McapChannel):
                assert record.schema_id in schemas
                known[record.id] = record
            elif isinstance(record, Message):
                end_to_end.append(_plain(known[record.channel_id], record))
    assert by_index == end_to_end
    return end_to_end


def _plain(channel: McapChannel, message: Message) -> tuple[int, int, int, str, dict[str, Any]]:
    assert channel.message_encoding == "json"
    payload = json.loads(message.data)
    return message.sequence, message.log_time, message.publish_time, channel.topic, payload


def expected_payload(found: Row) -> dict[str, Any]:
    """Say what payload a row should have."""
    payload: dict[str, Any] = {"value": eval(found.value)}  # our own repr
    if found.quality != GOOD:
        payload["quality"] = found.quality.level.name.lower()
        if found.quality.reason:
            payload["reason"] = found.quality.reason
    if found.restates:
        payload["restated"] = True
    return payload


def mixed_readings(
    count: int, *, first: int = 0, start_us: int = START_US, seed: int = 1
) -> list[Record]:
    """Make readings of every type and quality."""
    rng = random.Random(seed)
    of = [Channel(i, f"mixed/{kind}", Metadata(type=kind)) for i, kind in enumerate(ValueType)]
    nested: list[Value] = [None, [1, 2.0, [None]], {"value": 1, "b": {"value": "x"}}, [], {}, "t"]
    made = []
    for i in range(count):
        which = rng.randrange(len(of))
        choices: list[Value] = [
            rng.choice([rng.uniform(-1e3, 1e3), -0.0, 1e22, 5e-324, 21.0]),
            rng.choice([0, -1, 2**63 - 1, -(2**63), 2**64, rng.randrange(10**6)]),
            rng.random() < 0.5,
            rng.choice(["", 'say "hi"', 'a,"quality":"bad"', "line\nfeed", "ü€😀", '{"value":1}']),
            rng.choice(nested),
        ]
        quality = rng.choice([GOOD, GOOD, Quality(Level.UNCERTAIN, "stale"), Quality(Level.BAD)])
        reading = Reading(start_us + i * 900, choices[which], quality, rng.random() < 0.2)
        made.append(Record(first + i, start_us + i * 1000, of[which], reading))
    return made


class Killed(NamedTuple):
    """A folder as a kill leaves it, and what was put into it."""

    folder: Path
    given: dict[int, Row]
    next_offset: int


def killed_journal(folder: Path, *, mixed: bool = False) -> Killed:
    """Make a journal with sealed segments, an open one and a ring in use, and abandon it."""
    writer = open_writer(folder)
    given: dict[int, Row] = {}
    of, first, seed = channels(20), 0, 0
    while not _is_well_filled(writer):
        seed += 1
        count, start_us = 20 if seed % 9 else 3, START_US + seed * 1_000_000
        if mixed and seed % 2:
            records = mixed_readings(count, first=first, start_us=start_us, seed=seed)
        else:
            records = walk_readings(
                count, first=first, start_us=start_us, rate=1e5, of=of, seed=seed
            )
        first += count
        writer.commit(records, START_US + seed * 1_000_000, seed * 1_000_000)
        given |= {each.offset: row(each) for each in records}
    writer.abandon()
    return Killed(folder, given, first)


def _is_well_filled(writer: Writer) -> bool:
    view = writer.view
    chunks = view.unsealed[0].chunks if view.unsealed else ()
    return len(view.sealed) > 2 and len(chunks) > 4 and len(view.pending) > 2


def check_cover(
    found: list[Row], holes: list[Hole], given: dict[int, Row], end: int = 1 << 64
) -> set[int]:
    """See that nothing is wrong, and that all that is lost before ``end`` is named; return it."""
    offsets = [each.offset for each in found]
    assert offsets == sorted(set(offsets))
    wrong = [each for each in found if each != given.get(each.offset)]
    assert not wrong
    assert all(one.end <= two.first for one, two in itertools.pairwise(holes))
    is_named = partial(_is_in_any, [hole.first for hole in holes], holes)
    assert not any(map(is_named, offsets))
    lost = {offset for offset in set(given) - set(offsets) if offset < end}
    assert all(map(is_named, lost))
    return lost


def _is_in_any(firsts: list[int], holes: list[Hole], offset: int) -> bool:
    i = bisect_right(firsts, offset) - 1
    return i >= 0 and offset < holes[i].end
