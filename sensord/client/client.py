"""The client's connection: connects, asks, hands on what arrives, and comes back by itself.

Theory of operation. One task owns the connection for the life of the client: it connects, says
hello, opens every subscription at the position it had reached, and hands on what arrives. When
the connection ends it does so again, after a growing pause. Each subscription has a bounded queue;
when its reader is slow, the task stops reading the socket, and it is the server that deals with
the lag: nothing piles up here.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from sensord.client.conversation import (
    Conversation,
    Ended,
    Event,
    Items,
    Outcome,
    Refused,
    Result,
    Update,
)
from sensord.client.errors import ClientError, LostError, StrangerError
from sensord.client.handshake import meet
from sensord.client.inflow import Inflow, Opened, place
from sensord.client.lookup import Asking
from sensord.client.replay import Replay
from sensord.client.subscription import Subscription
from sensord.device.conform import value_fault
from sensord.errors import ProtocolError
from sensord.model.readings import Position, Value
from sensord.wire.frames import CODECS, Codec

__all__ = ["Client"]

log = logging.getLogger("sensord.client")

FIRST_PAUSE_S, LONGEST_PAUSE_S, BUSY_PAUSE_S = 0.1, 5.0, 5.0

OUTBOX = 1024
"""Requests that may wait for the socket; more of them are a mistake of the caller's."""

STEADY_S = 10.0
"""A connection that held this long makes the next pause short again."""

BUSY = range(4100, 4200)
DO_NOT = frozenset({1002, 1003, 1007, 1008, 1009, *range(4200, 4300)})
"""Close codes after which coming back unchanged is pointless: `docs/protocol.md`, section 9."""


VALUES = ("value", "body", "args")
"""Fields of requests that hold what the program gave."""


class _Packed(NamedTuple):
    """A request, as it is sent."""

    request: int
    payload: bytes


