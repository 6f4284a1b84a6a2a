"""Who is there, away, back and gone, whatever happens in whatever order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import sensord.sharing.presence
from sensord.bus import Bus
from sensord.log import Log
from sensord.sharing.audit import Audit
from sensord.sharing.identity import Identity, Issuer
from sensord.sharing.presence import (
    MAX_WATCHES,
    RETURN_S,
    TELLS_AT_ONCE,
    TELLS_PER_S,
    WATCHES_S,
    Member,
    Presence,
)
from tests.unit.manual import ManualClock, manual_loop
from tests.unit.manual_store import Disk, ManualStore

GRACE_S = 30.0
ISSUER = Issuer(b"s" * 32)


class Session:
    """A client's session, as presence sees it."""

    def __init__(self, *watches: str) -> None:
        self.watches = set(watches)
        self.permissions = ("read", "send")


class Hall:
    """Presence on a bus of its own, that survives restarts."""

    def __init__(self, *, is_published: bool = True) -> None:
        self.disk = Disk()
        self.loop = manual_loop()
        self.clock = ManualClock()
        self.told: list[tuple[str, str]] = []
        """Each event: client and what it did."""
        self.back: list[str] = []
        self.gone: list[str] = []
        self._is_published = is_published
        self._build()

    def _build(self) -> None:
        self.bus = Bus(Log("e", 4096), self.clock)
        self.bus.attach(["$audit/presence"], self)
        self.store = ManualStore(self.disk, self.loop)
        self.presence = Presence(
            self.bus,
            Audit(self.bus),
            ISSUER,
            self.store,
            self.loop,
            GRACE_S,
            is_published=self._is_published,
        )
        self.presence.restore()
        self.presence.on_back.append(lambda identity: self.back.append(identity.id))
        self.presence.on_gone.append(lambda identity: self.gone.append(identity.id))

    def selected(self, channel: object) -> None:
        """Learn of the audit's channel."""

    def push(self, record: Any) -> None:
        value = record.reading.value
        self.told.append((value["subject"], value["result"]))

    def join(
        self,
        session: Session,
        name: str = "",
        key: str | None = None,
        *,
        is_ephemeral: bool = False,
    ) -> Member:
        return self.presence.join(session, name, "host:1", key, is_ephemeral=is_ephemeral)

    def wait(self, seconds: float) -> None:
        self.loop.run_until(self.loop.now + seconds)

    def restart(self) -> None:
        """Stop in order and start again."""
        self.presence.close()
        self.store.close()
        self._again()

    def crash(self) -> None:
        """End in the middle of whatever is done, and start again."""
        self.store.crash()
        self._again()

    def _again(self) -> None:
        now = self.loop.now
        self.loop = manual_loop()
        self.loop.now = now + 5.0
        self._build()

    def places(self) -> dict[int, dict[str, Any]]:
        """Return what stands under ``$sys/clients``."""
        self.loop.settle()
        found = {}
        for channel in self.bus.select(["$sys/clients/+"]):
            record = self.bus.last(channel)
            assert record is not None
            assert isinstance(record.reading.value, dict)
            found[int(channel.topic.rpartition("/")[2])] = record.reading.value
        return found

    def states(self) -> dict[str, str]:
        """Return the state of everybody who is not gone, by id."""
        return {v["id"]: v["state"] for v in self.places().values() if v["state"] != "gone"}


def test_a_client_that_is_there_is_told() -> None:
    """With all that others may want to know."""
    hall = Hall()
    member = hall.join(Session("plant/#"), "Anna")
    hall.presence.watching(member)
    assert hall.places() == {
        1: {
            "id": member.identity.id,
            "name": "Anna",
            "address": "host:1",
            "since_us": hall.clock.now_wall_us,
            "state": "here",
            "watches": ["plant/#"],
            "groups": [],
            "permissions": ["read", "send"],
        }
    }
    assert hall.told == [(member.identity.id, "join")]
    assert hall.presence.find(member.identity.id) is member
    assert len(hall.presence) == 1


