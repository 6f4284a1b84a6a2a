"""The post: accepts messages from clients, keeps them, and delivers each to its receivers once.

Theory of operation. A message is accepted when the store has it, and delivered only after that.
Numbers are never reused, so a client gets each message once if it acknowledges, or names the last
one that it had. Every receiver of an accepted message ends as delivered or expired, which the
sender and the audit receive. A message with a key is remembered for a while after its end, so that
a retry is not a second message.

The store has a row for each message, and one for each client that acknowledged a message that other
receivers have not acknowledged yet.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sensord.bus import Bus
from sensord.errors import ProtocolError
from sensord.model.readings import Value
from sensord.sharing.audit import Audit
from sensord.sharing.identity import Identity
from sensord.sharing.inbox import Inbox, Receiver
from sensord.sharing.memory import Memory
from sensord.sharing.messages import ClientMessage, Status, To, digest_of, read_message
from sensord.sharing.presence import Presence
from sensord.sharing.store import Store, StoreError

__all__ = ["Accepted", "Post", "PostOptions", "Sent"]

log = logging.getLogger("sensord.sharing")

LETTER, INBOX, COUNTER = "message", "inbox", "counter"
"""Kinds of rows in the store."""

RESERVED = 1000
"""Numbers reserved in the store at a time; a restart skips the rest of them."""

WOKEN_AT_ONCE = 50
"""Receivers of one message that are served in one turn of the loop: 2 ms."""

AUDITED = 64
"""Receivers that an audit entry names; it counts the others."""

MAX_OF_CLIENT, MAX_OF_ALL, MAX_RECEIVERS = 100, 10_000, 100_000
"""Bounds on the messages that have ended and are remembered by their keys."""

Accepted = Callable[[Exception | None], None]
"""Called when a message is accepted or has failed."""


class Sent(NamedTuple):
    """A message on its way; ``is_repeated`` if it was sent before."""

    message: ClientMessage
    is_repeated: bool


@dataclass(frozen=True, slots=True)
class PostOptions:
    """The bounds on kept messages."""

    messages: int
    """For one client."""
    bytes: int
    """For all."""
    age_s: float
    """How long a message is kept, and its receipts after that."""


class Post:
    """All messages between clients that are not yet forgotten."""

    def __init__(
        self,
        bus: Bus,
        presence: Presence,
        store: Store,
        audit: Audit,
        loop: asyncio.AbstractEventLoop,
        options: PostOptions,
    ) -> None:
        self._bus = bus
        self._presence = presence
        self._store = store
        self._audit = audit
        self._loop = loop
        self._options = options
        self._inboxes: dict[str, Inbox] = {}
        self._open: dict[int, ClientMessage] = {}  # by number; the first one expires first
        self._remembered = Memory[ClientMessage](
            of_client=MAX_OF_CLIENT,
            of_all=MAX_OF_ALL,
            weight=MAX_RECEIVERS,
            keep_s=options.age_s,
        )
        self._accepting: dict[int, list[Accepted]] = {}
        self._sleeping: deque[str] = deque()  # clients that have messages to read
        self._turn: asyncio.Handle | None = None
        self._bytes = 0
        self._next = self._reserved = 1
        self._timer: asyncio.Handle | None = None
        self._timer_due = 0.0

    # -- sending -----------------------------------------------------------------------------------

    def send(self, who: Identity, to: To, body: Value, size: int, key: str) -> Sent:
        """Send a message, or find the one that was sent with the same key.

        Raises:
            ProtocolError: Nothing was sent: too much is kept, or the key is another message's.
        """
        digest = digest_of(to, body) if key else ""
        known = self._remembered.find(who.id, key) if key else None
        if known is not None:
            if known.digest != digest:
                raise ProtocolError("bad_request", "key: it was used for another message")
            return Sent(known, is_repeated=True)
        self._audit.allowance.admit_body(who.id, size)
        statuses = self._statuses(who, to)
        now_us = self._bus.now_us()
        message = ClientMessage(0, who, to, body, size, now_us, key, digest, statuses)
        if message.is_over:
            message.is_kept = True
            self._note_over(message)
            return Sent(message, is_repeated=False)
        if self._bytes + message.bytes_held > self._options.bytes:
            text = f"{self._options.bytes} bytes of messages wait for their receivers; try later"
            raise ProtocolError("too_many", text)
        self._keep(message)
        return Sent(message, is_repeated=False)

    def attend(self, message: ClientMessage, accepted: Accepted) -> None:
        """Call ``accepted`` when the message is accepted, at once if it already is."""
        if message.is_kept:
            accepted(None)
        else:
            self._accepting[message.number].append(accepted)

    def follow(self, message: ClientMessage, follower: Callable[..., None]) -> None:
        """Report each further receipt of the message to ``follower``."""
        message.followers.append(follower)

    def unfollow(self, message: ClientMessage, follower: Callable[..., None]) -> None:
        """Undo a `follow`."""
        if follower in message.followers:
            message.followers.remove(follower)

    def _statuses(self, who: Identity, to: To) -> dict[str, Status]:
        if to.kind == "client":
            if self._presence.find(to.name) is None:
                return {to.name: Status.UNKNOWN}
            return {to.name: self._first_status(to.name)}
        if to.kind == "group":
            members = self._presence.group(to.name)
        else:
            members = self._presence.watchers(to.name)
        others = (member.identity.id for member in members if member.identity.id != who.id)
        return {client: self._first_status(client) for client in others}

    def _first_status(self, client: str) -> Status:
        inbox = self._inboxes.get(client)
        is_full = inbox is not None and len(inbox.waiting) >= self._options.messages
        return Status.FULL if is_full else Status.AWAY

    def _keep(self, message: ClientMessage) -> None:
        try:
            if self._next == self._reserved:
                self._store.put(COUNTER, "message", self._reserved + RESERVED)
                self._reserved += RESERVED
            message.number = self._next
            self._store.put(
                LETTER, str(message.number), message.row(), lambda error: self._kept(message, error)
            )
        except StoreError as exc:
            raise ProtocolError("too_many", str(exc)) from exc
        self._next += 1
        self._bytes += message.bytes_held
        self._open[message.number] = message
        self._accepting[message.number] = []
        self._add(message)
        for client in message.open_receivers:
            inbox = self._inboxes.setdefault(client, Inbox())
            inbox.waiting.append(message)
            inbox.messages += 1

    def _kept(self, message: ClientMessage, error: Exception | None) -> None:
        """Accept the message when the store has it: notify the sender, then the receivers."""
        accepting = self._accepting.pop(message.number)
        receivers = message.open_receivers
        if error is None:
            message.is_kept = True
            message.ends_at = self._loop.time() + self._options.age_s
            size = {"bytes": message.size, "receivers": len(message.statuses)}
            named = list[Value](list(message.statuses)[:AUDITED])
            self._note(message, "accepted", {**size, "to": named})
            for client in receivers:
                if self._inboxes[client].receiver is not None:
                    message.set(client, Status.SENT)
                    self._sleeping.append(client)
            self._schedule()
        else:
            del self._open[message.number]
            self._bytes -= message.bytes_held
            if message.key:
                self._remembered.forget(message.sender.id, message.key)
            for client in receivers:
                self._inboxes[client].remove(message)
                self._done_with(client)
        for accepted in accepting:
            accepted(error)
        if self._turn is None:
            self._wake()

    def _wake(self) -> None:
        """Wake some of the receivers with messages to read; the others in the next turns."""
        self._turn = None
        for _ in range(min(WOKEN_AT_ONCE, len(self._sleeping))):
            inbox = self._inboxes.get(self._sleeping.popleft())
            if inbox is not None and inbox.receiver is not None:
                inbox.receiver.wake()
        if self._sleeping:
            self._turn = self._loop.call_soon(self._wake)

    # -- receiving ---------------------------------------------------------------------------------

    def receive(self, client: str, receiver: Receiver, after: int | None) -> None:
        """Make a session the receiver of a client, in place of the one before.

        ``after`` is the last message that the client has.
        """
        inbox = self._inboxes.setdefault(client, Inbox())
        before = inbox.receiver
        inbox.receive(receiver)
        if before is not None:
            before.replaced()
        if after is not None and after < self._next:  # else the number is from another store
            self._delivered(client, inbox, after)
        for message in inbox.waiting:
            if message.is_kept:
                message.set(client, Status.SENT)

    def next(self, client: str) -> ClientMessage | None:
        """Return the next message for a client's receiver."""
        return self._inboxes[client].next()

    def leave(self, client: str, receiver: Receiver) -> None:
        """Stop receiving; unacknowledged messages wait."""
        inbox = self._inboxes.get(client)
        if inbox is None or inbox.receiver is not receiver:
            return
        inbox.receive(None)
        for message in inbox.waiting:
            if message.is_kept:
                message.set(client, Status.AWAY)
        if not inbox.is_needed:
            del self._inboxes[client]

    def acknowledge(self, client: str, number: int) -> None:
        """Mark all messages up to this one as delivered.

        Raises:
            ProtocolError: It was never sent to this client.
        """
        inbox = self._inboxes.get(client)
        if inbox is None or not inbox.has_read(number):
            raise ProtocolError("not_found", f"no message {number} waits to be acknowledged")
        self._delivered(client, inbox, number)

    def _delivered(self, client: str, inbox: Inbox, number: int) -> None:
        messages = inbox.acknowledge(number)
        for message in messages:
            message.set(client, Status.DELIVERED)
            if message.is_over:
                self._end(message)
        if any(not message.is_over for message in messages):
            inbox.is_noted = True
            self._change(INBOX, client, inbox.acknowledged)

    # -- the end of a message ----------------------------------------------------------------------

    def _end(self, message: ClientMessage) -> None:
        """Remove a message with no open receipts, or remember it by its key."""
        del self._open[message.number]
        self._bytes -= message.bytes_held
        message.body = None
        message.followers.clear()
        for client, status in message.statuses.items():
            if not status.is_refusal:
                self._done_with(client)
        self._note_over(message)
        if message.key:
            self._change(LETTER, str(message.number), message.row())
            self._remember(message)
        else:
            self._change(LETTER, str(message.number), None)

    def _done_with(self, client: str) -> None:
        inbox = self._inboxes[client]
        inbox.messages -= 1
        if not inbox.messages and inbox.is_noted:
            inbox.is_noted = False
            self._change(INBOX, client, None)
        if not inbox.is_needed:
            del self._inboxes[client]

    def _add(self, message: ClientMessage) -> None:
        if message.key:
            self._remembered.add(message.sender.id, message.key, message)

    def _remember(self, message: ClientMessage) -> None:
        now, weight = self._loop.time(), len(message.statuses)
        self._forgotten(self._remembered.end(message.sender.id, message.key, now, weight=weight))
        self._schedule()

    def _forgotten(self, messages: list[ClientMessage]) -> None:
        for message in messages:
            self._change(LETTER, str(message.number), None)

    def _schedule(self) -> None:
        """Schedule `_expire` for the next message that is due."""
        first = next((one.ends_at for one in self._open.values()), math.inf)
        when = min(first, self._remembered.due)
        if self._timer is not None:
            if self._timer_due <= when < math.inf:
                return
            self._timer.cancel()
            self._timer = None
        # A message that the disk does not have yet is not accepted, and does not expire.
        if when < math.inf:
            # Not from the handle: uvloop's has no time where the delay rounds to zero.
            self._timer_due = when
            self._timer = self._loop.call_at(when, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        for message in tuple(_until(now, self._open)):
            for client in message.open_receivers:
                self._inboxes[client].remove(message)
                message.set(client, Status.EXPIRED)
            self._end(message)
        self._forgotten(self._remembered.expire(now))
        self._schedule()

    # -- keeping -----------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop the timers; what waits is in the store."""
        for handle in (self._timer, self._turn):
            if handle is not None:
                handle.cancel()
        self._timer = self._turn = None

    def _change(self, kind: str, key: str, value: Value) -> None:
        """Write a row to the store, or delete it for None."""
        try:
            if value is None:
                self._store.delete(kind, key)
            else:
                self._store.put(kind, key, value)
        except StoreError as exc:
            # After a restart a message may be sent again; the client recognises its number.
            log.warning("what became of a message is not kept", extra={"reason": str(exc)})

    def restore(self) -> None:
        """Load the open and the remembered messages from the store."""
        acknowledged = {c: n for c, n in self._store.load(INBOX).items() if type(n) is int}
        counter = self._store.load(COUNTER).get("message")
        messages = []
        for number, row in self._store.load(LETTER).items():
            message = read_message(number, row)
            if message is None:
                self._change(LETTER, number, None)
            else:
                messages.append(message)
        messages.sort(key=lambda message: message.number)
        last = messages[-1].number + 1 if messages else 1
        self._next = max(counter if type(counter) is int else 1, last, self._next)
        self._reserved = self._next
        for message in messages:
            self._restore_letter(message, acknowledged)
        for client in acknowledged:
            if client not in self._inboxes:
                self._change(INBOX, client, None)
        self._schedule()

    def _restore_letter(self, message: ClientMessage, acknowledged: dict[str, int]) -> None:
        now, age_s = self._loop.time(), self._options.age_s
        since_s = (self._bus.now_us() - message.time_us) / 1e6
        # The clock may have been set meanwhile: bound the time.
        message.ends_at = now + min(age_s, max(0.0, age_s - since_s))
        self._add(message)
        if message.is_over:
            self._remember(message)
            return
        self._open[message.number] = message
        self._bytes += message.bytes_held
        for client in message.open_receivers:
            inbox = self._inboxes.setdefault(client, Inbox())
            inbox.messages += 1
            inbox.acknowledged = acknowledged.get(client, 0)
            inbox.is_noted = client in acknowledged
            if message.number <= inbox.acknowledged:
                message.set(client, Status.DELIVERED)
            else:
                message.set(client, Status.AWAY)
                inbox.waiting.append(message)
        if not message.open_receivers:
            self._end(message)

    # -- the audit ---------------------------------------------------------------------------------

    def _note_over(self, message: ClientMessage) -> None:
        counts = Counter(message.statuses.values())
        result = (
            "nobody" if not counts else next(iter(counts)).value if len(counts) == 1 else "partly"
        )
        by_status: dict[str, Value] = {status.value: count for status, count in counts.items()}
        self._note(message, result, {"bytes": message.size, **by_status})

    def _note(self, message: ClientMessage, result: str, after: dict[str, Value]) -> None:
        key = str(message.number or "")
        self._audit.note(
            "message", message.sender, message.to.subject, result, after=after, key=key
        )


def _until(now: float, messages: dict[int, ClientMessage]) -> Iterator[ClientMessage]:
    """Yield the messages that are due, from the first one on."""
    for message in messages.values():
        if message.ends_at > now:
            return
        yield message
