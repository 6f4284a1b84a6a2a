"""What a subscription brought, as readings of a recording."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sensord.model.readings import Channel, Metadata, Position, Quality, Reading, Record
from sensord.recordings.transcript import TRAVEL_US, TimedReading, Transcript

NOW_US = 1_700_000_000_000_000
A, B = Channel(3, "a", Metadata(unit="V")), Channel(70_000, "b", Metadata())


def told(*times: int) -> list[TimedReading]:
    return [(A, Reading(time_us, float(i)), time_us) for i, time_us in enumerate(times)]


def taken(
    transcript: Transcript,
    rows: list[TimedReading],
    offset: int | None,
    *,
    epoch: str = "e",
    is_live: bool = True,
    now_us: int = NOW_US,
) -> list[Record]:
    position = None if offset is None else Position(epoch, offset)
    return transcript.batch(rows, position, now_us, is_live=is_live).records()


def test_readings_stand_as_they_were_told() -> None:
    """Channel, value, quality, time and whether they restate."""
    readings = [
        (A, Reading(NOW_US - 5, 1.5), NOW_US - 5),
        (B, Reading(NOW_US - 9, None, Quality(2, "gone"), True), NOW_US - 4),  # type: ignore[arg-type]  # a level
        (A, Reading(-7, "text"), NOW_US - 3),
    ]
    records = taken(Transcript(), readings, 10)
    assert [(r.channel, r.reading) for r in records] == [
        (A, readings[0][1]),
        (B, readings[1][1]),
        (A, Reading(0, "text")),
    ]
    assert [r.offset for r in records] == [7, 8, 9]
    assert [r.log_us for r in records] == [NOW_US - 5, NOW_US - 4, NOW_US - 3]


def test_a_live_reading_with_a_clock_of_its_own_was_logged_when_it_came() -> None:
    """Be it behind by years or ahead."""
    wrong = told(NOW_US - TRAVEL_US - 1, 0, NOW_US + 1, NOW_US - 1)
    assert [r.log_us for r in taken(Transcript(), wrong, 4)] == [NOW_US] * 4


def test_an_old_reading_was_logged_when_it_was_told() -> None:
    """But not before the one in front of it; a clock that is ahead says nothing."""
    rows = told(100, 50, NOW_US + 1, 101)
    logged = [r.log_us for r in taken(Transcript(), rows, 4, is_live=False)]
    assert logged == [100, 100, 100, 101]


def test_another_log_begins_with_its_own_offsets() -> None:
    """And last values, which have none, are counted on."""
    transcript = Transcript()
    taken(transcript, told(1, 2), 1000)
    assert [r.offset for r in taken(transcript, told(3), None)] == [1000]
    assert [r.offset for r in taken(transcript, told(4, 5), 7, epoch="f")] == [5, 6]
    transcript.passed(Position("f", 20))
    assert transcript.next_offset == 20


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.integers(0, 3), st.booleans(), st.integers(-(10**7), 10**7))
    )
)
def test_offsets_and_log_times_only_rise(frames: list[tuple[int, int, bool, int]]) -> None:
    """And no offset reaches the cursor behind its frame."""
    transcript, cursor, now_us = Transcript(), 0, NOW_US
    records: list[Record] = []
    for count, others, is_live, ago_us in frames:
        cursor += count + others
        now_us += 1000
        rows = told(*[now_us - ago_us] * count)
        found = taken(transcript, rows, cursor, is_live=is_live, now_us=now_us)
        assert found[-1].offset == cursor - 1
        records += found
    offsets = [record.offset for record in records]
    assert offsets == sorted(set(offsets))
    assert [r.log_us for r in records] == sorted(r.log_us for r in records)
