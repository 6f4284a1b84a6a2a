"""The client's connection: connects, sends requests, passes on answers, reconnects by itself.

Theory of operation. One task owns the connection for the life of the client: it connects, says
hello, opens every subscription at the position it had reached, and passes on what arrives. When
the connection ends, it starts over after a growing pause. Each subscription has a bounded queue;
when its reader is slow, the task stops reading the socket and leaves the lag to the server, so
nothing piles up here.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from sensord.client.conversation import (
    Conversation,
    Decided,
    Ended,
    Event,
    Items,
    Refused,
    Succeeded,
    Update,
)
from sensord.client.errors import ClientError, LostError, StrangerError
from sensord.client.handshake import connect_to
from sensord.client.inflow import Inflow, Opened, R, place_of, start_of
from sensord.client.lookup import Lookup
from sensord.client.replay import Replay
from sensord.client.subscription import Stream, Subscription
from sensord.client.trust import Trust
from sensord.device.conform import value_fault
from sensord.errors import ProtocolError
from sensord.model.readings import Position, Value
from sensord.wire.frames import CODECS, Codec
from sensord.wire.ops import Request, Result, replay
from sensord.wire.ops.acting import Call, Outcome, Set
from sensord.wire.ops.forget import Forget
from sensord.wire.ops.queries import Get
from sensord.wire.ops.session import Bye, Cancel, Hello, Ping, Welcome
from sensord.wire.ops.state import Publish
from sensord.wire.ops.subscriptions import DEFAULT_LATENCY_S, Options, Subscribe

__all__ = ["Client"]

log = logging.getLogger("sensord.client")

FIRST_PAUSE_S, LONGEST_PAUSE_S, BUSY_PAUSE_S = 0.1, 5.0, 5.0

OUTBOX = 1024
"""Most requests that may wait for the socket; more are the caller's mistake."""

STEADY_S = 10.0
"""A connection that lasted this long resets the pause."""

REPEAT_S = 30.0
"""An act whose connection was lost is repeated for this long: later it is no longer wanted."""

BUSY = range(4100, 4200)
DO_NOT = frozenset({1002, 1003, 1007, 1008, 1009, *range(4200, 4300)})
"""Close codes after which reconnecting is pointless: `docs/protocol.md`, section 9."""


VALUES = ("value", "body", "args")
"""Fields of requests whose values come from the program."""


class _Packed(NamedTuple):
    """An encoded request."""

    request: Request[Result]
    payload: bytes


