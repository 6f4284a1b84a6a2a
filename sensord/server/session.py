"""A session: one monitor's conversation, from its hello to its end.

Owns the conversation's state and its open requests; each kind of request is served in
`sensord.server.requests`. It knows no socket: it writes through the connection it is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Protocol

import sensord
from sensord.access.gate import Entry, Origin, RefusedError
from sensord.access.rights import NOTHING
from sensord.errors import ProtocolError
from sensord.server.live.subscription import Subscription
from sensord.server.open.request import OpenRequest
from sensord.server.packets import Write, packet
from sensord.server.permissions import passed_on, permitted
from sensord.server.requests import HANDLERS
from sensord.server.shared import Shared
from sensord.sharing.identity import Identity
from sensord.sharing.presence import Member
from sensord.wire.frames import Codec
from sensord.wire.ops import Request, Result, read_request, request_id
from sensord.wire.ops.base import Sendable
from sensord.wire.ops.session import End, Error, Hello, Welcome
from sensord.wire.ops.state import Delete, Put
from sensord.wire.states import Event, State, after

__all__ = ["Outlet", "Session"]

NOTHING_ALLOWED = "send a token: without one, nothing is allowed here"

MAX_MALFORMED = 100
"""A session ends after this many messages in a row that cannot be read."""


class Outlet(Protocol):
    """The connection, as its session sees it."""

    @property
    def write(self) -> Write:
        """Write bytes to the client."""
        ...

    @property
    def is_congested(self) -> bool:
        """Whether the unsent bytes are above the mark."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and end the connection."""
        ...

    def guard(self, act: Callable[..., None], *args: object) -> bool:
        """Call ``act``; what it raises ends this session and nothing else."""
        ...

    def request_ended(self) -> None:
        """Handle the end of an open request: that of plain HTTP has no other."""
        ...

    @property
    def entry(self) -> Entry | None:
        """What a token of the upgrade allows; None without one."""
        ...

    @property
    def origin(self) -> Origin:
        """Where the client is."""
        ...

    def deny(self, act: Callable[[], None]) -> None:
        """Serve no more, and call ``act`` after the pause for wrong tokens."""
        ...

    def let_in(self) -> None:
        """Forget earlier wrong tokens from there."""
        ...