class Client(Asking):
    """A connection to a sensord server that stays up.

    Entering it connects; if that fails it raises. Later losses of the connection are mended by
    itself, and subscriptions go on where they were.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "",
        encoding: str = "msgpack",
        key: str = "",
        groups: Sequence[str] | None = None,
        is_brief: bool = False,
    ) -> None:
        """Connect nowhere yet.

        ``key`` is that of an earlier client, to be the same one again; ``groups`` are those that it
        is in, and None leaves them as they are. One that is brief is gone with its connection.
        """
        self.server: dict[str, Any] = {}
        """The answer to hello: server, epoch, limits, ..."""
        self.id = ""
        """What other clients know this one by."""
        self.on_lost: Callable[[str], None] | None = None
        """Called with the reason when the connection is lost; may not raise."""
        self.on_back: Callable[[], None] | None = None
        """Called when it is there again; may not raise."""
        self._url = url
        self._key = key
        self._hello: dict[str, Any] = {"op": "hello", "id": 1, "client": name}
        if groups is not None:
            self._hello["groups"] = list(groups)
        if is_brief:
            self._hello["brief"] = True
        self._codec: Codec = CODECS[f"sensord.v1.{encoding}"]
        self._numbers = itertools.count(2)
        self._inflows: dict[int, Inflow[Any]] = {}
        self._answers: dict[int, tuple[asyncio.Future[dict[str, Any]], bool]] = {}
        self._collected: dict[int, list[Update]] = {}
        self._only_as: dict[int, str] = {}  # the client's id that a request must be asked with
        self._outbox: asyncio.Queue[_Packed] = asyncio.Queue()
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended: ClientError | None = None

    async def __aenter__(self) -> Self:
        conversation = await self._connect()
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
        """What proves who this client is: hand it to a later one, and it is the same. Secret."""
        return self._key

    # -- asking ------------------------------------------------------------------------------------

    def subscribe(
        self,
        *topics: str,
        start: str | Position | int = "snapshot",
        mode: str = "every",
        period_s: float = 0.0,
        max_latency_s: float | None = None,
        deadband: float = 0.0,
    ) -> Subscription:
        """Open a subscription; iterate over it.

        ``start`` is ``"snapshot"``, ``"now"``, ``"-10m"``, a `Position`, or a time in µs.
        """
        options: dict[str, Any] = {"mode": mode, "from": place(start)}
        if period_s:
            options["period"] = period_s
        if max_latency_s is not None:
            options["max_latency"] = max_latency_s
        if deadband:
            options["deadband"] = deadband
        return self.opened(Subscription(next(self._numbers), topics, options, self))

    def opened(self, inflow: Opened) -> Opened:
        """Ask what an iterator brings the answer of."""
        message = inflow.message()
        assert message is not None, "it has just begun"
        self.send(message)
        self._inflows[inflow.request] = inflow
        self._hurry()
        return inflow

    def open_again(self, inflow: Inflow[Any]) -> None:
        """Ask anew, where an iterator stands, under another id; the old request is cancelled."""
        # In this order: who watches something does not cease to for a moment.
        old, inflow.request = inflow.request, next(self._numbers)
        self.opened(inflow)
        self.cancel(old)

    def number(self) -> int:
        """Return the id for another request."""
        return next(self._numbers)

    def replay(
        self,
        *topics: str,
        start: str | Position | int,
        stop: str | Position | int | None = None,
        speed: float = 1.0,
        paused: bool = False,
    ) -> Replay:
        """Replay the past; iterate over it, and pause it, step, seek or change its speed.

        ``start`` and ``stop`` are ``"-10m"``, a `Position`, or a time in µs.
        """
        options: dict[str, Any] = {"from": place(start), "speed": speed, "paused": paused}
        if stop is not None:
            options["to"] = place(stop)
        return self.opened(Replay(next(self._numbers), topics, options, self))

    def cancel(self, request: int) -> None:
        """Cancel a request; what it is answered with is of no interest any more."""
        if self._inflows.pop(request, None) is not None and self._ended is None:
            self.send({"op": "cancel", "id": next(self._numbers), "request": request})

    def fits(self, message: dict[str, Any]) -> bool:
        """Tell whether a request is small enough for the server, which hangs up on larger ones."""
        return self._limit is None or len(self._codec.message(message)) <= self._limit

    @property
    def _limit(self) -> int | None:
        found = self.server.get("limits", {}).get("message_bytes")
        return found if isinstance(found, int) else None

    async def ask(self, op: str, fields: Mapping[str, object]) -> dict[str, Any]:
        """Send a request that is answered at once; return the answer.

        Raises:
            ProtocolError: The server refuses.
            ClientError: The connection is lost before the answer; it may have been served.
        """
        return await self._ask({**fields, "op": op, "id": next(self._numbers)})

    async def act(self, op: str, fields: Mapping[str, object], *, only_as: str) -> dict[str, Any]:
        """Send a request that ends with an outcome; return that.

        It is sent only while the server knows this client by the id ``only_as``.

        Raises:
            ProtocolError: The server refuses.
            StrangerError: The server knows it by another id.
            LostError: The connection is lost before the outcome.
        """
        number = next(self._numbers)
        if only_as != self.id:
            raise StrangerError(only_as)
        self._only_as[number] = only_as
        try:
            return await self._ask({**fields, "op": op, "id": number}, until_end=True)
        finally:
            del self._only_as[number]

    async def publish(self, topic: str, value: Value, *, time_us: int | None = None) -> int:
        """Publish a reading of a topic that is open for clients; return its offset.

        Raises:
            ProtocolError: The server refuses.
            ClientError: The connection is lost before the answer; it may have been published.
        """
        fields: dict[str, object] = {"topic": topic, "value": value}
        if time_us is not None:
            fields["time_us"] = time_us
        return int((await self.ask("publish", fields))["offset"])

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription or replay: its iteration stops after what has already arrived."""
        if subscription.request in self._inflows:
            self.cancel(subscription.request)
            subscription.end(None)

    async def get(self, *topics: str) -> list[Update]:
        """Return the last values of what the filters select.

        Raises:
            ProtocolError: The server refuses.
            ClientError: The connection is lost before the answer.
        """
        number = next(self._numbers)
        collected = self._collected[number] = []
        try:
            await self._ask({"op": "get", "id": number, "topics": list(topics)}, until_end=True)
        finally:
            del self._collected[number]
        return collected

    async def ping(self) -> int:
        """Return the server's clock, in µs.

        Raises:
            ClientError: The connection is lost before the answer.
        """
        answer = await self._ask({"op": "ping", "id": next(self._numbers)})
        return int(answer["time_us"])

    async def _ask(self, message: dict[str, Any], *, until_end: bool = False) -> dict[str, Any]:
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.send(message)
        self._answers[message["id"]] = (answer, until_end)
        self._hurry()
        return await answer

    def _hurry(self) -> None:
        """Hold up nothing: who asks does not read meanwhile, and others wait for something too."""
        for inflow in self._inflows.values():
            inflow.hurry()

    @property
    def is_shared(self) -> bool:
        """Whether several iterators wait for what arrives."""
        return len(self._inflows) > 1

    def send(self, message: dict[str, Any]) -> None:
        """Send a request when there is a connection.

        Raises:
            ClientError: There will be none any more, too many wait for one, or it cannot be sent.
        """
        if self._ended is not None:
            raise self._ended
        if self._outbox.qsize() >= OUTBOX:
            raise ClientError(f"more than {OUTBOX} requests wait to be sent")
        self._outbox.put_nowait(self._pack(message))

    def _pack(self, message: dict[str, Any]) -> _Packed:
        """Encode a request: what is wrong with it is its caller's error, not the connection's."""
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
        return _Packed(message["id"], payload)

    # -- staying connected -------------------------------------------------------------------------

    async def _send(self, payload: bytes) -> None:
        assert self._socket is not None
        await self._socket.send(payload, text=self._codec.is_text)

    async def _connect(self) -> Conversation:
        """Connect and say hello.

        Raises:
            ClientError: It did not work.
        """
        key = {"key": self._key} if self._key else {}
        met = await meet(self._url, self._codec, {**self._hello, **key})
        self._socket, self.server = met.socket, met.answer
        me = met.answer.get("client")
        if isinstance(me, dict):  # a server without presence tells nothing
            self.id, self._key = str(me.get("id", "")), str(me.get("key", ""))
        return met.conversation

    async def _keep(self, conversation: Conversation) -> None:
        """Serve the connection, and make another whenever it ends."""
        pause_s = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            reason, code = await self._serve(conversation)
            self._forget_answers(reason)
            log.info("disconnected", extra={"url": self._url, "reason": reason})
            if self.on_lost is not None:
                self.on_lost(reason)
            if loop.time() - began > STEADY_S:
                pause_s = FIRST_PAUSE_S
            while True:
                if code in DO_NOT:
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
            if self.on_back is not None:
                self.on_back()
            self._ask_again()

    def _ask_again(self) -> None:
        """Open the subscriptions where they stand; send what was asked while nobody was there."""
        asked, self._outbox = self._outbox, asyncio.Queue()
        for inflow in tuple(self._inflows.values()):
            inflow.lost()
            message = inflow.message()
            if message is not None:
                self._outbox.put_nowait(self._pack(message))
            elif inflow.is_over:
                del self._inflows[inflow.request]
        while not asked.empty():
            packed = asked.get_nowait()
            only_as = self._only_as.get(packed.request, self.id)
            if only_as != self.id:
                self._settle(packed.request, {}, StrangerError(only_as))
            elif packed.request in self._answers:
                self._outbox.put_nowait(packed)

    async def _serve(self, conversation: Conversation) -> tuple[str, int]:
        """Hand on what arrives until the connection ends; return why, and the close code."""
        assert self._socket is not None
        sender = asyncio.create_task(self._send_requests(), name="sensord-client-sender")
        try:
            async for payload in _payloads(self._socket):
                event = conversation.received(payload)
                if event is not None:
                    await self._deliver(event)
        except ConnectionClosed as exc:
            close = exc.rcvd
            return (str(exc), close.code if close else 1006)
        except ProtocolError as exc:
            # The server is not what it should be; perhaps its successor is.
            await self._socket.close(1002, "protocol error")
            return (str(exc), 1006)
        finally:
            sender.cancel()
        return ("closed", 1000)

    async def _send_requests(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._send((await self._outbox.get()).payload)

    async def _deliver(self, event: Event) -> None:
        match event:
            case Items(request, items):
                inflow = self._inflows.get(request)
                if inflow is not None:
                    await inflow.put(event, lambda: self._answers)
                elif request in self._collected:
                    self._collected[request] += [i for i in items if isinstance(i, Update)]
            case Result(request, fields):
                answer, until_end = self._answers.get(request, (None, False))
                if answer is not None and not until_end:
                    self._settle(request, fields, None)
                elif request in self._inflows:
                    self._inflows[request].answered(fields)
            case Outcome(request, fields):
                if request in self._inflows:
                    self._inflows[request].settled(fields)
                else:
                    self._settle(request, fields, None)
            case Refused(request, error):
                self._refused(request, error)
            case Ended(request):
                self._over(event)
                self._settle(request, {}, None)

    def _refused(self, request: int | None, error: ProtocolError) -> None:
        if request in self._inflows:
            self._inflows.pop(request).end(error)
        elif request is not None:
            self._settle(request, {}, error)

    def _over(self, event: Ended) -> None:
        inflow = self._inflows.get(event.request)
        if inflow is not None:
            inflow.over(event)
            if inflow.is_over:
                del self._inflows[event.request]

    def _settle(self, request: int, fields: dict[str, Any], error: Exception | None) -> None:
        answer, _ = self._answers.pop(request, (None, False))
        if answer is None or answer.done():
            return
        if error is None:
            answer.set_result(fields)
        else:
            answer.set_exception(error)

    def _forget_answers(self, reason: str) -> None:
        for request in tuple(self._answers):
            self._settle(request, {}, LostError(f"the connection was lost: {reason}"))

    def _end(self, error: ClientError, for_readers: ClientError | None) -> None:
        """Refuse requests from now on, and those that wait; let all iterations end."""
        self._ended = error
        for request in tuple(self._answers):
            self._settle(request, {}, error)
        for inflow in self._inflows.values():
            inflow.end(for_readers)


async def _payloads(socket: ClientConnection) -> AsyncIterator[bytes]:
    while True:
        yield await socket.recv(decode=False)
