"""Deposits: readings that a client without a session hands in together, over plain HTTP.

A deposit is answered when the journal has its readings. With a key, a retry publishes nothing
again, also after a crash at any moment.

Theory of operation. The key is in the store before the first reading is published, with the log's
tail and the time of that moment; readings without a time of their own get that time, each a
microsecond later than the one before. A retry of a deposit that a crash interrupted looks at the
last value of each topic, which the start restored: if it is from behind that tail, and its time is
that of a reading of the deposit, the readings of that topic up to this one were published.

A client without a session is never here and never gone: its topics keep their values, and any
other client may publish them after it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from sensord.bus import Bus
from sensord.errors import ProtocolError
from sensord.model.readings import Value
from sensord.sharing.identity import Identity
from sensord.sharing.memory import Memory
from sensord.sharing.publications import Publishing
from sensord.sharing.store import Store, StoreError

__all__ = ["MOST_READINGS", "Deposits", "HandedIn", "Outcome"]

log = logging.getLogger("sensord.sharing")

KIND = "deposit"
"""Of the rows in the store."""

MOST_READINGS = 1_000
"""In one deposit."""

AT_ONCE = 50
"""Published in one turn of the loop."""

REMEMBER_S = 86_400.0
MAX_OF_CLIENT = 1_000
MAX_OF_ALL = 10_000


class HandedIn(NamedTuple):
    """One reading of a deposit; without a time it gets that of its acceptance."""

    topic: str
    value: Value
    time_us: int | None = None


class Outcome(NamedTuple):
    """What became of a deposit: ``accepted`` readings are in the log, the last at ``offset``.

    With an ``error``, those after the first ``accepted`` are not.
    """

    accepted: int
    offset: int | None = None
    error: ProtocolError | None = None
    is_repeated: bool = False


Done = Callable[[Outcome], None]
Permit = Callable[[str], bool]
"""Returns whether the client holds the lease of a topic; raises `ProtocolError` if another does."""


@dataclass(slots=True)
class _Deposit:
    """One deposit, from its acceptance until its key is forgotten."""

    who: Identity
    key: str
    digest: str
    begun_us: int
    tail: int
    """That of the log when it was accepted."""
    outcome: Outcome | None = None
    waiting: list[Done] = field(default_factory=list)
    is_interrupted: bool = False
    """Whether a crash came between its acceptance and its outcome."""

    @property
    def name(self) -> str:
        """The key of its row in the store."""
        return json.dumps([self.who.id, self.key])


class Deposits:
    """Publishes what clients without a session hand in, each deposit once."""

    def __init__(
        self, bus: Bus, publishing: Publishing, store: Store, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._bus = bus
        self._publishing = publishing
        self._store = store
        self._loop = loop
        self._memory = Memory[_Deposit](
            of_client=MAX_OF_CLIENT, of_all=MAX_OF_ALL, weight=1 << 62, keep_s=REMEMBER_S
        )

    def hand_in(
        self,
        who: Identity,
        readings: Sequence[HandedIn],
        key: str,
        permit: Permit,
        done: Done,
    ) -> None:
        """Publish readings in order, unless a deposit of that key did; without a key, always.

        ``done`` is called when the journal has them.

        Raises:
            ProtocolError: The key is that of another deposit, or cannot be kept.
        """
        digest = _digest(readings)
        deposit = _Deposit(who, key, digest, self._bus.now_us(), self._bus.log.tail)
        if not key:
            deposit.waiting.append(done)
            self._publish(deposit, readings, permit)
            return
        self._forget(self._memory.expire(self._loop.time()))
        known = self._memory.find(who.id, key)
        if known is not None and known.digest != digest:
            raise ProtocolError("already", "the key was used for other readings; send a new one")
        if known is not None and known.outcome is not None:
            done(known.outcome._replace(is_repeated=True))
            return
        if known is not None and not known.is_interrupted:
            known.waiting.append(lambda outcome: done(outcome._replace(is_repeated=True)))
            return
        if known is not None:
            known.is_interrupted = False
            known.waiting.append(done)
            self._memory.add(who.id, key, self._memory.forget(who.id, key))  # open again
            self._publish(known, readings, permit, self._published(known, readings))
            return

        def kept(error: Exception | None) -> None:
            if error is None:
                self._publish(deposit, readings, permit)
            else:
                self._memory.forget(who.id, key)
                self._end(deposit, Outcome(0, error=_unavailable(error)))

        deposit.waiting.append(done)
        self._memory.add(who.id, key, deposit)
        try:
            self._store.put(KIND, deposit.name, _row(deposit), kept)
        except StoreError as exc:
            self._memory.forget(who.id, key)
            raise _unavailable(exc) from exc

    def restore(self) -> None:
        """Load the keys of before the start."""
        now, now_us = self._loop.time(), self._bus.now_us()
        found = [(name, _read(name, row)) for name, row in self._store.load(KIND).items()]
        for name, deposit in found:
            if deposit is None or now_us - deposit.begun_us > REMEMBER_S * 1e6:
                self._delete(name)
        kept = [one for _, one in found if one and now_us - one.begun_us <= REMEMBER_S * 1e6]
        for deposit in sorted(kept, key=lambda one: one.begun_us):
            self._memory.add(deposit.who.id, deposit.key, deposit)
            age_s = max(0.0, (now_us - deposit.begun_us) / 1e6)
            # One that was interrupted can be resumed for as long as others are remembered.
            self._forget(self._memory.end(deposit.who.id, deposit.key, now - age_s, weight=1))

    def _publish(
        self,
        deposit: _Deposit,
        readings: Sequence[HandedIn],
        permit: Permit,
        skipped: AbstractSet[int] = frozenset(),
        first: int = 0,
        offset: int | None = None,
    ) -> None:
        """Publish some readings, and the others in the next turns."""
        stop = min(first + AT_ONCE, len(readings))
        for number in range(first, stop):
            if number in skipped:
                continue
            topic, value, time_us = readings[number]
            if time_us is None:
                time_us = deposit.begun_us + number
            try:
                is_held = permit(topic)
                record = self._publishing.publish(
                    deposit.who, topic, value, time_us, is_held=is_held
                )
            except ProtocolError as exc:
                self._kept(deposit, Outcome(number, offset, exc))
                return
            offset = record.offset
        if stop < len(readings):
            more = (deposit, readings, permit, skipped, stop, offset)
            self._loop.call_soon(self._publish, *more)
        else:
            self._kept(deposit, Outcome(len(readings), offset))

    def _published(self, deposit: _Deposit, readings: Sequence[HandedIn]) -> AbstractSet[int]:
        """Return which readings of an interrupted deposit the log has."""
        stops: dict[str, int] = {}
        for number, (topic, _, time_us) in enumerate(readings):
            channel = self._bus.find(topic)
            last = None if channel is None else self._bus.last(channel)
            if last is None or last.offset < deposit.tail:
                continue
            last_us = last.reading.time_us
            if last_us >= deposit.begun_us + number if time_us is None else last_us == time_us:
                stops[topic] = number + 1
        return {number for number, one in enumerate(readings) if number < stops.get(one.topic, 0)}

    def _kept(self, deposit: _Deposit, outcome: Outcome) -> None:
        self._bus.log.when_kept(lambda: self._end(deposit, outcome))

    def _end(self, deposit: _Deposit, outcome: Outcome) -> None:
        waiting, deposit.waiting = deposit.waiting, []
        if deposit.key and self._memory.find(deposit.who.id, deposit.key) is deposit:
            self._settle(deposit, outcome)
        for done in waiting:
            done(outcome)

    def _settle(self, deposit: _Deposit, outcome: Outcome) -> None:
        """Remember the outcome; a deposit that failed is free to be tried again."""
        client, key = deposit.who.id, deposit.key
        if outcome.error is not None:
            if not outcome.accepted:
                self._memory.forget(client, key)
                self._delete(deposit.name)
                return
            deposit.is_interrupted = True  # a retry publishes the others
            self._forget(self._memory.end(client, key, self._loop.time(), weight=1))
            return
        deposit.outcome = outcome
        self._forget(self._memory.end(client, key, self._loop.time(), weight=1))
        try:
            self._store.put(KIND, deposit.name, _row(deposit))
        except StoreError as exc:
            log.warning("deposit not kept", extra={"reason": str(exc)})

    def _forget(self, forgotten: Sequence[_Deposit]) -> None:
        for deposit in forgotten:
            self._delete(deposit.name)

    def _delete(self, name: str) -> None:
        try:
            self._store.delete(KIND, name)
        except StoreError as exc:
            log.warning("deposit not removed", extra={"reason": str(exc)})


def _digest(readings: Sequence[HandedIn]) -> str:
    text = json.dumps(readings, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _unavailable(error: Exception) -> ProtocolError:
    return ProtocolError("unavailable", f"{error}; nothing was published")


def _row(deposit: _Deposit) -> dict[str, Value]:
    row: dict[str, Value] = {
        "digest": deposit.digest,
        "begun_us": deposit.begun_us,
        "tail": deposit.tail,
    }
    if deposit.outcome is not None:
        row |= {"count": deposit.outcome.accepted, "offset": deposit.outcome.offset}
    return row


def _read(name: str, row: Value) -> _Deposit | None:
    try:
        client, key = json.loads(name)
    except ValueError:
        return None
    match row:
        case {"digest": str(digest), "begun_us": int(begun_us), "tail": int(tail), **more}:
            deposit = _Deposit(Identity(str(client)), str(key), digest, begun_us, tail)
        case _:
            return None
    match more:
        case {"count": int(count), "offset": int() | None as offset}:
            deposit.outcome = Outcome(count, offset)
        case _:
            deposit.is_interrupted = True
    return deposit
