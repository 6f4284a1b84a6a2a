"""Seats: few readers hold what they fetched, in turn, and idle ones give way."""

from __future__ import annotations

from sensord.log.seats import Seats


class Reader:
    """A reader that notes what happens to it."""

    def __init__(self) -> None:
        self.is_reading = False
        self.is_idle = False
        self.seated = 0
        self.dropped = 0

    def sit(self) -> None:
        self.seated += 1

    def drop(self) -> None:
        self.dropped += 1


def ask(seats: Seats, count: int) -> list[Reader]:
    readers = [Reader() for _ in range(count)]
    for reader in readers:
        seats.ask(reader)
    return readers


def test_who_finds_no_seat_waits_in_order() -> None:
    """Each seat that becomes free goes to whoever has waited longest."""
    seats = Seats(2)
    first, second, third, fourth = ask(seats, 4)
    assert [r.seated for r in (first, second, third, fourth)] == [1, 1, 0, 0]
    seats.leave(second)
    assert (third.seated, fourth.seated) == (1, 0)
    seats.leave(fourth)  # from the queue
    seats.leave(first)
    assert (fourth.seated, len(seats)) == (0, 1)


def test_who_has_a_seat_reads_on() -> None:
    """Before those that wait: the seat is its own until it leaves."""
    seats = Seats(1)
    first, second = ask(seats, 2)
    seats.ask(first)
    assert (first.seated, second.seated) == (2, 0)


def test_an_idle_reader_gives_way_only_to_one_that_waits() -> None:
    """And not while it reads: what is on its way would be held without a seat."""
    seats = Seats(1)
    (first,) = ask(seats, 1)
    first.is_idle = first.is_reading = True
    seats.review()
    assert (first.dropped, len(seats)) == (0, 1)
    (second,) = ask(seats, 1)
    assert (first.dropped, second.seated) == (0, 0)
    first.is_reading = False
    seats.review()
    assert (first.dropped, second.seated, len(seats)) == (1, 1, 1)
