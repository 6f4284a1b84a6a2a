"""A session: one monitor's conversation, from its hello to its end.

Owns the monitor's state and its subscriptions; answers requests in the order in which they came.
Knows nothing of sockets: it writes through the connection it was given.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, assert_never

import sensord
from sensord.bus import Bus
from sensord.errors import ProtocolError
from sensord.log import Archive
from sensord.server.group import Groups, Key, Write, announcements, frames, packet
from sensord.server.subscription import Subscription
from sensord.wire import messages
from sensord.wire.frames import Codec, Message
from sensord.wire.states import Event, State, after

__all__ = ["Limits", "Outlet", "Session", "Shared"]

MAX_MALFORMED = 100
"""This many malformed messages in a row are not a mistake any more."""

MALFORMED = {"bad_message", "bad_request", "unknown_op"}
"""The errors that only a broken client makes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take; `docs/protocol.md`, section 8, tells them."""

    message_bytes: int = 64 * 1024
    subscriptions: int = 64
    filters: int = messages.MAX_FILTERS
    sessions: int = 10_000
    outbox_bytes: int = 128 * 1024
    lag_timeout_s: float = 30.0
    hello_timeout_s: float = 10.0
    silence_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Shared:
    """What all sessions of a server share."""

    bus: Bus
    archive: Archive | None
    groups: Groups
    loop: asyncio.AbstractEventLoop
    limits: Limits


class Outlet(Protocol):
    """The connection, as its session sees it."""

    @property
    def write(self) -> Write:
        """Write bytes to the client."""
        ...

    @property
    def is_clogged(self) -> bool:
        """Whether the unsent bytes are above the mark."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Say good-bye and end the connection."""
        ...

    def guard(self, act: Callable[..., None], *args: object) -> bool:
        """Call ``act``; what it raises ends this session and nothing else."""
        ...


