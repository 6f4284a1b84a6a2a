"""Which offsets are pending: each until it is acknowledged, none for longer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensord.uplinks.progress import MOST_RANGES, Progress, Range


def test_what_accumulates_during_an_outage_comes_behind_the_live_readings() -> None:
    """And is acknowledged from its start."""
    progress = Progress(10)
    assert (progress.pending(25), progress.oldest) == (15, 10)
    progress.set_behind(25)
    progress.set_behind(25)
    assert (progress.live, progress.behind) == (25, [Range(10, 25)])
    progress.delivered(30)
    progress.delivered_behind(20)
    assert (progress.pending(30), progress.oldest) == (5, 20)
    progress.delivered_behind(25)
    assert (progress.pending(30), progress.oldest, progress.behind) == (0, 30, [])


def test_a_saved_progress_is_read_again() -> None:
    """With the epoch of its log."""
    progress = Progress(30, [Range(1, 5), Range(7, 9)])
    assert Progress.read(progress.write("e1")) == ("e1", progress)


def test_a_damaged_progress_is_none() -> None:
    """So that nothing is left out by mistake."""
    for value in (
        None,
        5,
        {},
        {"epoch": "e", "live": -1, "behind": []},
        {"epoch": "e", "live": 5, "behind": [[3, 3]]},
        {"epoch": "e", "live": 5, "behind": [[3, 9]]},
        {"epoch": "e", "live": 5, "behind": [7]},
        {"epoch": 1, "live": 5, "behind": []},
    ):
        assert Progress.read(value) is None  # type: ignore[arg-type]  # any JSON may stand there


ACTS = st.lists(
    st.tuples(st.sampled_from(["grow", "away", "live", "behind"]), st.integers(1, 9)), max_size=300
)


@given(ACTS)
def test_every_offset_is_acknowledged_or_pending(acts: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order; ranges stay bounded."""
    progress, tail, done = Progress(0), 0, set[int]()
    for act, count in acts:
        if act == "grow":
            tail += count
        elif act == "away":
            progress.set_behind(tail)
        elif act == "live":
            stop = min(tail, progress.live + count)
            done |= set(range(progress.live, stop))
            progress.delivered(stop)
        elif progress.behind:
            first = progress.behind[0]
            stop = min(first.stop, first.start + count)
            done |= set(range(first.start, stop))
            progress.delivered_behind(stop)
        pending = set(range(progress.live, tail))
        for one in progress.behind:
            pending |= set(range(one.start, one.stop))
        assert pending | done >= set(range(tail))
        assert len(progress.behind) <= MOST_RANGES


def test_very_many_outages_cost_bounded_memory_and_lose_nothing() -> None:
    """The newest ranges become one."""
    progress = Progress(0)
    for i in range(200):
        progress.delivered(10 * i + 5)
        progress.set_behind(10 * i + 10)
    assert len(progress.behind) == MOST_RANGES
    assert progress.behind[-1].stop == 2000