def test_what_it_watches_is_told_a_moment_after_it_changed() -> None:
    """Once, however often it changed meanwhile."""
    hall = Hall()
    session = Session()
    member = hall.join(session)
    hall.places()
    tail = hall.bus.log.tail
    for topic in ("b", "a", "c"):
        session.watches.add(topic)
        hall.presence.watching(member)
    session.watches.discard("c")
    hall.presence.watching(member)
    assert hall.places()[1]["watches"] == []
    hall.wait(WATCHES_S)
    assert hall.places()[1]["watches"] == ["a", "b"]
    assert hall.bus.log.tail == tail + 1


def test_what_is_told_of_what_it_watches_is_bounded() -> None:
    """A session may have four thousand filters."""
    hall = Hall()
    member = hall.join(Session(*(f"t/{i:03}" for i in range(200))))
    hall.presence.watching(member)
    assert len(hall.places()[1]["watches"]) == MAX_WATCHES
    assert hall.presence.watchers("t/199") == [member]


def test_a_client_that_leaves_is_away_and_then_gone() -> None:
    """Its place is given to the next one; the id tells them apart."""
    hall = Hall()
    session = Session()
    first = hall.join(session)
    hall.presence.leave(session, first)
    assert hall.places()[1]["state"] == "away"
    hall.wait(GRACE_S - 0.1)
    assert hall.places()[1]["state"] == "away"
    assert hall.gone == []
    hall.wait(0.2)
    assert hall.places()[1]["state"] == "gone"
    assert hall.gone == [first.identity.id]
    assert hall.presence.find(first.identity.id) is None
    second = hall.join(Session())
    assert hall.places()[1]["id"] == second.identity.id != first.identity.id
    assert [what for _, what in hall.told] == ["join", "away", "leave", "join"]


def test_a_client_that_comes_back_in_time_is_the_same() -> None:
    """With what it was called and where it is now; its grace time begins anew when it leaves."""
    hall = Hall()
    session, again = Session(), Session()
    member = hall.join(session, "Anna")
    since_us = member.since_us
    hall.presence.leave(session, member)
    hall.wait(GRACE_S - 1)
    hall.clock.move(1_000_000)
    assert hall.join(again, "Anna B.", member.key) is member
    assert hall.back == [member.identity.id]
    hall.wait(GRACE_S)
    told = hall.places()[1]
    assert (told["state"], told["name"], told["since_us"]) == ("here", "Anna B.", since_us)
    hall.presence.leave(again, member)
    hall.wait(GRACE_S - 1)
    assert hall.states() == {member.identity.id: "away"}
    assert hall.gone == []


def test_a_client_that_comes_back_late_keeps_its_id() -> None:
    """It joins anew, perhaps at another place."""
    hall = Hall()
    session = Session()
    member = hall.join(session)
    hall.presence.leave(session, member)
    hall.wait(GRACE_S + 1)
    again = hall.join(Session(), key=member.key)
    assert again is not member
    assert again.identity.id == member.identity.id
    assert hall.back == []
    assert [what for _, what in hall.told] == ["join", "away", "leave", "join"]


@pytest.mark.parametrize(
    "key",
    ["", "nonsense", "\ud800", Issuer(b"other").issue()],
    ids=["none", "nonsense", "half a character", "of another server"],
)
def test_a_key_that_is_none_makes_a_new_client(key: str) -> None:
    """It gets one."""
    hall = Hall()
    member = hall.join(Session(), key=key)
    assert ISSUER.id_of(member.key) == member.identity.id
    assert member.key != key


