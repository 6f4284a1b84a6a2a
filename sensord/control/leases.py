"""Leases: which client alone may act on a device, a topic or an action, and until when.

A lease is on a device with what it declares, or on a topic that clients write.

A lease ends when it is released, when it was not renewed in time, and when its holder is gone. It
outlives the process: after a start its holder has the grace time to come back. `check` is the one
place that decides whether another client holds what a client wants to act on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sensord.bus import Bus
from sensord.errors import ProtocolError
from sensord.model.readings import Metadata, Reading, Value, ValueType
from sensord.model.times import iso
from sensord.model.topics import matches
from sensord.sharing.allowance import Rank
from sensord.sharing.audit import Audit
from sensord.sharing.identity import Identity
from sensord.sharing.store import Done, Store, StoreError

__all__ = ["Lease", "Leases"]

log = logging.getLogger("sensord.control")

KIND = "lease"
"""Under which the store keeps them."""

TIMER_S = 0.001
"""A loop's timers count milliseconds and may be half of one early; a lease never is."""

MOST_WRITTEN = 1_000
"""Topics that clients write and that were ever held: each keeps a topic under ``$sys/leases``."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What one client holds."""

    subject: str
    holder: Identity
    since_us: int
    until_us: int


class _Held:
    """A lease with its timers."""

    __slots__ = ("before", "end", "is_announced", "is_void", "lease", "timers")

    def __init__(self, lease: Lease, before: _Held | None = None) -> None:
        self.lease = lease
        self.before = before
        """What was held until this is on the disk: that is what was promised."""
        self.is_void = False
        """The disk did not accept it."""
        self.is_announced = False
        """Whether it was published: it is on the disk."""
        self.end = ""
        """Why it has ended, to be published after that."""
        self.timers: list[asyncio.Handle] = []

    def stop(self) -> None:
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()


