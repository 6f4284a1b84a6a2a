"""The log in memory is a list of which the old end is forgotten, block by block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.log import memory
from sensord.log.memory import MANY_WAITING, Log
from sensord.model.readings import Channel, Metadata, Position, Reading, Record, ValueType

BLOCK = 4
REMEMBERED = 2

CHANNELS = [Channel(i, f"t{i}", Metadata()) for i in range(3)]
ANY_SIZE = Channel(3, "t3", Metadata(ValueType.JSON))


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    """A few records fill a block, and a few blocks all that is remembered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "BLOCK", BLOCK)
        patch.setattr(memory, "REMEMBERED", REMEMBERED)
        patch.setattr(memory, "RECORD_BYTES", 1000)
        yield


class Both:
    """A log and the list of all that was ever appended."""

    def __init__(self, capacity: int = 8, first: int = 0) -> None:
        self.log = Log("e1", capacity, first)
        self.first = first
        self.all: list[Record] = []
        self.blocks = max(2, -(-capacity // BLOCK))

    def append(self, channel: int = 0, log_us: int = 0) -> None:
        record = Record(self.log.tail, log_us, CHANNELS[channel], Reading(0, None))
        self.log.append(record)
        self.all.append(record)

    def between(self, start: int, stop: int) -> list[Record]:
        return [r for r in self.all if start <= r.offset < stop]


one = st.tuples(st.integers(0, 2), st.integers(0, 12))
appended = st.lists(one, max_size=12) | st.lists(one, min_size=25, max_size=60)
boths = st.tuples(st.integers(1, 24), st.sampled_from([0, 1000]))


def filled(told: tuple[int, int], records: list[tuple[int, int]], *, is_steady: bool) -> Both:
    both = Both(*told)
    if is_steady:
        times = sorted(log_us for _, log_us in records)
        records = [(channel, at) for (channel, _), at in zip(records, times, strict=True)]
    for channel, log_us in records:
        both.append(channel, log_us)
    return both


def test_a_new_log_is_empty() -> None:
    """It begins at the offset that it was given."""
    log = Log("e1", 1024, 100)
    assert (log.first, log.tail, log.position) == (100, 100, Position("e1", 100))
    assert log.first_us() is None
    assert list(log.read(0, 1000)) == []
    assert log.offset_at(0) == 100


@given(boths, appended)
def test_a_log_holds_as_many_as_it_should_and_little_more(
    told: tuple[int, int], records: list[tuple[int, int]]
) -> None:
    """At least all but a block of its capacity, and never more than its blocks."""
    both = filled(told, records, is_steady=False)
    log, held = both.log, both.log.tail - both.log.first
    assert log.tail == both.first + len(records)
    assert held <= both.blocks * BLOCK
    assert held >= min(len(records), (both.blocks - 1) * BLOCK)
    assert log.first_us() == (both.between(log.first, log.tail)[0].log_us if held else None)


@given(boths, appended, st.data())
def test_reading_gives_what_is_held_in_order(
    told: tuple[int, int], records: list[tuple[int, int]], data: st.DataObject
) -> None:
    """In pieces of at most a block; what is not held is left out."""
    both = filled(told, records, is_steady=False)
    offsets = st.integers(both.first - 2, both.log.tail + 2)
    start, stop = data.draw(offsets), data.draw(offsets)
    pieces = list(both.log.read(start, stop))
    assert all(1 <= len(piece) <= BLOCK for piece in pieces)
    assert [r for piece in pieces for r in piece] == both.between(max(start, both.log.first), stop)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.integers(8, 24))
def test_reading_goes_on_while_the_old_end_is_dropped(gaps: list[int], capacity: int) -> None:
    """What was dropped between two pieces is left out; nothing comes twice or out of order."""
    both = Both(capacity)
    for _ in range(capacity):
        both.append()
    read: list[Record] = []
    steps = iter(gaps)
    for piece in both.log.read(0, 10**9):
        assert piece[0].offset >= both.log.first
        read += piece
        for _ in range(next(steps, 0)):
            both.append()
    offsets = [record.offset for record in read]
    assert offsets == sorted(set(offsets))
    assert offsets[-1] == capacity - 1 or both.log.first >= capacity


@given(boths, appended, st.data())
def test_what_was_lost_is_counted_by_channel_as_long_as_it_is_remembered(
    told: tuple[int, int], records: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Beyond that the offsets are known and the counts are not."""
    both = filled(told, records, is_steady=False)
    log = both.log
    start = data.draw(st.integers(both.first - 2, log.tail + 2))
    lost = log.gap(start)
    if start >= log.first:
        assert lost is None
        return
    assert lost is not None
    assert (lost.start, lost.stop) == (start, log.first)
    remembered = log.first - both.blocks * REMEMBERED * BLOCK
    if start < max(remembered, both.first):
        assert lost.counts is None
    else:
        wanted = Counter(r.channel.number for r in both.between(start, log.first))
        assert lost.counts == wanted


@given(boths, appended, st.integers(-1, 13))
def test_an_offset_is_found_by_its_time(
    told: tuple[int, int], records: list[tuple[int, int]], log_us: int
) -> None:
    """The first record held that was logged then or later; without one it is the tail."""
    both = filled(told, records, is_steady=True)
    held = both.between(both.log.first, both.log.tail)
    wanted = next((r.offset for r in held if r.log_us >= log_us), both.log.tail)
    assert both.log.offset_at(log_us) == wanted


@given(boths, appended, st.integers(-1, 13))
def test_after_the_clock_stepped_back_one_such_record_is_found(
    told: tuple[int, int], records: list[tuple[int, int]], log_us: int
) -> None:
    """There may be several places; none of them is before that time."""
    both = filled(told, records, is_steady=False)
    held = both.between(both.log.first, both.log.tail)
    found = both.log.offset_at(log_us)
    if found == both.log.tail:
        assert not any(r.log_us >= log_us for r in held[-1:])
    else:
        assert both.all[found - both.first].log_us >= log_us


def test_a_full_block_is_announced_before_anything_is_dropped() -> None:
    """Whoever records the log can take what is about to leave the memory."""
    both = Both(capacity=8)
    told: list[tuple[int, int]] = []
    both.log.on_block = lambda: told.append((both.log.first, both.log.tail))
    for _ in range(13):
        both.append()
    assert told == [(0, 4), (0, 8), (4, 12)]


@given(boths, st.lists(st.lists(one, max_size=11), max_size=8))
def test_several_at_once_are_the_same_as_one_after_the_other(
    told: tuple[int, int], portions: list[list[tuple[int, int]]]
) -> None:
    """Full blocks are announced and old ones dropped at the same offsets."""
    one_by_one, at_once = Both(*told), Both(*told)
    announced: tuple[list[Any], list[Any]] = ([], [])
    for both, blocks in zip((one_by_one, at_once), announced, strict=True):
        log = both.log
        log.on_block = partial(
            lambda log, blocks: blocks.append((log.first, log.tail)), log, blocks
        )
    for portion in portions:
        made = len(one_by_one.all)
        for channel, log_us in portion:
            one_by_one.append(channel, log_us)
        records = one_by_one.all[made:]
        at_once.log.extend(records)
        at_once.all += records
    assert announced[0] == announced[1]
    for log in (one_by_one.log, at_once.log):
        assert log.tail == one_by_one.first + len(one_by_one.all)
    assert list(at_once.log.read(0, 10**9)) == list(one_by_one.log.read(0, 10**9))
    assert at_once.log.gap(told[1]) == one_by_one.log.gap(told[1])


def test_another_epoch_leaves_the_offsets_as_they_are() -> None:
    """Both names are known then."""
    both = Both()
    both.append()
    both.log.renew_epoch("e2")
    both.append()
    assert both.log.position == Position("e2", 2)
    assert both.log.epochs == {"e1", "e2"}


@given(
    st.integers(8, 24),
    st.lists(st.lists(st.integers(0, 12_000), max_size=6), max_size=20),
    st.data(),
)
def test_heavy_values_make_the_ring_shorter_and_lose_nothing_unnamed(
    capacity: int, pieces: list[list[int]], data: st.DataObject
) -> None:
    """The bytes are bounded as the records are; what is held can be read, what is not is told."""
    log, everything = Log("e1", capacity), list[Record]()
    blocks = []
    log.on_block = lambda: blocks.append(log.tail)
    for sizes in pieces:
        records = [
            Record(log.tail + i, 0, ANY_SIZE if size else CHANNELS[0], Reading(0, "x" * size))
            for i, size in enumerate(sizes)
        ]
        log.extend(records)
        everything += records
    assert log.tail == len(everything)
    held = everything[log.first :]
    bound = max(2, -(-capacity // BLOCK)) * BLOCK * 1000
    # The block that is being filled, and the one before, stay however heavy they are.
    newest = log._starts[-2] if len(log._starts) > 1 else log.first
    weights = [len(str(record.reading.value)) for record in held]
    assert sum(weights[: newest - log.first]) <= bound
    start = data.draw(st.integers(0, log.tail))
    read = [r for piece in log.read(start, log.tail) for r in piece]
    assert read == everything[max(start, log.first) :]
    lost = log.gap(start)
    assert (lost is None) is (start >= log.first)
    if lost is not None and lost.counts is not None:
        assert lost.counts.total() == log.first - start
    assert blocks == sorted(set(blocks))


def test_who_waits_for_the_log_to_be_kept_is_called_by_who_keeps_it() -> None:
    """In order; where nothing keeps it, at once; and when many wait it is asked for."""
    log, called, asked = Log("e1", 1024), [], []
    log.when_kept(lambda: called.append("at once"))
    log.on_many_waiting = lambda: asked.append(len(called))
    for i in range(MANY_WAITING + 1):
        log.when_kept(lambda i=i: called.append(i))  # type: ignore[misc]  # bound now
    assert (called, asked) == (["at once"], [1])
    for act in log.take_waiting():
        act()
    assert called == ["at once", *range(MANY_WAITING + 1)]
    assert log.take_waiting() == []