def test_two_sessions_may_show_the_same_key() -> None:
    """An old connection may not yet be known to be dead: the client is there until both end."""
    hall = Hall()
    old, new = Session("a"), Session("b")
    member = hall.join(old, "old")
    assert hall.join(new, "new", member.key) is member
    hall.presence.watching(member)
    hall.wait(WATCHES_S)
    assert hall.places()[1]["watches"] == ["a", "b"]
    assert hall.places()[1]["name"] == "new"
    assert member.sessions[old].name == "old"
    hall.presence.leave(new, member)
    told = hall.places()[1]
    assert (told["state"], told["name"], told["watches"]) == ("here", "old", ["a"])
    hall.presence.leave(old, member)
    assert hall.places()[1]["state"] == "away"
    assert [what for _, what in hall.told] == ["join", "away"]


def test_a_session_that_leaves_twice_leaves_once() -> None:
    """The second time it is nobody's."""
    hall = Hall()
    session = Session()
    member = hall.join(session)
    hall.presence.leave(session, member)
    hall.wait(GRACE_S - 1)
    hall.presence.leave(session, member)
    hall.wait(1.1)
    assert hall.states() == {}
    hall.presence.leave(session, member)
    hall.wait(GRACE_S)
    assert [what for _, what in hall.told] == ["join", "away", "leave"]


def test_who_is_away_still_watches_what_it_did() -> None:
    """And so it does for a moment when it is back, until it has subscribed again."""
    hall = Hall()
    session = Session("plant/+")
    member = hall.join(session)
    hall.presence.watching(member)
    assert hall.presence.watchers("plant/a") == [member]
    assert hall.presence.watchers("other") == []
    session.watches.clear()  # as a session that is over
    hall.presence.leave(session, member)
    assert hall.presence.watchers("plant/a") == [member]
    again = Session()
    hall.join(again, key=member.key)
    assert hall.presence.watchers("plant/a") == [member]
    again.watches = {"other"}
    hall.presence.watching(member)
    assert hall.presence.watchers("plant/a") == []
    assert hall.presence.watchers("other") == [member]
    hall.presence.leave(again, member)
    hall.wait(GRACE_S + 1)
    assert hall.presence.watchers("other") == []


def test_who_is_back_and_subscribes_to_nothing_watches_nothing() -> None:
    """After a while."""
    hall = Hall()
    session = Session("plant/+")
    member = hall.join(session)
    hall.presence.watching(member)
    hall.presence.leave(session, member)
    hall.join(Session(), key=member.key)
    hall.wait(RETURN_S + WATCHES_S)
    assert hall.presence.watchers("plant/a") == []
    assert hall.places()[1]["watches"] == []


def test_after_a_restart_nobody_is_there_who_is_not() -> None:
    """Everybody has the grace time to come back, and is the same then."""
    hall = Hall()
    stays, goes, left = Session("a"), Session(), Session()
    one, other, third = hall.join(stays, "one"), hall.join(goes, "other"), hall.join(left, "third")
    hall.presence.watching(one)
    hall.presence.leave(left, third)
    hall.wait(GRACE_S + 1)
    assert set(hall.states()) == {one.identity.id, other.identity.id}
    hall.told.clear()
    hall.restart()
    assert hall.states() == {one.identity.id: "away", other.identity.id: "away"}
    assert {what for _, what in hall.told} == {"away"}
    assert [m.identity.id for m in hall.presence.watchers("a")] == [one.identity.id]
    hall.join(Session(), "one", one.key)
    told = hall.places()[one.place]
    assert (told["state"], told["since_us"]) == ("here", one.since_us)
    hall.wait(GRACE_S)
    assert hall.states() == {one.identity.id: "here"}
    assert hall.told[-1] == (other.identity.id, "leave")
    # Places given back before and after the restart are used again.
    assert {hall.join(Session()).place for _ in range(2)} == {2, 3}


