"""Presence: which clients are here, away or gone.

Each client has a slot (`place` in the code) under ``$sys/clients``, which is reused when the client
is gone, because topics are never removed. A client whose connections end is *away* for its grace
time; if it comes back with its key, it is the same client and keeps what it holds. An *ephemeral*
client is gone with its last connection.

Theory of operation. Clients that are away are kept in the order in which their grace time ends; it
is the same for all, so one timer serves them. Changes are published once a turn, and then kept in
the store. After a restart every client is away and has the grace time to come back.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from sensord.bus import Bus
from sensord.model.readings import Channel, Metadata, Reading, Value, ValueType
from sensord.model.topics import FilterTree
from sensord.sharing.allowance import Rank
from sensord.sharing.audit import Audit
from sensord.sharing.identity import Identity, Issuer
from sensord.sharing.store import Store, StoreError

__all__ = ["Connected", "Member", "Presence"]

log = logging.getLogger("sensord.sharing")

KIND = "client"
"""The kind of rows in the store."""

MAX_AWAY = 10_000
"""Most clients that may be away; beyond it, the one that left first is gone early."""

TELLS_AT_ONCE, TELLS_PER_S, SLOW_TELLS_PER_S = 500, 20.0, 1.0
"""Clients whose changes are published at once, then each second, then when clients write too much:
clients that come and go all day fill no disk. Changes meanwhile are published once."""

PAUSE_S = 0.5
"""Before more is published."""

MAX_WATCHES = 64
"""Filters of a client that are published and kept."""

WATCHES_S = 0.1
"""Delay before a change of a client's filters is published, so that the log is not flooded."""

RETURN_S = 2.0
"""Time for a client that is back to open its subscriptions again."""


class Connected(Protocol):
    """A client's session."""

    @property
    def watches(self) -> set[str]:
        """The filters of its subscriptions."""
        ...

    @property
    def permissions(self) -> tuple[str, ...]:
        """Its permissions."""
        ...


@dataclass(slots=True, eq=False)
class Member:
    """A client that is here, or away within its grace time."""

    identity: Identity
    """Its identity, from its newest connection."""
    key: str
    place: int
    since_us: int
    """When it joined."""
    watches: frozenset[str] = frozenset()
    """Its filters; while it is away, those that it had."""
    permissions: tuple[str, ...] = ()
    groups: frozenset[str] = frozenset()
    """The groups that it joined."""
    sessions: dict[Connected, Identity] = field(default_factory=dict)
    """Its connections; a dead one that is not noticed yet still counts."""
    is_ephemeral: bool = False
    """Whether it is gone with its last connection, without a grace time."""
    is_gone: bool = False
    is_announced: bool = False
    """Whether it was published or kept."""
    returning: asyncio.Handle | None = None
    """Until it ends, a client that is back still counts as watching its old filters."""

    @property
    def state(self) -> str:
        """``here``, ``away`` or ``gone``."""
        if self.is_gone:
            return "gone"
        return "here" if self.sessions else "away"


