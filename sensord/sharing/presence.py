"""Presence: who is there, who is away for a moment, and who has left.

Each client has a *place* under ``$sys/clients``, given to another one when it is gone: topics stay
for ever, and clients come and go. A client whose connection ends is *away* until its grace time is
over; if it comes back with its key it is the same client, and has lost nothing that it held.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from sensord.audit import Audit
from sensord.bus import Bus
from sensord.identity import Identity, Issuer
from sensord.model import Channel, Metadata, Reading, Value, ValueType

__all__ = ["Member", "Presence"]


class Connected(Protocol):
    """A client's session."""

    @property
    def watches(self) -> set[str]:
        """The filters of its subscriptions."""
        ...


@dataclass(slots=True)
class Member:
    """A client that is there, or away within its grace time."""

    identity: Identity
    key: str
    place: int
    since_us: int
    sessions: set[Connected] = field(default_factory=set)
    """Its connections: more than one while an old one has not been noticed to be dead."""
    timer: asyncio.Handle | None = None
    """Ends its grace time."""
    is_gone: bool = False

    @property
    def state(self) -> str:
        """``here``, ``away`` or ``gone``."""
        if self.is_gone:
            return "gone"
        return "here" if self.sessions else "away"


class Presence:
    """Keeps who is there."""

    def __init__(
        self,
        bus: Bus,
        audit: Audit,
        issuer: Issuer,
        loop: asyncio.AbstractEventLoop,
        grace_s: float,
        *,
        is_published: bool,
    ) -> None:
        self.on_back: list[Callable[[Identity], None]] = []
        """Called when a client that was away is there again."""
        self.on_gone: list[Callable[[Identity], None]] = []
        """Called when a client has been away for longer than its grace time."""
        self._bus = bus
        self._audit = audit
        self._issuer = issuer
        self._loop = loop
        self._grace_s = grace_s
        self._is_published = is_published
        self._members: dict[str, Member] = {}
        self._places: list[int] = []  # given back, smallest first
        self._untold: dict[str, Member] = {}
        self._turn: asyncio.Handle | None = None

    def __len__(self) -> int:
        return len(self._members)

    def find(self, client: str) -> Member | None:
        """Return the client of this id, unless it is gone."""
        return self._members.get(client)

    def members(self) -> Iterable[Member]:
        """Return everybody who is there or away."""
        return self._members.values()

    def join(self, session: Connected, name: str, address: str, key: str | None) -> Member:
        """Let a client in; with a key that this server gave it, it is who it was."""
        found = self._issuer.id_of(key) if key else None
        if key is None or found is None:
            key = self._issuer.issue()
            found = self._issuer.id_of(key)
            assert found is not None, "we made it"
        member = self._members.get(found)
        identity = Identity(found, name, address)
        if member is None:
            place = heapq.heappop(self._places) if self._places else len(self._members) + 1
            member = Member(identity, key, place, self._bus.now_us())
            self._members[found] = member
            what = "join"
        else:
            member.identity = identity
            what = "" if member.sessions else "back"
        if member.timer is not None:
            member.timer.cancel()
            member.timer = None
        member.sessions.add(session)
        self._changed(member, what)
        if what == "back":
            for call in self.on_back:
                call(identity)
        return member

    def leave(self, session: Connected, member: Member) -> None:
        """Let a connection of a client go; its grace time begins with the last one."""
        member.sessions.discard(session)
        if member.sessions or member.is_gone:
            return
        self._changed(member, "away")
        member.timer = self._loop.call_later(self._grace_s, self._gone, member)

    def watching(self, member: Member) -> None:
        """Learn that what a client watches has changed."""
        self._changed(member, "")

    def close(self) -> None:
        """Stop all timers."""
        for member in self._members.values():
            if member.timer is not None:
                member.timer.cancel()
                member.timer = None
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _gone(self, member: Member) -> None:
        member.timer = None
        member.is_gone = True
        del self._members[member.identity.id]
        heapq.heappush(self._places, member.place)
        self._changed(member, "leave")
        self._tell()  # before its place is given to another one
        for call in self.on_gone:
            call(member.identity)

    def _changed(self, member: Member, what: str) -> None:
        if not self._is_published:
            return
        if what:
            self._audit.note("presence", member.identity, member.identity.id, what)
        self._untold[member.identity.id] = member
        if self._turn is None:
            self._turn = self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        """Publish what has changed: once a turn, however often it changed."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        untold, self._untold = self._untold, {}
        for member in untold.values():
            self._bus.publish(self._channel(member), Reading(self._bus.now_us(), _value(member)))

    def _channel(self, member: Member) -> Channel:
        metadata = Metadata(ValueType.JSON, description="a client")
        return self._bus.channel(f"$sys/clients/{member.place}", metadata)


def _value(member: Member) -> Value:
    identity = member.identity
    watches = {topic for session in member.sessions for topic in session.watches}
    return {
        "id": identity.id,
        "name": identity.name,
        "address": identity.address,
        "since_us": member.since_us,
        "state": member.state,
        "watches": list[Value](sorted(watches)),
    }
