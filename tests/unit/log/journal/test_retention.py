"""Age removes what is beyond doubt too old, whatever the clock has said in the meantime."""

from __future__ import annotations

import random

from sensord.log.journal.registry import Sealed
from sensord.log.journal.retention import count_expired
from sensord.log.journal.timeline import ClockRecord, Trust

HOUR = 3600 * 10**6
DAY = 24 * HOUR
NOW = 1_800_000_000 * 10**6
IN_2024 = 1_717_200_000 * 10**6
LIMIT = 30 * DAY


class Board:
    """A board in real time: it boots, its clock is set or not, it records, it loses power."""

    def __init__(self) -> None:
        self.real_us = NOW
        self.records: list[ClockRecord] = []
        self.sealed: list[Sealed] = []
        self.sealed_at: list[int] = []
        self._booted_us = 0
        self._wall_ahead_us = 0
        self._boots = 0

    @property
    def monotonic_us(self) -> int:
        return self.real_us - self._booted_us

    def boot(self, wall_us: int | None = None, trust: Trust = Trust.UNSET) -> None:
        """Begin a boot by a clock that says a time; without one, by the right time."""
        self._booted_us = self.real_us - 10**6
        self._boots += 1
        self.set_clock(self.real_us if wall_us is None else wall_us, trust)

    def set_clock(self, wall_us: int, trust: Trust) -> None:
        self._wall_ahead_us = wall_us - self.real_us
        self._record(trust)

    def _record(self, trust: Trust) -> None:
        wall_us = self.real_us + self._wall_ahead_us
        first = self.sealed[-1].end if self.sealed else 0
        boot = f"boot {self._boots}"
        self.records.append(ClockRecord(first, boot, self.monotonic_us, wall_us, trust))

    def run(self, hours: int) -> None:
        """Seal a segment an hour."""
        for _ in range(hours):
            self.real_us += HOUR
            first = self.sealed[-1].end if self.sealed else 0
            end_us = self.real_us + self._wall_ahead_us
            self.sealed.append(Sealed(first, 10, end_us - HOUR, end_us, end_us, 1000))
            self.sealed_at.append(self.real_us)
            self._record(self.records[-1].trust)

    def rest(self, days: float) -> None:
        """Lie without power."""
        self.real_us += int(days * DAY)

    def expired(self) -> int:
        return count_expired(self.sealed, self.records, self.monotonic_us, LIMIT)

    def too_old(self) -> int:
        """Return how many are older in real time."""
        return sum(self.real_us - at_us > LIMIT for at_us in self.sealed_at)


def test_the_old_ones_go_and_the_new_ones_stay() -> None:
    """From the oldest on, to the segment."""
    board = Board()
    board.boot(trust=Trust.SYNCHRONISED)
    board.run(24 * 40)
    assert board.expired() == board.too_old() == 239


def test_a_clock_that_was_never_set_does_not_hinder_age() -> None:
    """A board that runs all the time knows how long it has run."""
    board = Board()
    board.boot(wall_us=5 * 10**6)
    board.run(24 * 40)
    assert board.expired() == board.too_old() == 239


def test_fourteen_boots_that_begin_in_2024_remove_nothing() -> None:
    """Each is set right after a while, runs an hour and loses power."""
    board = Board()
    for _ in range(14):
        board.boot(wall_us=IN_2024)
        board.run(1)
        board.set_clock(board.real_us, Trust.SYNCHRONISED)
        board.run(1)
        board.rest(days=0.01)
        assert board.expired() == 0
    board.boot(wall_us=IN_2024)
    board.run(2)
    assert board.expired() == 0


def test_fourteen_boots_whose_clock_is_set_by_hand_remove_nothing() -> None:
    """Such a clock makes no segment older, in whatever year it is."""
    board = Board()
    for i in range(14):
        board.boot(wall_us=IN_2024)
        board.run(1)
        board.set_clock(board.real_us + i * 365 * DAY, Trust.SET)
        board.run(1)
    assert board.expired() == 0


def test_a_pause_between_synchronised_clocks_counts() -> None:
    """What was recorded before the pause is as old as it is."""
    board = Board()
    board.boot(trust=Trust.SYNCHRONISED)
    board.run(48)
    board.rest(days=14)
    board.boot(wall_us=IN_2024)
    board.run(1)
    board.rest(days=0.5)
    board.boot(wall_us=IN_2024)
    board.run(2)
    board.set_clock(board.real_us, Trust.SYNCHRONISED)
    board.run(24 * 14)
    assert 0 < board.expired() <= board.too_old() <= board.expired() + 1


def test_what_was_recorded_between_is_as_young_as_it_may_be() -> None:
    """Nobody knows on which side of it the board was off."""
    board = Board()
    board.boot(trust=Trust.SYNCHRONISED)
    board.run(1)
    for _ in range(3):
        board.boot(wall_us=IN_2024)
        board.run(1)
    board.rest(days=14)
    board.boot(trust=Trust.SYNCHRONISED)
    board.run(24 * 17)
    assert board.too_old() == 4
    assert board.expired() == 1


def test_after_a_year_on_a_shelf_the_old_ones_go_when_the_daemon_has_run() -> None:
    """One time server that is wrong must not remove everything."""
    board = Board()
    board.boot(trust=Trust.SYNCHRONISED)
    board.run(24)
    board.rest(days=365)
    board.boot(trust=Trust.SYNCHRONISED)
    board.run(24 * 14)
    assert board.expired() == 0
    board.run(24 * 2)
    assert board.expired() == 24


def test_a_clock_that_jumps_years_ahead_removes_nothing() -> None:
    """However long it stays there, and back again."""
    board = Board()
    board.boot(trust=Trust.SYNCHRONISED)
    board.run(24)
    board.set_clock(NOW + 14 * 365 * DAY, Trust.SET)
    board.run(48)
    board.set_clock(board.real_us, Trust.SYNCHRONISED)
    board.run(24)
    assert board.expired() == 0
    board.run(24 * 30)
    assert board.expired() == board.too_old()


def test_segments_of_before_the_first_record_begin_to_age_with_it() -> None:
    """An older sensord wrote them, or the registry was lost."""
    board = Board()
    board.boot()
    board.run(24)
    del board.records[:]
    board.boot()
    board.run(24 * 30)
    assert board.expired() == 0
    board.run(1)
    assert board.expired() == 24
    assert count_expired(board.sealed, (), board.monotonic_us, LIMIT) == 0


def test_nothing_younger_is_ever_removed() -> None:
    """Whatever clocks say, and however often power is lost."""
    for seed in range(200):
        rng, board = random.Random(seed), Board()
        for _ in range(rng.randint(1, 12)):
            board.boot(wall_us=rng.choice([5 * 10**6, IN_2024, NOW - DAY]))
            board.run(rng.randint(0, 90))
            if rng.random() < 0.7:
                board.set_clock(board.real_us, Trust.SYNCHRONISED)
                board.run(rng.randint(0, 90))
            if rng.random() < 0.3:
                board.set_clock(NOW + rng.randint(-9, 9) * 365 * DAY, Trust.SET)
                board.run(rng.randint(0, 90))
            assert board.expired() <= board.too_old()
            board.rest(days=rng.choice([0.001, 0.1, 3, 40]))