def test_what_was_kept_by_somebody_else_is_left_out() -> None:
    """A newer version, or a hand."""
    hall = Hall()
    one = hall.join(Session())
    hall.restart()
    good = hall.disk.entries["client", one.identity.id]
    hall.disk.entries |= {
        ("client", "a"): "7",
        ("client", "b"): '{"name": "b"}',
        ("client", "c"): good,  # a place that is taken
        ("client", "d"): good.replace('"place": 1', '"place": -1'),
        ("client", "e"): good.replace('"place": 1', '"place": 1000000000'),
    }
    hall.restart()
    assert hall.states() == {one.identity.id: "away"}
    hall.store.commit()
    assert set(hall.disk.kind("client")) == {one.identity.id}


def test_a_brief_client_is_gone_with_its_last_connection() -> None:
    """It leaves no row behind and its place is free; what it held is let go at once."""
    hall = Hall()
    one, other = Session(), Session("plant/#")
    member = hall.join(one, "put", is_ephemeral=True)
    assert hall.join(other, "put", member.key, is_ephemeral=True) is member
    hall.presence.leave(one, member)
    assert hall.states() == {member.identity.id: "here"}
    hall.presence.leave(other, member)
    assert (hall.states(), hall.gone) == ({}, [member.identity.id])
    assert hall.told == [(member.identity.id, "join"), (member.identity.id, "leave")]
    assert hall.presence.watchers("plant/a") == []
    assert hall.join(Session(), "next").place == member.place
    hall.wait(0.1)
    assert member.identity.id not in hall.disk.kind("client")


@pytest.mark.parametrize("ends", ["restart", "crash"])
def test_a_brief_client_is_gone_after_a_restart(ends: str) -> None:
    """Others see that it has left."""
    hall = Hall()
    member = hall.join(Session(), "put", is_ephemeral=True)
    hall.loop.settle()
    getattr(hall, ends)()
    assert hall.states() == {}
    assert hall.told[-1] == (member.identity.id, "leave")
    assert [value["state"] for value in hall.places().values()] == ["gone"]
    assert hall.join(Session(), "next").place == member.place


