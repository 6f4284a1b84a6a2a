"""Shared state: retained values with versions, which clients write without losing an update.

Theory of operation. The changes of one topic are made one after the other: each is compared with
the current version, written to the disk, and only then published and answered. So a published
version is durable, and of two clients that start from the same version, the second is refused.
Versions are times in microseconds, raised where they would not grow: they stay unique when a topic
is deleted and created again, and after a restart.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sensord.bus import Bus
from sensord.device.conform import Rules, conform
from sensord.errors import ProtocolError
from sensord.model.readings import GOOD, Level, Metadata, Reading, Value, ValueType
from sensord.model.weight import weight_of
from sensord.sharing.audit import Audit
from sensord.sharing.identity import Identity
from sensord.sharing.store import Store, StoreError

__all__ = ["Change", "Entry", "Outcome", "State"]

KIND = "state"
"""The kind of rows in the store."""

HIGHEST = "state version"
"""The key of the version of the last deletion."""

MAX_VALUE_BYTES = 16 * 1024

MAX_WAITING = 100
"""Changes of one topic that may wait for the disk."""

CHANGE_BYTES = 1000
"""The approximate size of a waiting change without its value."""

MAX_WAITING_BYTES = 4 * 1024 * 1024
"""The bound on the waiting changes of all topics."""

MAX_WEIGHT = 64 * 1024
"""The largest value in memory."""

TOPICS_PER_ENTRY = 10
"""Topics are never removed: so many more may have been used than may exist at a time."""

_METADATA = Metadata(ValueType.JSON, description="shared state")
_RULES = Rules(ValueType.JSON)


@dataclass(frozen=True, slots=True)
class Entry:
    """A current value."""

    version: int
    value: Value
    by: Mapping[str, Value]

    def to_value(self) -> dict[str, Value]:
        """Return the value that clients see."""
        return {"version": self.version, "value": self.value, "by": dict(self.by)}


Outcome = int | ProtocolError
"""The new version, or the refusal."""


def _anybody() -> None:
    """Permit the change."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change that a client requested; ``done`` is called once.

    ``permit`` is called when its turn has come, and raises `ProtocolError` to refuse it.
    """

    topic: str
    who: Identity
    expected: int | None
    done: Callable[[Outcome], None]
    value: Value = None
    deletes: bool = False
    permit: Callable[[], None] = _anybody

    @property
    def size(self) -> int:
        """The memory that it takes while it waits."""
        return CHANGE_BYTES + weight_of(self.value)


class State:
    """All shared state."""

    def __init__(self, bus: Bus, audit: Audit, store: Store, max_entries: int) -> None:
        self._bus = bus
        self._audit = audit
        self._store = store
        self._max_entries = max_entries
        self._entries: dict[str, Entry] = {}
        self._used: set[str] = set()  # topics, for ever
        self._busy: dict[str, deque[Change]] = {}
        self._waiting_bytes = 0
        self._last_version = 0

    def restore(self) -> None:
        """Load the store's rows, and publish them again with their own times."""
        highest = self._store.load(HIGHEST).get("version")
        self._last_version = max(self._last_version, highest if isinstance(highest, int) else 0)
        for topic, kept in sorted(self._store.load(KIND).items()):
            entry = _entry_of(kept)
            if entry is not None and self._use(topic):
                self._entries[topic] = entry
                self._last_version = max(self._last_version, entry.version)
                channel = self._bus.channel(topic, _METADATA)
                self._bus.publish(channel, Reading(entry.version, entry.to_value(), restates=True))

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, topic: str) -> Entry | None:
        """Return the current value, if any."""
        return self._entries.get(topic)

    def change(self, change: Change) -> None:
        """Make a change, after the waiting ones of its topic.

        Raises:
            ProtocolError: It is invalid, or too many wait.
        """
        try:
            self._check(change)
        except ProtocolError as refusal:
            self._note(change, refusal.code, self._entries.get(change.topic), None)
            raise
        self._waiting_bytes += change.size
        waiting = self._busy.get(change.topic)
        if waiting is None:
            self._busy[change.topic] = deque([change])
            self._work(change.topic)
        else:
            waiting.append(change)

    def _check(self, change: Change) -> None:
        """Refuse a change that is invalid whatever the current value is."""
        if not change.deletes:
            _check_value(change.value)
        if self._waiting_bytes + change.size > MAX_WAITING_BYTES:
            text = f"{MAX_WAITING_BYTES} bytes of changes wait for the disk; try again later"
            raise ProtocolError("too_many", text)
        if len(self._busy.get(change.topic, ())) >= MAX_WAITING:
            raise ProtocolError("too_many", f"{MAX_WAITING} changes of {change.topic} wait")
        self._audit.allowance.admit_value(change.who.id, change.size)

    def _work(self, topic: str) -> None:
        """Start the next changes of a topic, up to one that must wait for the disk."""
        waiting = self._busy[topic]
        while waiting:
            change = waiting[0]
            refusal = self._refusal(change)
            if refusal is None:
                try:
                    self._begin(change)
                except StoreError as exc:
                    refusal = ProtocolError("unavailable", str(exc))
                else:
                    return
            self._leave(waiting)
            self._note(change, refusal.code, self._entries.get(topic), None)
            change.done(refusal)
        del self._busy[topic]

    def _refusal(self, change: Change) -> ProtocolError | None:
        try:
            change.permit()
        except ProtocolError as exc:
            return exc
        present = self._entries.get(change.topic)
        version = present.version if present else 0
        if change.expected is not None and change.expected != version:
            current = present.to_value() if present else {"version": 0}
            # `present` has the version, for those who may read it.
            stands = "another version stands" if present else "nothing stands there, version 0"
            return ProtocolError("conflict", f"{stands}: look at it and try again", current)
        if change.deletes and present is None:
            return ProtocolError("not_found", f"there is no {change.topic}")
        if not change.deletes and present is None and len(self._entries) >= self._max_entries:
            return ProtocolError("too_many", f"delete one of {self._max_entries} states first")
        if not self._use(change.topic):
            return ProtocolError(
                "forbidden", f"{change.topic} is not shared state, or too many are"
            )
        return None

    def _begin(self, change: Change) -> None:
        self._last_version = max(self._last_version + 1, self._bus.now_us())
        by: dict[str, Value] = {"id": change.who.id, "name": change.who.name}
        entry = Entry(self._last_version, change.value, by)

        def kept(error: Exception | None) -> None:
            self._kept(change, entry, error)

        if change.deletes:
            # A value has its version; of a deleted one, only this records that it was used.
            self._store.put(HIGHEST, "version", entry.version)
            self._store.delete(KIND, change.topic, kept)
        else:
            self._store.put(KIND, change.topic, entry.to_value(), kept)

    def _kept(self, change: Change, entry: Entry, error: Exception | None) -> None:
        topic = change.topic
        before = self._entries.get(topic)
        outcome: Outcome
        if error is not None:
            self._note(change, "unavailable", before, None)
            outcome = ProtocolError("unavailable", str(error))
        else:
            value = entry.to_value()
            if change.deletes:
                del self._entries[topic]
                del value["value"]
                value["deleted"] = True
            else:
                self._entries[topic] = entry
            channel = self._bus.channel(topic, _METADATA)
            reading = Reading(self._bus.now_us(), value)
            self._audit.allowance.publish(change.who.id, channel, reading)
            self._note(change, "done", before, None if change.deletes else entry)
            outcome = entry.version
        self._leave(self._busy[topic])
        change.done(outcome)
        self._work(topic)

    def _leave(self, waiting: deque[Change]) -> None:
        self._waiting_bytes -= waiting.popleft().size

    def _use(self, topic: str) -> bool:
        """Claim a topic for shared state; return False if it is taken, or too many are used."""
        if topic not in self._used:
            is_full = len(self._used) >= TOPICS_PER_ENTRY * self._max_entries
            if is_full or not self._bus.claim(topic):
                return False
            self._used.add(topic)
        return True

    def _note(self, change: Change, result: str, before: Entry | None, after: Entry | None) -> None:
        self._audit.note(
            "state",
            change.who,
            change.topic,
            result,
            detail="delete" if change.deletes else "put",
            before=before.to_value() if before else None,
            after=after.to_value() if after else None,
            is_minor=result != "done",
        )


def _check_value(value: Value) -> None:
    _, quality = conform(_RULES, value, GOOD)
    if value is not None and quality.level is not Level.GOOD:
        raise ProtocolError("bad_request", f"value: cannot be kept, {quality.reason}")
    size = len(json.dumps(value, ensure_ascii=False).encode())
    if size > MAX_VALUE_BYTES:
        raise ProtocolError("bad_request", f"value: {size} bytes; send at most {MAX_VALUE_BYTES}")
    if weight_of(value) > MAX_WEIGHT:
        raise ProtocolError("bad_request", "value: too many parts; send fewer, or one text")


def _entry_of(kept: Value) -> Entry | None:
    match kept:
        case {"version": int(version), "value": value, "by": dict(by)}:
            return Entry(version, value, by)
    return None