class Client(Lookup):
    """A connection to a sensord server that stays up.

    Entering it connects, and raises if that fails. Later it reconnects by itself, and
    subscriptions resume where they were.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "",
        encoding: str = "msgpack",
        key: str = "",
        groups: Sequence[str] | None = None,
        is_ephemeral: bool = False,
        token: str | None = None,
        trust: Trust | None = None,
    ) -> None:
        """Prepare a client without connecting.

        ``key`` is that of an earlier client, to be recognised as the same one; ``groups`` are
        those that it joins, and None leaves them unchanged. An ephemeral client is gone with its
        connection. ``url`` may be ``unix:/path``; ``token`` is sent in hello, never in the
        address; ``trust`` says which certificate of a ``wss://`` server is accepted.
        """
        self._welcome: Welcome | None = None
        self.id = ""
        """The id by which other clients know this one."""
        self.on_lost: Callable[[str], None] | None = None
        """Called with the reason when the connection is lost; may not raise."""
        self.on_back: Callable[[], None] | None = None
        """Called when it is back; may not raise."""
        self.repeat_s = REPEAT_S
        """How long an act waits for a lost connection to come back."""
        self._url = url
        self._hello = Hello(
            1,
            name,
            key or None,
            None if groups is None else tuple(groups),
            is_ephemeral,
            token,
        )
        self._trust = trust
        self._codec: Codec = CODECS[f"sensord.v1.{encoding}"]
        self._numbers = itertools.count(2)
        self._inflows: dict[int, Inflow[Any]] = {}
        self._answers: dict[int, tuple[asyncio.Future[object], bool]] = {}
        self._collected: dict[int, list[Update]] = {}
        self._only_as: dict[int, str] = {}  # the client id that a request is valid for
        self._outbox: asyncio.Queue[_Packed] = asyncio.Queue()
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended: ClientError | None = None
        self._up = asyncio.Event()  # while connected

    async def __aenter__(self) -> Self:
        conversation = await self._connect()
        self._up.set()
        self._task = asyncio.create_task(self._keep(conversation), name="sensord-client")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._end(ClientError("the client was closed"), None)
        if self._socket is not None:
            await self._socket.close()

    @property
    def key(self) -> str:
        """The secret that identifies this client; a later client that shows it is the same one."""
        return self._hello.key or ""

    @property
    def server(self) -> Welcome:
        """The newest answer to hello: the server's epoch, offset, clock, limits, ...

        Raises:
            ClientError: There has been no connection yet.
        """
        if self._welcome is None:
            raise ClientError("not connected yet; enter the client first")
        return self._welcome

    async def connected(self) -> None:
        """Wait until there is a connection.

        Raises:
            ClientError: The client has ended.
        """
        await self._up.wait()
        if self._ended is not None:
            raise self._ended

    # -- requests ----------------------------------------------------------------------------------

    def subscribe(
        self,
        *topics: str,
        start: str | Position | int = "snapshot",
        mode: Literal["every", "latest"] = "every",
        period_s: float = 0.0,
        max_latency_s: float | None = None,
        deadband: float = 0.0,
    ) -> Subscription:
        """Open a subscription and return an iterator over it.

        ``start`` is ``"snapshot"``, ``"now"``, ``"-10m"``, a `Position`, or a time in µs.
        """
        options = Options(
            mode,
            period_s,
            DEFAULT_LATENCY_S if max_latency_s is None else max_latency_s,
            deadband,
        )
        asked = Subscribe(next(self._numbers), topics, start_of(start), options)
        return self.opened(Subscription(asked, self))

    def opened(self, inflow: Opened) -> Opened:
        """Send the request of an iterator, and return the iterator."""
        asked = inflow.opening()
        assert asked is not None, "it has just begun"
        self.send(asked)
        self._inflows[inflow.request] = inflow
        self._hurry()
        return inflow

    def open_again(self, inflow: Inflow[Any]) -> None:
        """Replace an iterator's request by one that continues from where it stands."""
        # In this order, so that the client never stops watching, even for a moment.
        old, inflow.request = inflow.request, next(self._numbers)
        self.opened(inflow)
        self.cancel(old)

    def number(self) -> int:
        """Return the id for the next request."""
        return next(self._numbers)

    def replay(
        self,
        *topics: str,
        start: str | Position | int,
        stop: str | Position | int | None = None,
        speed: float = 1.0,
        paused: bool = False,
    ) -> Replay:
        """Replay the past; return an iterator that can pause, step, seek and change its speed.

        ``start`` and ``stop`` are ``"-10m"``, a `Position`, or a time in µs.
        """
        until = None if stop is None else place_of(stop)
        number = next(self._numbers)
        asked = replay.Replay(number, topics, place_of(start), until, speed, paused)
        return self.opened(Replay(asked, self))

    def cancel(self, request: int) -> None:
        """Cancel a request and ignore its answer."""
        if self._inflows.pop(request, None) is not None and self._ended is None:
            self.send(Cancel(next(self._numbers), request))

    def fits(self, request: Request[Result]) -> bool:
        """Return whether a request is small enough for the server."""
        return self._limit is None or len(self._codec.message(request.write())) <= self._limit

    @property
    def _limit(self) -> int | None:
        return None if self._welcome is None else self._welcome.limits.get("message_bytes")

    async def ask(self, request: Request[R]) -> R:
        """Send a request that is answered at once, and return its result.

        Raises:
            ProtocolError: The server refuses.
            ClientError: The connection is lost before the answer; it may have been served.
        """
        result: R = await self._ask(request)
        return result

    async def act(self, request: Set | Call, *, only_as: str) -> Outcome:
        """Send a request that ends with an outcome, and return the outcome.

        It is sent only while the server knows this client by the id ``only_as``.

        Raises:
            ProtocolError: The server refuses.
            StrangerError: The server knows it by another id.
            LostError: The connection is lost before the outcome.
        """
        if only_as != self.id:
            raise StrangerError(only_as)
        self._only_as[request.id] = only_as
        try:
            outcome: Outcome = await self._ask(request, until_end=True)
            return outcome
        finally:
            del self._only_as[request.id]

    async def publish(self, topic: str, value: Value, *, time_us: int | None = None) -> int:
        """Publish a reading of a topic that is open for clients, and return its offset.

        Raises:
            ProtocolError: The server refuses.
            ClientError: The connection is lost before the answer; it may have been published.
        """
        return (await self.ask(Publish(next(self._numbers), topic, value, time_us))).offset

    async def forget(self, *topics: str) -> list[str]:
        """Forget topics that will not come back, and return them; filters are allowed.

        Their history stays. It needs the right ``admin``.

        Raises:
            ProtocolError: The server refuses; nothing was forgotten.
            ClientError: The connection is lost before the answer; it may have been done.
        """
        return list((await self.ask(Forget(next(self._numbers), topics))).topics)

    def unsubscribe(self, subscription: Stream) -> None:
        """End a subscription or replay; its iteration stops after what has already arrived."""
        if subscription.request in self._inflows:
            self.cancel(subscription.request)
            subscription.end(None)

    async def get(self, *topics: str) -> list[Update]:
        """Return the last values of the topics that the filters select.

        Raises:
            ProtocolError: The server refuses.
            ClientError: The connection is lost before the answer.
        """
        number = next(self._numbers)
        collected = self._collected[number] = []
        try:
            await self._ask(Get(number, topics), until_end=True)
        finally:
            del self._collected[number]
        return collected

    async def bye(self) -> None:
        """Announce that this client will not come back; it is gone with its last connection.

        Raises:
            ClientError: The connection is lost before the answer.
        """
        await self.ask(Bye(next(self._numbers)))

    async def ping(self) -> int:
        """Return the server's clock, in µs.

        Raises:
            ClientError: The connection is lost before the answer.
        """
        return (await self.ask(Ping(next(self._numbers)))).time_us

    async def _ask(self, request: Request[Result], *, until_end: bool = False) -> Any:  # noqa: ANN401  # by the request
        """Send a request; return its result, or with ``until_end`` its outcome if any."""
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.send(request)
        self._answers[request.id] = (answer, until_end)
        self._hurry()
        return await answer

    def _hurry(self) -> None:
        """Stop waiting for slow readers, so that the answer to a request can arrive."""
        for inflow in self._inflows.values():
            inflow.hurry()

    @property
    def is_shared(self) -> bool:
        """Whether several iterators wait for what arrives."""
        return len(self._inflows) > 1

    def send(self, request: Request[Result]) -> None:
        """Send a request, now or when the connection is back.

        Raises:
            ClientError: The client has ended, too many requests wait, or it cannot be sent.
        """
        if self._ended is not None:
            raise self._ended
        if self._outbox.qsize() >= OUTBOX:
            raise ClientError(f"more than {OUTBOX} requests wait to be sent")
        self._outbox.put_nowait(self._pack(request))

    def _pack(self, request: Request[Result]) -> _Packed:
        """Encode a request; its faults are raised to the caller, and do not end the connection."""
        message = request.write()
        for field, value in message.items():
            if (field in VALUES or isinstance(value, str)) and (fault := value_fault(value)):
                raise ClientError(f"{field}: cannot be sent, {fault}")
        try:
            payload = self._codec.message(message)
        except (TypeError, ValueError, OverflowError) as exc:
            raise ClientError(f"the request cannot be sent: {exc}") from exc
        limit = self._limit
        if limit is not None and len(payload) > limit:
            text = f"the request cannot be sent: {len(payload)} bytes, and the server takes {limit}"
            raise ClientError(text)
        return _Packed(request, payload)

    # -- staying connected -------------------------------------------------------------------------

    async def _send(self, payload: bytes) -> None:
        assert self._socket is not None
        await self._socket.send(payload, text=self._codec.is_text)

    async def _connect(self) -> Conversation:
        """Connect and say hello.

        Raises:
            ClientError: The connection failed.
        """
        met = await connect_to(self._url, self._codec, self._hello, self._trust)
        self._socket, self._welcome = met.socket, met.welcome
        if met.welcome.client:  # empty from a server without presence
            self.id = met.welcome.client
            self._hello = replace(self._hello, key=met.welcome.key)
        return met.conversation

    async def _keep(self, conversation: Conversation) -> None:
        """Serve the connection, and reconnect whenever it ends."""
        pause_s = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            reason, code = await self._serve(conversation)
            self._up.clear()
            too_late = loop.call_later(self.repeat_s, self._give_up_acts)
            self._forget_answers(reason)
            log.info("disconnected", extra={"url": self._url, "reason": reason})
            if self.on_lost is not None:
                self.on_lost(reason)
            if loop.time() - began > STEADY_S:
                pause_s = FIRST_PAUSE_S
            while True:
                if code in DO_NOT:
                    too_late.cancel()
                    error = ClientError(f"{self._url} will not have this client: {reason}", code)
                    self._end(error, error)
                    return
                # Spread, so that a plant's monitors do not come back at the same moment.
                wait_s = pause_s * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
                await asyncio.sleep(wait_s + (BUSY_PAUSE_S if code in BUSY else 0.0))
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                try:
                    conversation = await self._connect()
                except ClientError as exc:
                    reason, code = str(exc), exc.code
                else:
                    break
            log.info("connected again", extra={"url": self._url})
            too_late.cancel()
            self._up.set()
            if self.on_back is not None:
                self.on_back()
            self._ask_again()

    def _give_up_acts(self) -> None:
        for number, inflow in tuple(self._inflows.items()):
            inflow.too_late()
            if inflow.is_over:
                del self._inflows[number]

    def _ask_again(self) -> None:
        """Resume the subscriptions, and send the requests that waited for the connection."""
        asked, self._outbox = self._outbox, asyncio.Queue()
        for inflow in tuple(self._inflows.values()):
            inflow.lost()
            asked_again = inflow.opening()
            if asked_again is not None:
                self._outbox.put_nowait(self._pack(asked_again))
            elif inflow.is_over:
                del self._inflows[inflow.request]
        while not asked.empty():
            packed = asked.get_nowait()
            number = packed.request.id
            only_as = self._only_as.get(number, self.id)
            if only_as != self.id:
                self._settle(number, None, StrangerError(only_as))
            elif number in self._answers:
                self._outbox.put_nowait(packed)

    async def _serve(self, conversation: Conversation) -> tuple[str, int]:
        """Pass on what arrives until the connection ends; return the reason and close code."""
        assert self._socket is not None
        sender = asyncio.create_task(
            self._send_requests(conversation), name="sensord-client-sender"
        )
        try:
            async for payload in _payloads(self._socket):
                event = conversation.received(payload)
                if event is not None:
                    await self._deliver(event)
        except ConnectionClosed as exc:
            close = exc.rcvd
            return (str(exc), close.code if close else 1006)
        except ProtocolError as exc:
            # The server broke the protocol; after a restart or an update it may not.
            await self._socket.close(1002, "protocol error")
            return (str(exc), 1006)
        finally:
            sender.cancel()
        return ("closed", 1000)

    async def _send_requests(self, conversation: Conversation) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                packed = await self._outbox.get()
                conversation.asked(packed.request)
                await self._send(packed.payload)

    async def _deliver(self, event: Event) -> None:
        match event:
            case Items(request, items):
                inflow = self._inflows.get(request)
                if inflow is not None:
                    await inflow.put(event, lambda: self._answers)
                elif request in self._collected:
                    self._collected[request] += [i for i in items if isinstance(i, Update)]
            case Succeeded(request, result):
                answer, until_end = self._answers.get(request, (None, False))
                if answer is not None and not until_end:
                    self._settle(request, result, None)
                elif request in self._inflows:
                    self._inflows[request].answered(result)
            case Decided(request, outcome):
                if request in self._inflows:
                    self._inflows[request].settled(outcome)
                else:
                    self._settle(request, outcome, None)
            case Refused(request, error):
                self._refused(request, error)
            case Ended(request):
                self._over(event)
                self._settle(request, None, None)

    def _refused(self, request: int | None, error: ProtocolError) -> None:
        if request in self._inflows:
            self._inflows.pop(request).end(error)
        elif request is not None:
            self._settle(request, None, error)

    def _over(self, event: Ended) -> None:
        inflow = self._inflows.get(event.request)
        if inflow is not None:
            inflow.over(event)
            if inflow.is_over:
                del self._inflows[event.request]

    def _settle(self, request: int, found: object, error: Exception | None) -> None:
        answer, _ = self._answers.pop(request, (None, False))
        if answer is None or answer.done():
            return
        if error is None:
            answer.set_result(found)
        else:
            answer.set_exception(error)

    def _forget_answers(self, reason: str) -> None:
        for request in tuple(self._answers):
            self._settle(request, None, LostError(f"the connection was lost: {reason}"))

    def _end(self, error: ClientError, for_readers: ClientError | None) -> None:
        """Refuse waiting and later requests, and end all iterations."""
        self._ended = error
        self._up.set()
        for request in tuple(self._answers):
            self._settle(request, None, error)
        for inflow in self._inflows.values():
            inflow.end(for_readers)


async def _payloads(socket: ClientConnection) -> AsyncIterator[bytes]:
    while True:
        yield await socket.recv(decode=False)