def test_ten_thousand_clients_that_come_and_go_leave_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Topics, members, timers and rows are those of the most who were there at a time."""
    monkeypatch.setattr(sensord.sharing.presence, "MAX_AWAY", 100)
    hall = Hall()
    for number in range(10_000):
        session = Session(f"plant/{number}")
        member = hall.join(session, str(number))
        hall.presence.watching(member)
        hall.presence.leave(session, member)
        if number % 10 == 0:
            hall.wait(0.01)
    assert len(hall.presence) == 100
    assert len(hall.places()) <= 101
    hall.wait(GRACE_S + 1)
    assert len(hall.presence) == 0
    assert hall.states() == {}
    assert hall.disk.kind("client") == {}
    assert len(hall.gone) == 10_000
    assert not hall.presence._watching._root.children
    assert hall.loop.next_timer is None


def test_presence_that_is_not_published_works_the_same() -> None:
    """Nothing is told, and a client is the same again after a restart."""
    hall = Hall(is_published=False)
    member = hall.join(Session(), "Anna")
    hall.loop.settle()
    hall.restart()
    hall.loop.settle()
    again = hall.presence.find(member.identity.id)
    assert again is not None
    assert again.state == "away"
    assert hall.bus.log.tail == 0
    hall.wait(GRACE_S + 1)
    assert hall.gone == [member.identity.id]


class Coming(RuleBasedStateMachine):
    """Clients come with keys and without, leave, wait, and see restarts and crashes."""

    def __init__(self) -> None:
        super().__init__()
        self.hall = Hall()
        self.keys: list[str] = []
        self.open: list[tuple[str, Session, Member]] = []
        self.deadlines: dict[str, float] = {}
        """When those who are away are gone."""
        self.ephemeral: set[str] = set()

    @rule(watches=st.sets(st.sampled_from(["a", "b/#", "+"])), is_ephemeral=st.booleans())
    def come(self, watches: set[str], *, is_ephemeral: bool) -> None:
        session = Session(*watches)
        member = self.hall.join(session, "new", is_ephemeral=is_ephemeral)
        if is_ephemeral:
            self.ephemeral.add(member.identity.id)
        assert member.key not in self.keys
        self.keys.append(member.key)
        self.open.append((member.identity.id, session, member))

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def come_again(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.keys))
        client = key.partition(".")[0]
        session = Session()
        member = self.hall.join(session, "again", key)
        assert member.identity == Identity(client, "again", "host:1")
        self.ephemeral.discard(client)
        self.deadlines.pop(client, None)
        self.open.append((client, session, member))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        client, session, member = self.open.pop(
            data.draw(st.integers(0, len(self.open) - 1), label="which")
        )
        self.hall.presence.leave(session, member)
        if client not in {other for other, _, _ in self.open} | self.ephemeral:
            self.deadlines[client] = self.hall.loop.now + GRACE_S

    @rule(seconds=st.sampled_from([0.0, 0.05, 1.0, 10.0, GRACE_S, 2 * GRACE_S]))
    def wait(self, seconds: float) -> None:
        self.hall.wait(seconds)
        now = self.hall.loop.now
        self.deadlines = {c: when for c, when in self.deadlines.items() if when > now}

    @rule(in_order=st.booleans())
    def restart(self, *, in_order: bool) -> None:
        self.hall.loop.settle()
        if in_order:
            self.hall.restart()
        else:
            self.hall.crash()
        known = {*self.deadlines, *(client for client, _, _ in self.open)} - self.ephemeral
        self.open.clear()
        self.deadlines = dict.fromkeys(known, self.hall.loop.now + GRACE_S)

    @invariant()
    def everybody_stands_as_what_he_is(self) -> None:
        here = {client for client, _, _ in self.open}
        expected = dict.fromkeys(here, "here") | dict.fromkeys(self.deadlines, "away")
        assert self.hall.states() == expected
        kept = {client: value["state"] for client, value in self.hall.disk.kind("client").items()}
        assert kept == expected

    @invariant()
    def everybody_has_a_place_of_his_own(self) -> None:
        held = [value["id"] for value in self.hall.places().values() if value["state"] != "gone"]
        assert len(held) == len(set(held))

    def teardown(self) -> None:
        after = {
            "": {"join"},
            "join": {"away", "leave"},
            "away": {"away", "back", "leave"},  # away again: a restart
            "back": {"away", "leave"},
            "leave": {"join"},
        }
        last: dict[str, str] = {}
        for client, what in self.hall.told:
            assert what in after[last.get(client, "")], self.hall.told
            last[client] = what
        self.hall.presence.close()
        assert self.hall.loop.next_timer is None


TestComing = Coming.TestCase
TestComing.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def told_of(hall: Hall) -> list[Any]:
    """Return every value that was published of clients, and what it takes to have it."""
    found: list[Any] = []

    class Sink:
        def selected(self, channel: object) -> None:
            """Learn of a channel."""

        def push(self, record: Any) -> None:
            found.append(record.reading.value)

    hall.bus.attach(["$sys/clients/#"], Sink())
    return found


def test_who_comes_and_goes_all_day_fills_no_disk() -> None:
    """A few are told each second, each as it is then."""
    hall = Hall()
    told = told_of(hall)
    for _ in range(30):
        for _ in range(50):
            session = Session()
            member = hall.join(session, is_ephemeral=True)
            hall.loop.settle()
            hall.presence.leave(session, member)
            hall.loop.settle()
        hall.wait(1.0)
    assert TELLS_AT_ONCE < len(told) <= TELLS_AT_ONCE + 31 * TELLS_PER_S
    last = Session()
    member = hall.join(last, "last")
    hall.wait(200.0)
    assert told[-1]["id"] == member.identity.id
    assert sorted(hall.states()) == [member.identity.id]  # everybody told of is told to be gone
    assert len(hall.presence) == 1
    hall.presence.close()
    hall.store.close()
    assert [row["name"] for row in hall.disk.kind("client").values()] == ["last"]
