"""Shared state loses no update, whoever writes when, and outlives the process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensord.bus import Bus
from sensord.errors import ProtocolError
from sensord.log import Log
from sensord.model.readings import Value
from sensord.sharing import state as module
from sensord.sharing.audit import Audit
from sensord.sharing.identity import Identity
from sensord.sharing.state import Change, Outcome, State
from sensord.sharing.store import Done, Store, StoreError
from tests.kit.loops import on_each_loop
from tests.unit.manual import ManualClock, ManualLoop, manual_loop

ANNA = Identity("a1", "Anna")
BERT = Identity("b2", "Bert")


class Disk:
    """A store that brings changes to the disk when the test says so, or fails to."""

    is_durable = True

    def __init__(self) -> None:
        self.kinds: dict[str, dict[str, Value]] = {}
        self.refuses = False
        self._waiting: list[tuple[str, str, Value, bool, Done | None]] = []

    def load(self, kind: str) -> dict[str, Value]:
        return dict(self.kinds.get(kind, {}))

    def put(self, kind: str, key: str, value: Value, done: Done | None = None) -> None:
        self._add(kind, key, value, done, deletes=False)

    def delete(self, kind: str, key: str, done: Done | None = None) -> None:
        self._add(kind, key, None, done, deletes=True)

    def _add(self, kind: str, key: str, value: Value, done: Done | None, *, deletes: bool) -> None:
        if self.refuses:
            raise StoreError("too much waits")
        self._waiting.append((kind, key, value, deletes, done))

    def write(self, error: Exception | None = None) -> bool:
        """Write what waits; tell whether there was anything."""
        waiting, self._waiting = self._waiting, []
        for kind, key, value, deletes, done in waiting:
            if error is None and deletes:
                del self.kinds[kind][key]
            elif error is None:
                self.kinds.setdefault(kind, {})[key] = value
            if done is not None:
                done(error)
        return bool(waiting)


class Desk:
    """Shared state over a disk, and what was answered."""

    def __init__(self, disk: Disk | None = None, *, max_entries: int = 10) -> None:
        self.disk = disk or Disk()
        self.clock = ManualClock()
        self.bus = Bus(Log("e", 4096), self.clock)
        self.state = State(self.bus, Audit(self.bus), self.disk, max_entries)  # type: ignore[arg-type]  # as it sees it
        self.state.restore()

    def put(
        self, topic: str, value: Value, version: int | None = None, **more: Any
    ) -> list[Outcome]:
        """Ask for a change; the outcome is in the list when there is one."""
        told: list[Outcome] = []
        who = more.pop("who", ANNA)
        self.state.change(Change(topic, who, version, told.append, value, **more))
        return told

    def delete(self, topic: str, version: int | None = None) -> list[Outcome]:
        return self.put(topic, None, version, deletes=True)

    def kept(self, topic: str, value: Value, version: int | None = None) -> int:
        """Write and let it come to the disk; return the new version."""
        told = self.put(topic, value, version)
        self.disk.write()
        (outcome,) = told
        assert isinstance(outcome, int)
        return outcome

    def published(self, topic: str) -> list[Any]:
        """Return the values that were published under a topic."""
        return [
            record.reading.value
            for part in self.bus.log.read(0, self.bus.log.tail)
            for record in part
            if record.channel.topic == topic
        ]


def refusal(told: list[Outcome]) -> ProtocolError:
    (outcome,) = told
    assert isinstance(outcome, ProtocolError)
    return outcome


def test_what_is_written_is_published_when_it_is_on_the_disk() -> None:
    """Not before: whoever sees it can rely on it."""
    desk = Desk()
    told = desk.put("state/a", {"x": 1})
    assert told == []
    assert desk.published("state/a") == []
    desk.disk.write()
    (version,) = told
    assert desk.published("state/a") == [
        {"version": version, "value": {"x": 1}, "by": {"id": "a1", "name": "Anna"}}
    ]


def test_of_two_that_start_from_the_same_version_the_second_is_refused() -> None:
    """And is shown what stands instead, also if both asked before the first was on the disk."""
    desk = Desk()
    version = desk.kept("state/a", 1)
    first, second = desk.put("state/a", 2, version), desk.put("state/a", 3, version, who=BERT)
    desk.disk.write()
    assert isinstance(first[0], int)
    conflict = refusal(second)
    assert conflict.code == "conflict"
    assert conflict.present == {
        "version": first[0],
        "value": 2,
        "by": {"id": "a1", "name": "Anna"},
    }


def test_version_0_means_that_there_is_none() -> None:
    """Made once, by one of those who try."""
    desk = Desk()
    assert desk.kept("state/a", 1, 0)
    assert refusal(desk.put("state/a", 2, 0)).code == "conflict"
    assert refusal(desk.put("state/b", 2, 7)).present == {"version": 0}


def test_versions_rise_through_deletions_and_clocks_that_go_back() -> None:
    """A version names one value for ever."""
    desk = Desk()
    first = desk.kept("state/a", 1)
    told = desk.delete("state/a", first)
    desk.disk.write()
    (deleted,) = told
    desk.clock.now_wall_us -= 10**9
    last = desk.kept("state/a", 1, 0)
    assert isinstance(deleted, int)
    assert first < deleted < last
    assert desk.published("state/a")[1] == {
        "version": deleted,
        "deleted": True,
        "by": {"id": "a1", "name": "Anna"},
    }


def test_what_is_not_there_cannot_be_deleted() -> None:
    """Nor what is another version by now."""
    desk = Desk()
    assert refusal(desk.delete("state/a")).code == "not_found"
    desk.kept("state/a", 1)
    assert refusal(desk.delete("state/a", 7)).code == "conflict"


def test_a_disk_that_fails_changes_nothing() -> None:
    """The old value stands, and those who wait are tried after it."""
    desk = Desk()
    version = desk.kept("state/a", 1)
    first, second = desk.put("state/a", 2), desk.put("state/a", 3, version)
    desk.disk.write(StoreError("disk is full"))
    assert refusal(first).code == "unavailable"
    desk.disk.write()
    assert isinstance(second[0], int)
    assert [value["value"] for value in desk.published("state/a")] == [1, 3]
    desk.disk.refuses = True
    assert refusal(desk.put("state/a", 4)).code == "unavailable"
    desk.disk.refuses = False
    assert desk.kept("state/a", 5, second[0])


def test_there_are_bounds() -> None:
    """On states, on topics ever used, on waiting changes and on values."""
    desk = Desk(max_entries=2)
    desk.kept("state/a", 1)
    desk.kept("state/b", 1)
    assert refusal(desk.put("state/c", 1)).code == "too_many"
    desk.kept("state/a", 2)
    for _ in range(module.MAX_WAITING):
        desk.put("state/a", 1)
    with pytest.raises(ProtocolError, match="too_many"):
        desk.put("state/a", 1)
    while desk.disk.write():
        pass
    entry = desk.state.find("state/b")
    assert entry is not None
    desk.delete("state/b")
    desk.disk.write()
    for number in range(2 * module.TOPICS_PER_ENTRY - 2):
        desk.kept(f"state/{number}", 1)
        desk.delete(f"state/{number}")
        desk.disk.write()
    assert refusal(desk.put("state/one too many", 1)).code == "forbidden"
    assert desk.kept("state/b", 1) > entry.version
    desk = Desk()
    desk.bus.claim("state/device")
    assert refusal(desk.put("state/device", 1)).code == "forbidden"


def test_what_is_refused_leaves_nothing() -> None:
    """No topic, and no place among those that may be used."""
    desk = Desk(max_entries=1)
    for number in range(2 * module.TOPICS_PER_ENTRY):
        assert refusal(desk.put(f"state/{number}", 1, 7)).code == "conflict"
        assert refusal(desk.delete(f"state/{number}")).code == "not_found"
        assert desk.bus.find(f"state/{number}") is None
    assert desk.kept("state/a", 1)


@pytest.mark.parametrize(
    "value", [float("nan"), 2**64, {1: 2}, "\ud800", b"x", "x" * module.MAX_VALUE_BYTES]
)
def test_what_cannot_be_kept_is_refused(value: Any) -> None:
    """Before anything changes."""
    desk = Desk()
    with pytest.raises(ProtocolError, match="bad_request"):
        desk.put("state/a", value)
    assert desk.kept("state/a", None, 0)


def test_after_a_restart_it_stands_as_it_was() -> None:
    """With its version and its time, as something said again."""
    desk = Desk()
    version = desk.kept("state/a", [1, None])
    desk.disk.kinds["state"]["state/damaged"] = {"version": "?"}
    again = Desk(desk.disk)
    entry = again.state.find("state/a")
    assert entry is not None
    assert (entry.version, entry.value, len(again.state)) == (version, [1, None], 1)
    channel = again.bus.find("state/a")
    assert channel is not None
    record = again.bus.last(channel)
    assert record is not None
    assert record.reading.restates
    assert record.reading.time_us == version
    assert again.kept("state/a", 2, version) > version


@on_each_loop
async def test_the_real_store_keeps_it(tmp_path: Path) -> None:
    """From one process to the next."""
    loop = asyncio.get_running_loop()
    for number in range(3):
        store = Store(tmp_path, loop)
        store.open()
        bus = Bus(Log("e", 4096), ManualClock())
        state = State(bus, Audit(bus), store, 10)
        state.restore()
        entry = state.find("state/a")
        assert (entry.value if entry else None) == (number or None)
        over: asyncio.Future[Outcome] = loop.create_future()
        expected = entry.version if entry else 0
        state.change(Change("state/a", ANNA, expected, over.set_result, number + 1))
        assert isinstance(await over, int)
        store.close()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put if", "delete", "delete if", "write", "fail", "restart"]),
        st.sampled_from(["state/a", "state/b"]),
        st.integers(0, 2),
    ),
    max_size=40,
)


@given(STEPS)
def test_no_update_is_lost(steps: list[tuple[str, str, int]]) -> None:
    """Each change that expects a version follows that version; audit and outcomes agree."""
    desk = Desk()
    seen: dict[tuple[str, int], int] = {}
    asked: list[tuple[str, int | None, list[Outcome]]] = []
    history: dict[str, list[tuple[int, bool]]] = {"state/a": [], "state/b": []}

    def settle() -> None:
        while desk.disk.write():
            pass

    for step, topic, client in steps:
        match step:
            case "write":
                desk.disk.write()
            case "fail":
                desk.disk.write(StoreError("disk is full"))
            case "restart":
                settle()
                note(desk, history)
                desk = Desk(desk.disk)
            case _:
                expected = seen.get((topic, client), 0) if step.endswith("if") else None
                deletes = step.startswith("delete")
                told = desk.put(topic, client, expected, deletes=deletes)
                asked.append((topic, expected, told))
        entry = desk.state.find(topic)
        seen[topic, client] = entry.version if entry else 0
    settle()
    note(desk, history)
    for topic, versions in history.items():
        numbers = [version for version, _ in versions]
        assert numbers == sorted(set(numbers))
        outcomes = {told[0]: expected for t, expected, told in asked if t == topic}
        done = {o: expected for o, expected in outcomes.items() if isinstance(o, int)}
        assert set(done) == set(numbers)
        for before, version in zip([(0, True), *versions], numbers, strict=False):
            expected = done[version]
            assert expected is None or expected == (0 if before[1] else before[0])
    assert all(len(told) == 1 for _, _, told in asked)


def note(desk: Desk, history: dict[str, list[tuple[int, bool]]]) -> None:
    """Add what was published, versions and whether they are deletions, and check the audit."""
    done = 0
    for topic, versions in history.items():
        for value in desk.published(topic):
            if all(value["version"] != version for version, _ in versions):
                versions.append((value["version"], "deleted" in value))
                done += 1
    audited = [entry["result"] for entry in desk.published("$audit/state")]
    assert audited.count("done") == done


def test_the_manual_loop_serves_the_store_without_a_folder() -> None:
    """What is not durable is answered all the same."""
    loop: ManualLoop = manual_loop()
    bus = Bus(Log("e", 4096), ManualClock())
    state = State(bus, Audit(bus), Store(None, loop), 10)
    told: list[Outcome] = []
    state.change(Change("state/a", ANNA, None, told.append, 1))
    loop.settle()
    assert isinstance(told[0], int)