class Presence:
    """Keeps the clients that are here or away."""

    def __init__(
        self,
        bus: Bus,
        audit: Audit,
        issuer: Issuer,
        store: Store,
        loop: asyncio.AbstractEventLoop,
        grace_s: float,
        *,
        is_published: bool,
    ) -> None:
        self.on_back: list[Callable[[Identity], None]] = []
        """Called when a client that was away is here again."""
        self.on_gone: list[Callable[[Identity], None]] = []
        """Called when a client's grace time has ended."""
        self._bus = bus
        self._audit = audit
        self._issuer = issuer
        self._store = store
        self._loop = loop
        self.grace_s = grace_s
        self._is_published = is_published
        self._members: dict[str, Member] = {}
        self._watching: FilterTree[str] = FilterTree()
        self._groups: dict[str, dict[str, None]] = {}  # members by name
        self._places: list[int] = []  # free slots, smallest first
        self._places_made = 0
        self._away: dict[str, float] = {}  # when the grace time of each ends, in that order
        self._reaper: asyncio.Handle | None = None
        self._untold: dict[int, Member] = {}  # by place
        self._tells = float(TELLS_AT_ONCE)
        """How many may be published before the next pause."""
        self._tells_since = loop.time()
        self._is_late = False
        """Whether more has changed than may be published now."""
        self._turn: asyncio.Handle | None = None
        self._later: asyncio.Handle | None = None

    def __len__(self) -> int:
        return len(self._members)

    def find(self, client: str) -> Member | None:
        """Return the client of this id, unless it is gone."""
        return self._members.get(client)

    def members(self) -> Iterable[Member]:
        """Return all clients that are here or away."""
        return self._members.values()

    def watchers(self, topic: str) -> list[Member]:
        """Return all clients that watch a topic, or did when they went away."""
        found = dict.fromkeys(self._watching.match(topic))
        return [self._members[client] for client in found]

    def group(self, name: str) -> list[Member]:
        """Return the members of a group."""
        return [self._members[client] for client in self._groups.get(name, ())]

    def set_groups(self, member: Member, groups: frozenset[str]) -> None:
        """Replace the groups of a client."""
        if groups != member.groups:
            self._set_groups(member, groups)
            self._changed(member, "")

    # -- coming and going --------------------------------------------------------------------------

    def join(
        self,
        session: Connected,
        name: str,
        address: str,
        key: str | None,
        *,
        is_ephemeral: bool = False,
    ) -> Member:
        """Add a client's connection; a key that this server issued restores its identity."""
        found = self._issuer.id_of(key) if key else None
        if key is None or found is None:
            key = self._issuer.issue()
            found = self._issuer.id_of(key)
            assert found is not None, "we made it"
        member = self._members.get(found)
        identity = Identity(found, name, address)
        what = ""
        if member is None:
            member = Member(identity, key, self._place(), self._bus.now_us())
            self._members[found] = member
            what = "join"
        elif not member.sessions:
            what = "back"
            del self._away[found]
        if member.watches:
            # Also if its old connection has not ended: that may end before the new one subscribes.
            self._returned(member)
            member.returning = self._loop.call_later(RETURN_S, self.watching, member)
        member.identity = member.sessions[session] = identity
        member.permissions = session.permissions
        member.is_ephemeral = is_ephemeral
        self._changed(member, what)
        if what == "back":
            for call in self.on_back:
                call(identity)
        return member

    def leave(self, session: Connected, member: Member) -> None:
        """Remove a client's connection; the grace time begins with the last one."""
        if member.sessions.pop(session, None) is None:
            return
        if member.sessions:
            member.identity = [*member.sessions.values()][-1]
            if member.returning is None:
                self._watch(member)
            self._changed(member, "")
            return
        self._returned(member)
        if member.is_ephemeral:
            self._gone(member)
            return
        self._leaves(member)
        while len(self._away) > MAX_AWAY:
            self._gone(self._members[next(iter(self._away))])

    def watching(self, member: Member) -> None:
        """Publish a change of a client's filters, after a delay."""
        self._returned(member)
        if member.sessions and self._watch(member):
            self._untold.setdefault(member.place, member)
            if self._later is None and self._turn is None:
                self._later = self._loop.call_later(WATCHES_S, self._publish)

    def close(self) -> None:
        """Publish and keep what has changed, and stop all timers."""
        self._publish()
        if self._later is not None:
            self._later.cancel()
            self._later = None
        for member in self._untold.values():
            self._keep(member, _value(member))
        self._untold = {}
        for member in self._members.values():
            self._returned(member)
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None

    def _place(self) -> int:
        if self._places:
            return heapq.heappop(self._places)
        self._places_made += 1
        return self._places_made

    def _watch(self, member: Member) -> bool:
        """Update a client's filters; return whether they have changed."""
        watches = frozenset(topic for session in member.sessions for topic in session.watches)
        if watches == member.watches:
            return False
        self._set_watches(member, watches)
        return True

    def _set_watches(self, member: Member, watches: frozenset[str]) -> None:
        for topic in member.watches - watches:
            self._watching.remove(topic, member.identity.id)
        for topic in watches - member.watches:
            self._watching.add(topic, member.identity.id)
        member.watches = watches

    def _set_groups(self, member: Member, groups: frozenset[str]) -> None:
        for name in member.groups - groups:
            del self._groups[name][member.identity.id]
            if not self._groups[name]:
                del self._groups[name]
        for name in groups - member.groups:
            self._groups.setdefault(name, {})[member.identity.id] = None
        member.groups = groups

    def _returned(self, member: Member) -> None:
        if member.returning is not None:
            member.returning.cancel()
            member.returning = None

    def _leaves(self, member: Member) -> None:
        self._away[member.identity.id] = self._loop.time() + self.grace_s
        if self._reaper is None:
            self._reaper = self._loop.call_later(self.grace_s, self._reap)
        self._changed(member, "away")

    def _reap(self) -> None:
        """Remove the clients whose grace time has ended."""
        self._reaper = None
        now = self._loop.time()
        for client, when in tuple(self._away.items()):
            if when > now:
                self._reaper = self._loop.call_at(when, self._reap)
                break
            self._gone(self._members[client])

    def _gone(self, member: Member) -> None:
        client = member.identity.id
        self._set_watches(member, frozenset())
        self._set_groups(member, frozenset())
        member.is_gone = True
        self._away.pop(client, None)
        del self._members[client]
        self._changed(member, "leave")
        if not member.is_announced:  # it was never published
            del self._untold[member.place]
            heapq.heappush(self._places, member.place)
        self._publish()
        for call in self.on_gone:
            call(member.identity)

    # -- publishing and keeping --------------------------------------------------------------------

    def _changed(self, member: Member, what: str) -> None:
        if what and self._is_published:
            self._audit.note("presence", member.identity, member.identity.id, what, is_minor=True)
        self._untold[member.place] = member
        if self._turn is None and not self._is_late:
            self._turn = self._loop.call_soon(self._publish)

    def _publish(self) -> None:
        """Publish and keep each changed client once."""
        for handle in (self._turn, self._later):
            if handle is not None:
                handle.cancel()
        self._turn = self._later = None
        self._is_late = False
        while self._untold:
            if not self._may_tell():
                self._is_late = True
                self._later = self._loop.call_later(PAUSE_S, self._publish)
                return
            self._publish_member(self._untold.pop(next(iter(self._untold))))

    def _publish_member(self, member: Member) -> None:
        value = _value(member)
        if self._is_published:
            reading = Reading(self._bus.now_us(), value)
            self._audit.allowance.publish(member.identity.id, self._channel(member), reading)
        self._keep(member, value)
        member.is_announced = True
        if member.is_gone:
            heapq.heappush(self._places, member.place)

    def _may_tell(self) -> bool:
        """Use up one of the reports that are possible now, if any is left."""
        now = self._loop.time()
        elapsed_s, self._tells_since = now - self._tells_since, now
        is_calm = self._audit.allowance.has_room("", Rank.PRESENCE)
        gained = elapsed_s * (TELLS_PER_S if is_calm else SLOW_TELLS_PER_S)
        self._tells = min(float(TELLS_AT_ONCE), self._tells + gained)
        if self._tells < 1:
            return False
        self._tells -= 1
        return True

    def _channel(self, member: Member) -> Channel:
        metadata = Metadata(ValueType.JSON, description="a client")
        return self._bus.channel(f"$sys/clients/{member.place}", metadata)

    def _keep(self, member: Member, value: dict[str, Value]) -> None:
        try:
            if member.is_gone:
                self._store.delete(KIND, member.identity.id)
            else:
                row = {**value, "place": member.place, "ephemeral": member.is_ephemeral}
                self._store.put(KIND, member.identity.id, row)
        except StoreError as exc:
            log.warning("presence is not kept", extra={"reason": str(exc)})

    def restore(self) -> None:
        """Load the clients from before a restart; all of them are away.

        If the rows come late, those who are here keep their places.
        """
        taken = {member.place for member in self._members.values()} | self._untold.keys()
        here = frozenset(taken)
        rows = self._store.load(KIND)
        found = {one: _member(one, row, self._issuer.key_of(one)) for one, row in rows.items()}
        highest = max([self._places_made, *(one.place for one in found.values() if one)])
        for client, member in found.items():
            if member is not None and member.place in here:
                highest += 1
                member.place = highest
            if member is None or member.place in taken or len(self._away) >= MAX_AWAY:
                self._store.delete(KIND, client)
                continue
            taken.add(member.place)
            member.is_announced = True
            watches, member.watches = member.watches, frozenset()
            groups, member.groups = member.groups, frozenset()
            self._members[client] = member
            self._set_watches(member, watches)
            self._set_groups(member, groups)
            if member.is_ephemeral:
                self._gone(member)
            else:
                self._leaves(member)
        self._places_made = max(taken, default=0)
        still = {member.place for member in self._members.values()} | self._untold.keys()
        self._places = sorted({*range(1, self._places_made + 1)} - still)