class Session:
    """One monitor's conversation."""

    def __init__(
        self, name: str, slot: int, address: str, codec: Codec, outlet: Outlet, shared: Shared
    ) -> None:
        self.name = name
        """Its number since the start of the daemon."""
        self.slot = slot
        """Its slot under ``$sys/sessions``, reused when this session is over."""
        self.address = address
        self.client = ""
        self.codec = codec
        self.write: Write = outlet.write
        self._outlet = outlet
        self.shared = shared
        self._state = State.OPENING
        self._malformed = 0
        self.ongoing: dict[int, OpenRequest] = {}
        """Its open requests, by their ids."""
        self._uncounted: set[int] = set()
        self._member: Member | None = None
        self.identity = Identity("", "", address)
        """Who the client is, after its hello."""
        self._lost: Counter[str] = Counter()  # of requests that are over
        self.entry = Entry(NOTHING)
        """What it may do, and by which token."""
        self._blind: set[int] = set()
        """Requests whose errors must not show the value of their topic."""

    @property
    def is_ready(self) -> bool:
        """Whether its hello was accepted."""
        return self._state is State.READY

    @property
    def watches(self) -> set[str]:
        """The filters of its subscriptions."""
        open_ = (o for o in self.ongoing.values() if isinstance(o, Subscription))
        return {topic for subscription in open_ for topic in subscription.topics}

    @property
    def permissions(self) -> tuple[str, ...]:
        """What the client is allowed to do."""
        return self.entry.rights.actions

    @property
    def is_congested(self) -> bool:
        """Whether the unsent bytes are above the mark."""
        return self._outlet.is_congested

    @property
    def lost(self) -> Counter[str]:
        """The loss ledger: by topic, the readings named in its gaps."""
        total = Counter(self._lost)
        for request in self.ongoing.values():
            total.update(request.lost)
        return total

    def send(self, message: Sendable) -> None:
        """Send a control message."""
        if self._blind and isinstance(message, Error | Result) and message.id in self._blind:
            self._blind.discard(message.id)
            if isinstance(message, Error):
                message = replace(message, present=None)
        self.write(packet(self.codec, self.codec.message(message.write())))

    def guard(self, act: Callable[..., None], *args: object) -> None:
        """Call ``act``; what it raises ends this session and nothing else."""
        self._outlet.guard(act, *args)

    # -- called by the connection ------------------------------------------------------------------

    def serve(self, entry: Entry, request: Request[Result]) -> None:
        """Serve the one request of a client of plain HTTP, who says no hello.

        Raises:
            ProtocolError: It cannot be served; nothing was written.
        """
        self.entry = entry
        self._state = after(self._state, Event.HELLO)
        HANDLERS[type(request)](self, request)

    def received(self, payload: bytes, *, is_text: bool | None) -> None:
        """Serve one message of the client."""
        number: int | None = None
        try:
            if is_text is not self.codec.is_text:
                kind = "text" if self.codec.is_text else "binary"
                raise ProtocolError("bad_message", f"{self.codec.subprotocol} is {kind} messages")
            message = self.codec.decode(payload)
            number = request_id(message)
            request = read_request(message)
        except ProtocolError as exc:
            self._refuse(number, exc)
            self._state = after(self._state, Event.MALFORMED)
            self._malformed += 1
            if self._malformed >= MAX_MALFORMED:
                self._outlet.close(4201, "too many malformed messages")
            return
        self._malformed = 0
        try:
            self._serve(request)
        except ProtocolError as exc:
            self._refuse(number, exc)

    def _refuse(self, number: int | None, error: ProtocolError) -> None:
        self.send(Error.of(number, error))

    def congested(self) -> None:
        """Stop sending: the client does not read fast enough."""
        for request in tuple(self.ongoing.values()):
            request.congested()

    def drained(self) -> None:
        """Continue: the client reads again."""
        for request in tuple(self.ongoing.values()):
            request.drained()

    def ended(self) -> None:
        """Release everything: the connection is over."""
        if self._state is not State.CLOSED:
            self._state = after(self._state, Event.CLOSE)
        for request in self.ongoing.values():
            request.close()
            self._lost.update(request.lost)
        self.ongoing.clear()
        if self._member is not None:
            self.shared.sharing.presence.leave(self, self._member)

    # -- requests ----------------------------------------------------------------------------------

    def _serve(self, request: Request[Result]) -> None:
        if isinstance(request, Hello):
            self._hello(request)
            return
        self._state = after(self._state, Event.REQUEST)
        if self._state is State.OPENING:
            raise ProtocolError("hello_first", 'send {"op": "hello", "id": …} first')
        if request.id in self.ongoing:
            raise ProtocolError("already", f"id {request.id} is an open request")
        request = permitted(self.entry.rights, request)
        if self.shared.bus.log.is_mirror:
            passed_on(request)
        if isinstance(request, Put | Delete) and not self.entry.rights.covers(request.topic):
            self._blind.add(request.id)
        HANDLERS[type(request)](self, request)

    def _enter(self, token: str | None) -> str | None:
        """Determine the client's rights; return why it is refused, or None."""
        gate = self.shared.gate
        try:
            if token is not None:
                self.entry = gate.enter(token, self.shared.bus.now_us())
            else:
                self.entry = self._outlet.entry or gate.anonymous(self._outlet.origin)
        except RefusedError as exc:
            return str(exc)
        return NOTHING_ALLOWED if self.entry.rights.is_empty else None

    def _turn_away(self, number: int, why: str) -> None:
        self.send(Error(number, "unauthorized", why))
        self._outlet.close(4203, why)

    def is_allowed(self, action: str, subject: str) -> bool:
        """Return whether its rights allow an action on a topic or name."""
        return self.entry.rights.allows(action, subject)

    def keep(self, number: int, request: OpenRequest, *, is_counted: bool = True) -> None:
        """Keep a request open until `end`; requests with a bound of their own are not counted.

        Raises:
            ProtocolError: There are too many.
        """
        if is_counted:
            self.check_room()
        else:
            self._uncounted.add(number)
        self.ongoing[number] = request

    def check_room(self) -> None:
        """Check that another request can be kept open, before anything is done for it.

        Raises:
            ProtocolError: There are too many.
        """
        limit = self.shared.limits.requests
        if len(self.ongoing) - len(self._uncounted) >= limit:
            raise ProtocolError("too_many", f"end one of your {limit} open requests first")

    def end(
        self, number: int, *, cursor: int | None = None, is_complete: bool | None = None
    ) -> None:
        """Close an open request and send its `end`."""
        request = self.ongoing.pop(number)
        request.close()
        self._lost.update(request.lost)
        self.send(End(number, cursor, is_complete))
        self._outlet.request_ended()

    def settle(self, number: int, answer: Sendable) -> None:
        """Answer a request that was kept open until now, and close it."""
        self.ongoing.pop(number).close()
        self._uncounted.discard(number)
        self.send(answer)

    def subscriptions_changed(self) -> None:
        """Show others that this session's filters have changed."""
        if self._member is not None:
            self.shared.sharing.presence.watching(self._member)

    def _hello(self, request: Hello) -> None:
        if self._state is State.READY:
            raise ProtocolError("already", "hello was accepted already; send requests")
        if (why := self._enter(request.token)) is not None:
            self._outlet.deny(lambda: self._turn_away(request.id, why))
            return
        if self.entry.token is not None:
            self._outlet.let_in()
        permitted(self.entry.rights, request)
        self._state = after(self._state, Event.HELLO)
        self.client = request.client
        presence = self.shared.sharing.presence
        self._member = presence.join(
            self, request.client, self.address, request.key, is_ephemeral=request.is_ephemeral
        )
        if request.groups is not None:
            presence.set_groups(self._member, frozenset(request.groups))
        token = "" if self.entry.token is None else self.entry.token.name
        self.identity = replace(self._member.sessions[self], token=token)
        log, limits = self.shared.bus.log, self.shared.limits
        welcome = Welcome(
            request.id,
            server=f"sensord/{sensord.__version__}",
            session=self.name,
            client=self._member.identity.id,
            key=self._member.key,
            epoch=log.epoch,
            offset=log.tail,
            time_us=self.shared.bus.now_us(),
            limits={
                "message_bytes": limits.message_bytes,
                "requests": limits.requests,
                "filters": limits.filters,
                "outbox_bytes": limits.outbox_bytes,
            },
            rights=asdict(self.entry.rights),
        )
        self.send(welcome)