class Session:
    """One monitor's conversation."""

    def __init__(
        self, name: str, slot: int, address: str, codec: Codec, outlet: Outlet, shared: Shared
    ) -> None:
        self.name = name
        """Its number since the start of the daemon."""
        self.slot = slot
        """Its place under ``$sys/sessions``: given to another session when this one is over."""
        self.address = address
        self.client = ""
        self.codec = codec
        self.write: Write = outlet.write
        self._outlet = outlet
        self._shared = shared
        self._state = State.OPENING
        self._malformed = 0
        self._subscriptions: dict[int, Subscription] = {}
        self._lost: Counter[str] = Counter()  # of subscriptions that have ended

    @property
    def is_ready(self) -> bool:
        """Whether it has said hello."""
        return self._state is State.READY

    @property
    def is_clogged(self) -> bool:
        """Whether the unsent bytes are above the mark."""
        return self._outlet.is_clogged

    @property
    def lost(self) -> Counter[str]:
        """The loss ledger: by topic, the readings named in its gaps."""
        total = Counter(self._lost)
        for subscription in self._subscriptions.values():
            total.update(subscription.lost)
        return total

    def tell(self, message: Message) -> None:
        """Send a control message."""
        self.write(packet(self.codec, self.codec.message(message)))

    def guard(self, act: Callable[..., None], *args: object) -> None:
        """Call ``act``; what it raises ends this session and nothing else."""
        self._outlet.guard(act, *args)

    # -- what the connection tells -----------------------------------------------------------------

    def received(self, payload: bytes, *, is_text: bool) -> None:
        """Take one message of the client."""
        number: int | None = None
        try:
            if is_text is not self.codec.is_text:
                kind = "text" if self.codec.is_text else "binary"
                raise ProtocolError("bad_message", f"{self.codec.subprotocol} is {kind} messages")
            message = self.codec.decode(payload)
            number = messages.request_id(message)
            request = messages.read_request(message)
            self._serve(request)
        except ProtocolError as exc:
            self.tell(messages.error(number, exc.code, exc.message))
            if exc.code in MALFORMED:
                self._state = after(self._state, Event.MALFORMED)
                self._malformed += 1
            if self._malformed >= MAX_MALFORMED:
                self._outlet.close(4201, "too many malformed messages")
        else:
            self._malformed = 0

    def clogged(self) -> None:
        """Learn that the client does not read fast enough."""
        for subscription in self._subscriptions.values():
            subscription.clogged()

    def unclogged(self) -> None:
        """Learn that the client reads again."""
        for subscription in tuple(self._subscriptions.values()):
            subscription.advance()

    def ended(self) -> None:
        """Let everything go: the connection is over."""
        if self._state is not State.CLOSED:
            self._state = after(self._state, Event.CLOSE)
        for subscription in self._subscriptions.values():
            subscription.close()
            self._lost.update(subscription.lost)
        self._subscriptions.clear()

    # -- requests ----------------------------------------------------------------------------------

    def _serve(self, request: messages.Request) -> None:
        if isinstance(request, messages.Hello):
            self._hello(request)
            return
        self._state = after(self._state, Event.REQUEST)
        if self._state is State.OPENING:
            raise ProtocolError("hello_first", 'send {"op": "hello", "id": …} first')
        if request.id in self._subscriptions:
            raise ProtocolError("already", f"id {request.id} is an open subscription")
        match request:
            case messages.Subscribe():
                self._subscribe(request)
            case messages.Unsubscribe():
                self._unsubscribe(request)
            case messages.Get():
                self._get(request)
            case messages.Ping():
                self._result(request.id, time_us=self._shared.bus.now_us())
            case _:
                assert_never(request)

    def _result(self, number: int, **more: object) -> None:
        self.tell({"op": "result", "id": number, **more})

    def _hello(self, request: messages.Hello) -> None:
        if self._state is State.READY:
            raise ProtocolError("already", "hello was said; go on with requests")
        self._state = after(self._state, Event.HELLO)
        self.client = request.client
        log, limits = self._shared.bus.log, self._shared.limits
        self._result(
            request.id,
            server=f"sensord/{sensord.__version__}",
            session=self.name,
            epoch=log.epoch,
            offset=log.tail,
            time_us=self._shared.bus.now_us(),
            limits={
                "message_bytes": limits.message_bytes,
                "subscriptions": limits.subscriptions,
                "filters": limits.filters,
                "outbox_bytes": limits.outbox_bytes,
            },
        )

    def _subscribe(self, request: messages.Subscribe) -> None:
        if request.change is not None:
            subscription = self._find(request.change)
            key = self._key(request.topics, request.options, subscription)
            self._result(request.id)
            subscription.change(key)
            return
        limit = self._shared.limits.subscriptions
        if len(self._subscriptions) >= limit:
            raise ProtocolError("too_many", f"end one of your {limit} subscriptions first")
        shared = self._shared
        subscription = Subscription(
            request.id, self, shared.bus, shared.archive, shared.groups, shared.loop
        )
        stream = subscription.open(self._key(request.topics, request.options))
        self._subscriptions[request.id] = subscription
        self._result(request.id, stream=stream)
        subscription.begin(request.start)

    def _key(
        self,
        topics: tuple[str, ...],
        options: messages.Options,
        changing: Subscription | None = None,
    ) -> Key:
        """Return a group key that no other subscription of this session has."""
        taken = {s.group.key for s in self._subscriptions.values() if s is not changing}
        key = Key(self.codec, topics, options)
        while key in taken:
            key = key._replace(twin=key.twin + 1)
        return key

    def _unsubscribe(self, request: messages.Unsubscribe) -> None:
        subscription = self._find(request.subscription)
        key = subscription.group.key
        if request.topics is not None:
            unknown = set(request.topics) - set(key.topics)
            if unknown:
                listed = ", ".join(sorted(unknown))
                raise ProtocolError("not_found", f"this subscription has no filter {listed}")
            left = tuple(topic for topic in key.topics if topic not in request.topics)
            if left:
                key = self._key(left, key.options, subscription)
                self._result(request.id)
                subscription.change(key)
                return
        del self._subscriptions[request.subscription]
        subscription.close()
        self._lost.update(subscription.lost)
        self._result(request.id)
        self.tell({"op": "end", "id": request.subscription})

    def _find(self, number: int) -> Subscription:
        subscription = self._subscriptions.get(number)
        if subscription is None:
            raise ProtocolError("not_found", f"there is no open subscription {number}")
        return subscription

    def _get(self, request: messages.Get) -> None:
        bus = self._shared.bus
        stream = self._shared.groups.next_stream()
        self._result(request.id, stream=stream)
        records = [r for c in bus.select(request.topics) if (r := bus.last(c)) is not None]
        for data in announcements(self.codec, [record.channel for record in records]):
            self.write(data)
        for _, data in frames(self.codec, stream, None, records):
            self.write(data)
        self.tell({"op": "end", "id": request.id})