def _value(member: Member) -> dict[str, Value]:
    """Return the value that is published of a client."""
    identity = member.identity
    return {
        "id": identity.id,
        "name": identity.name,
        "address": identity.address,
        "since_us": member.since_us,
        "state": member.state,
        "watches": list[Value](sorted(member.watches)[:MAX_WATCHES]),
        "groups": list[Value](sorted(member.groups)),
        "permissions": list[Value](member.permissions),
    }


def _member(client: str, value: Value, key: str) -> Member | None:
    """Read a client's row from the store, or return None if it is invalid."""
    match value:
        case {
            "name": str(name),
            "address": str(address),
            "since_us": int(since_us),
            "place": int(place),
            "watches": list(watches),
            "groups": list(groups),
            **more,
        } if 0 < place <= 2 * MAX_AWAY:
            member = Member(Identity(client, name, address), key, place, since_us)
            # A store of the first version has "brief" and "may".
            member.is_ephemeral = bool(more.get("ephemeral", more.get("brief")))
            member.watches = frozenset(str(topic) for topic in watches)
            member.groups = frozenset(str(name) for name in groups)
            permissions = more.get("permissions", more.get("may"))
            if isinstance(permissions, list):
                member.permissions = tuple(str(action) for action in permissions)
            return member
    return None