class Leases:
    """Records which client holds which lease.

    ``is_there`` returns whether the client of an id is here, or away within its grace time.
    """

    def __init__(
        self,
        bus: Bus,
        audit: Audit,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        *,
        longest_s: float,
        grace_s: float,
        is_there: Callable[[str], bool],
    ) -> None:
        self._bus = bus
        self._audit = audit
        self._store = store
        self._loop = loop
        self._longest_s = longest_s
        self._grace_s = grace_s
        self._is_there = is_there
        self._within: dict[str, set[str]] = {}
        self._written: list[str] = []  # filters
        self._published: set[str] = set()
        self._held: dict[str, _Held] = {}

    # -- what can be held --------------------------------------------------------------------------

    def declare(self, subject: str, within: str = "") -> None:
        """Allow leases on a subject; ``within`` names the device that it is a part of.

        Each one held has a topic under ``$sys/leases``, and topics stay: declare few.
        """
        wholes = self._within.setdefault(subject, set())
        if within and within != subject:
            wholes.add(within)

    def withdraw(self, device: str) -> None:
        """Allow no new leases on a device and its parts; those on them run out."""
        for subject in [one for one, wholes in self._within.items() if device in {one, *wholes}]:
            del self._within[subject]

    def declare_written(self, topics: str) -> None:
        """Allow leases on each topic that a filter selects: clients write them."""
        self._written.append(topics)

    def is_declared(self, subject: str) -> bool:
        """Return whether a subject is a device, or part of one."""
        return subject in self._within

    def _can_be_held(self, subject: str) -> bool:
        return subject in self._within or any(matches(one, subject) for one in self._written)

    def begin(self) -> None:
        """Restore the leases from before the start, on what is still declared."""
        now_us = self._bus.now_us()
        for subject, row in self._store.load(KIND).items():
            lease = _read(subject, row)
            if lease is None or not self._can_be_held(subject):
                self._forget(subject, None)
                continue
            if lease.until_us <= now_us or not self._is_there(lease.holder.id):
                # Clients that received the lease receive its end.
                self._forget(subject, None)
                self._say(lease, "expired" if lease.until_us <= now_us else "gone")
                continue
            held = _Held(lease)
            held.is_announced = True
            self._hold(held)
            held.timers.append(self._loop.call_later(self._grace_s, self._look_for, held))
            self._publish(lease, "taken")
            log.info("lease goes on", extra={"subject": subject, "holder": lease.holder.name})

    # -- acting ------------------------------------------------------------------------------------

    def check(self, subject: str, who: Identity) -> None:
        """Refuse to act on what another client holds.

        Raises:
            ProtocolError: ``held``, with the holder's name.
        """
        for name in (subject, *self._within.get(subject, ())):
            held = self._held.get(name)
            if held is not None and held.lease.holder.id != who.id:
                raise _refusal(held.lease)

    def find(self, subject: str) -> Lease | None:
        """Return the lease on a subject, if there is one."""
        held = self._held.get(subject)
        return None if held is None else held.lease

    def __iter__(self) -> Iterator[Lease]:
        return iter([held.lease for held in self._held.values()])

    # -- taking and giving back --------------------------------------------------------------------

    def take(self, subject: str, who: Identity, duration_s: float, done: Done) -> Lease:
        """Take a lease, or renew it; ``done`` is called when it is on the disk.

        Raises:
            ProtocolError: Another client holds it or a part of it, or there is nothing to hold.
        """
        self._audit.allowance.admit(who.id, Rank.ACT)
        if not self._can_be_held(subject):
            text = f"{subject} cannot be held: no device, action or topic that clients write"
            raise ProtocolError("not_found", text)
        mine = self._held.get(subject)
        if mine is not None and mine.lease.holder.id == who.id:
            return self._renew(mine, who, duration_s, done)
        try:
            self.check(subject, who)
            for part, held in self._held.items():
                if subject in self._within.get(part, ()) and held.lease.holder.id != who.id:
                    raise _refusal(held.lease)
        except ProtocolError as refusal:
            self._note_refusal(who, subject, refusal)
            raise
        self._check_room(subject)
        now_us = self._bus.now_us()
        lease = Lease(subject, who, now_us, self._until(now_us, duration_s))
        self._keep(_Held(lease), "taken", done)
        return lease

    def renew(self, subject: str, who: Identity, duration_s: float, done: Done) -> Lease:
        """Hold a lease for longer.

        Raises:
            ProtocolError: The client does not hold it (any more).
        """
        self._audit.allowance.admit(who.id, Rank.ACT)
        return self._renew(self._mine(subject, who), who, duration_s, done)

    def give_back(self, subject: str, who: Identity, done: Done) -> None:
        """End a lease.

        Raises:
            ProtocolError: The client does not hold it (any more).
        """

        def forgotten(error: Exception | None) -> None:
            if error is not None and subject not in self._held:
                self._forget(subject, None)  # it is written when the disk accepts it
            done(error)

        held = self._mine(subject, who)
        held.lease = replace(held.lease, holder=who)  # as it is now known: it may have moved
        self._end(held, "given_back", forgotten)

    def gone(self, who: Identity) -> None:
        """Free the leases of a client that is gone."""
        for held in tuple(self._held.values()):
            if held.lease.holder.id == who.id:
                self._end(held, "gone")

    def close(self) -> None:
        """Stop all timers; the leases stay in the store."""
        for held in self._held.values():
            held.stop()

    # -- inside ------------------------------------------------------------------------------------

    def _mine(self, subject: str, who: Identity) -> _Held:
        held = self._held.get(subject)
        if held is None:
            raise ProtocolError("not_found", f"you do not hold {subject}; take it (again)")
        if held.lease.holder.id != who.id:
            refusal = _refusal(held.lease)
            self._note_refusal(who, subject, refusal)
            raise refusal
        return held

    def _renew(self, held: _Held, who: Identity, duration_s: float, done: Done) -> Lease:
        old, now_us = held.lease, self._bus.now_us()
        # A client may release it earlier; but a clock that was set must make none endless.
        longest_us = self._until(now_us, self._longest_s)
        until_us = max(self._until(now_us, duration_s), min(old.until_us, longest_us))
        lease = Lease(old.subject, who, old.since_us, until_us)
        self._keep(_Held(lease, held), "renewed", done)
        held.stop()
        return lease

    def _note_refusal(self, who: Identity, subject: str, refusal: ProtocolError) -> None:
        self._audit.note("lease", who, subject, "held", detail=refusal.message, is_minor=True)

    def _check_room(self, subject: str) -> None:
        if subject in self._within:
            return
        used = self._published | {one for one in self._held if one not in self._within}
        if subject not in used and len(used) >= MOST_WRITTEN:
            text = f"leases were taken on {MOST_WRITTEN} topics that clients write; use those"
            raise ProtocolError("too_many", text)

    def _until(self, now_us: int, duration_s: float) -> int:
        return now_us + round(min(duration_s, self._longest_s) * 1e6)

    def _keep(self, held: _Held, why: str, done: Done) -> None:
        """Hold a lease from now on, and return to the previous one if the disk does not accept it.

        It is published when it is on the disk, as its holder is.
        """

        def kept(error: Exception | None) -> None:
            if error is None:
                held.is_announced = True
                self._say(held.lease, why)
            else:
                self._go_back(held)
            before = held.before
            if held.end and (error is None or (before is not None and before.is_announced)):
                self._say(held.lease, held.end)
            if error is None:
                held.before = None
            done(error)

        self._put(held.lease, kept)
        self._hold(held)

    def _go_back(self, held: _Held) -> None:
        held.is_void = True
        if self._held.get(held.lease.subject) is not held:
            return
        before = held.before
        while before is not None and before.is_void:
            before = before.before
        if before is None:
            self._end(held, "expired")
            return
        held.stop()
        self._hold(before)

    def _hold(self, held: _Held) -> None:
        self._held[held.lease.subject] = held
        # A gateway without a clock of its own may have begun in 1970: then it has its whole time.
        left_s = min((held.lease.until_us - self._bus.now_us()) / 1e6, self._longest_s)
        left_s = max(0.0, left_s) + TIMER_S
        held.timers.append(self._loop.call_later(left_s, self._end, held, "expired"))

    def _look_for(self, held: _Held) -> None:
        """End the lease of a holder who did not come back after a start."""
        if not self._is_there(held.lease.holder.id):
            self._end(held, "gone")

    def _end(self, held: _Held, why: str, done: Done | None = None) -> None:
        held.stop()
        lease = held.lease
        if self._held.get(lease.subject) is held:
            self._forget(lease.subject, done)
            del self._held[lease.subject]
            held.end = why
            if held.is_announced:
                self._say(lease, why)

    def _forget(self, subject: str, done: Done | None) -> None:
        """Remove a lease from the disk: if that fails, a restart restores it until its end."""
        try:
            self._store.delete(KIND, subject, done)
        except StoreError as exc:
            log.warning("lease not forgotten", extra={"subject": subject, "reason": str(exc)})
            if done is not None:
                self._loop.call_soon(done, None)

    def _put(self, lease: Lease, done: Done) -> None:
        holder = lease.holder
        row: Value = {
            "id": holder.id,
            "name": holder.name,
            "address": holder.address,
            "since_us": lease.since_us,
            "until_us": lease.until_us,
        }
        try:
            self._store.put(KIND, lease.subject, row, done)
        except StoreError as exc:
            raise ProtocolError("unavailable", str(exc)) from exc

    def _say(self, lease: Lease, why: str) -> None:
        self._audit.note("lease", lease.holder, lease.subject, why)
        self._publish(lease, why)

    def _publish(self, lease: Lease, why: str) -> None:
        """Publish a lease: its topic exists from the first time it was held."""
        if lease.subject not in self._within:
            self._published.add(lease.subject)
        metadata = Metadata(ValueType.JSON, description="who may act")
        channel = self._bus.channel(f"$sys/leases/{lease.subject}", metadata)
        holder: Value = {"id": lease.holder.id, "name": lease.holder.name}
        value: Value = {
            "subject": lease.subject,
            "holder": holder if why in {"taken", "renewed"} else None,
            "since_us": lease.since_us,
            "until_us": lease.until_us,
            "why": why,
        }
        reading = Reading(self._bus.now_us(), value)
        self._audit.allowance.publish(lease.holder.id, channel, reading)


def _refusal(lease: Lease) -> ProtocolError:
    name = lease.holder.name or "a client without a name"
    until = iso(lease.until_us) or "later"
    text = f"{lease.subject} is held by {name} ({lease.holder.id}) until {until}"
    return ProtocolError("held", text)


def _read(subject: str, row: Value) -> Lease | None:
    match row:
        case {
            "id": str(number),
            "name": str(name),
            "address": str(address),
            "since_us": int(since_us),
            "until_us": int(until_us),
        }:
            return Lease(subject, Identity(number, name, address), since_us, until_us)
        case _:
            return None
