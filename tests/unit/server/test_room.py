"""When there are too many connections, the oldest that has not said hello gives way."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from sensord.bus import Bus
from sensord.log import Log
from sensord.server.room import CALM_SWEEPS, LEAST, Room, descriptors_left
from tests.unit.manual import ManualClock


class Visitor:
    def __init__(self, room: Room, *, is_announced: bool = False) -> None:
        self.is_announced = is_announced
        self.is_cut = False
        self._room = room
        room.enter(self)

    def abort(self) -> None:
        self.is_cut = True
        self._room.leave(self)


class Hall:
    """A room with its bus."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int, unannounced: int = 1000) -> None:
        self.bus = Bus(Log("e1", 4096), ManualClock())
        self.room = Room(self.bus, unannounced)
        monkeypatch.setattr("sensord.server.room.descriptors_left", lambda spare: most + spare)
        self.room.measure(0)

    @property
    def told(self) -> list[Any]:
        records = [r for piece in self.bus.log.read(0, self.bus.log.tail) for r in piece]
        return [record.reading.value for record in records]


def test_the_oldest_without_hello_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has said hello stays, however old."""
    hall = Hall(monkeypatch, 5)
    first = Visitor(hall.room, is_announced=True)
    others = [Visitor(hall.room) for _ in range(6)]
    assert not first.is_cut
    assert [other.is_cut for other in others] == [True, True, False, False, False, False]


def test_a_new_one_is_cut_where_all_have_said_hello(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions do not give way to whoever comes."""
    hall = Hall(monkeypatch, 5)
    sessions = [Visitor(hall.room, is_announced=True) for _ in range(5)]
    assert Visitor(hall.room).is_cut
    assert not any(session.is_cut for session in sessions)


def test_so_many_may_wait_with_their_hello(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where descriptors are plenty; those that have said it are not counted."""
    hall = Hall(monkeypatch, 1000, unannounced=3)
    sessions = [Visitor(hall.room, is_announced=True) for _ in range(10)]
    others = [Visitor(hall.room) for _ in range(5)]
    assert not any(session.is_cut for session in sessions)
    assert [other.is_cut for other in others] == [True, True, False, False, False]


def test_a_shortage_and_its_end_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the log and under $sys/connections, however many are cut."""
    hall = Hall(monkeypatch, 5)
    for _ in range(3):
        for _ in range(20):
            Visitor(hall.room)
        assert hall.room.sweep()
    assert [value["state"] for value in hall.told] == ["full"]
    assert hall.told[0]["cut"] == 15
    assert [hall.room.sweep() for _ in range(CALM_SWEEPS)][-2:] == [True, False]
    assert [value["state"] for value in hall.told] == ["full", "ok"]


def test_there_is_always_room_for_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody must be able to look what is wrong."""
    hall = Hall(monkeypatch, -50)
    assert not any(visitor.is_cut for visitor in [Visitor(hall.room) for _ in range(LEAST)])


def test_what_is_left_depends_on_the_limit() -> None:
    """What is open already is not left."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 0 < descriptors_left(0) < limit
    assert descriptors_left(10) == descriptors_left(0) - 10
