"""Thinning over pieces of the log: how it is cut never shows."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from sensord.model.readings import Channel, Kind, Metadata, Reading, Record
from sensord.uplinks.windows import Windows

STATES = [Channel(0, "a", Metadata()), Channel(1, "b", Metadata())]
EVENT = Channel(2, "c", Metadata(kind=Kind.EVENT))

ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 400_000)), max_size=60)
CUTS = st.lists(st.integers(0, 60), max_size=8)


def records(rows: list[tuple[int, int]]) -> list[Record]:
    """Make readings some time apart."""
    found, now_us = [], 0
    for offset, (which, step_us) in enumerate(rows):
        now_us += step_us
        channel = [*STATES, EVENT][which]
        found.append(Record(offset, now_us, channel, Reading(now_us, float(offset))))
    return found


@given(ROWS, CUTS)
def test_each_period_gives_the_newest_of_each_state_and_every_event(
    rows: list[tuple[int, int]], cuts: list[int]
) -> None:
    """Wherever the log is cut into pieces; the position never passes what is held."""
    all_of = records(rows)
    windows = Windows(1.0, 0.0)
    windows.begin(is_single=False)
    sent: list[Record] = []
    bounds = [0, *sorted(cuts), len(all_of)]
    for start, stop in itertools.pairwise(bounds):
        sent += windows.add(all_of[start:stop])
        position = min(stop, len(all_of)) if windows.start is None else windows.start
        due = {one.offset for one in expected(all_of) if one.offset < position}
        assert due <= {one.offset for one in sent}
    sent += windows.end()
    assert sorted(sent) == expected(all_of)


def expected(all_of: list[Record]) -> list[Record]:
    last = {(one.channel.number, one.log_us // 1_000_000): one for one in all_of}
    return sorted(one for one in all_of if one.channel is EVENT or one in last.values())


def test_what_came_in_one_turn_is_one_period_whatever_the_clock_shows() -> None:
    """Turns are a period apart."""
    windows = Windows(1.0, 0.0)
    windows.begin(is_single=True)
    rows = records([(0, 900_000), (0, 200_000), (0, 300_000)])
    assert windows.add(rows) == []
    assert windows.start == 0
    assert windows.end() == [rows[2]]
    assert windows.start is None


def test_a_deadband_alone_holds_nothing_back() -> None:
    """What is within it is withheld at once."""
    windows = Windows(0.0, 2.5)
    windows.begin(is_single=True)
    rows = records([(0, 10)] * 7)
    assert [one.offset for one in windows.add(rows)] == [0, 3, 6]
    assert windows.start is None
    assert windows.end() == []
