"""Reading a JetStream stream: what it holds, a stretch of it, and what is added.

Theory of operation. Consumers are ephemeral and ask for no acknowledgement, so a hub leaves nothing
on the servers. Messages are pulled in batches; while more are asked for than are on their way, each
arrives as soon as it is stored. The server sends a sign of life every few seconds: without one the
consumer is made again, at the next sequence.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from sensord.errors import SensordError
from sensord.hub.arrivals import Arrival, Missing, Reader
from sensord.uplinks.orders import Order, Report, subject_for

__all__ = ["Extent", "Stream", "StreamError"]

log = logging.getLogger("sensord.hub")

BATCH = 512
"""Messages asked for at a time while following."""

ALIVE_S = 5.0
"""How often the server sends a sign of life."""

REQUEST_S = 120.0
"""How long a request for messages stands."""

ANSWER_S = 10.0
"""How long a stretch of a stream may take to come."""

INACTIVE_S = 60.0
"""A consumer that nobody uses is removed after this."""


class StreamError(SensordError):
    """A stream cannot be read at present; the text says why."""


class Extent(NamedTuple):
    """What a stream holds: sequences from ``first`` up to and including ``last``."""

    first: int
    last: int

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing."""
        return self.last < self.first


class Stream:
    """One gateway's stream."""

    def __init__(self, client: Client, name: str) -> None:
        self.name = name
        self.strangers = 0
        """Messages that sensord did not write."""
        self._client = client
        self._jetstream = client.jetstream(timeout=ANSWER_S)
        self._reader = Reader()

    async def extent(self) -> Extent:
        """Return what the stream holds.

        Raises:
            StreamError: It cannot be read.
        """
        try:
            state = (await self._jetstream.stream_info(self.name)).state
        except (nats.errors.Error, OSError, TimeoutError) as exc:
            raise StreamError(_text(exc)) from exc
        return Extent(state.first_seq, state.last_seq)

    async def at(self, sequence: int, last: int) -> Arrival | Missing | None:
        """Return the first message of sensord's from a sequence up to ``last``, or None.

        Raises:
            StreamError: The stream cannot be read.
        """
        for number in range(sequence, last + 1):
            try:
                found = await self._jetstream.get_msg(self.name, number, direct=False)
            except NotFoundError:
                continue  # it was removed
            except (nats.errors.Error, OSError, TimeoutError) as exc:
                raise StreamError(_text(exc)) from exc
            read = self._read(number, found.data or b"", found.headers)
            if read is not None:
                return read
        return None

    async def stretch(self, sequence: int, count: int) -> list[Arrival | Missing]:
        """Return messages from a sequence on, ``count`` at most.

        Raises:
            StreamError: The stream cannot be read.
        """
        config = _consumer(DeliverPolicy.BY_START_SEQUENCE, sequence)
        return await self._collect(config, count)

    async def last_of_each(self) -> list[Arrival | Missing]:
        """Return the last message of each topic.

        Raises:
            StreamError: The stream cannot be read.
        """
        return await self._collect(_consumer(DeliverPolicy.LAST_PER_SUBJECT), 1_000_000)

    async def follow(
        self, sequence: int, received: Callable[[Sequence[Arrival | Missing]], None]
    ) -> None:
        """Pass on all messages from a sequence on, as they are stored; ends only by raising.

        Raises:
            StreamError: The stream cannot be read any more.
        """
        feed = _Feed(self._read, received)
        try:
            name = await self._made(_consumer(DeliverPolicy.BY_START_SEQUENCE, max(1, sequence)))
            wanted = self._client.new_inbox()
            subscription = await self._client.subscribe(wanted, cb=feed.on_message)
            try:
                while True:
                    await self._ask(name, wanted, BATCH, is_waiting=True)
                    await feed.next_request()
            finally:
                with contextlib.suppress(nats.errors.Error):
                    await subscription.unsubscribe()
                feed.flush()
        except (nats.errors.Error, OSError, TimeoutError) as exc:
            raise StreamError(_text(exc)) from exc

    async def order(self, order: Order) -> Report:
        """Pass an act on to the gateway; return what became of it.

        Raises:
            StreamError: No answer came: it may have acted.
        """
        try:
            subject, limit_s = subject_for(self.name), order.timeout_s + ANSWER_S
            answer = await self._client.request(subject, order.write(), limit_s)
            return Report.read(answer.data)
        except nats.errors.NoRespondersError:
            text = "the gateway accepts no orders: it is away, or its uplink lacks commands = true"
            return Report(reason="unavailable", message=text)
        except (nats.errors.Error, OSError, TimeoutError, ValueError) as exc:
            raise StreamError(f"the gateway did not answer: {_text(exc)}") from exc

    # -- consumers ---------------------------------------------------------------------------------

    async def _made(self, config: ConsumerConfig) -> str:
        info = await self._jetstream.add_consumer(self.name, config)
        return info.name

    async def _ask(self, consumer: str, inbox: str, count: int, *, is_waiting: bool) -> None:
        request: dict[str, object] = {"batch": count}
        if is_waiting:
            request |= {"expires": int(REQUEST_S * 1e9), "idle_heartbeat": int(ALIVE_S * 1e9)}
        else:
            request["no_wait"] = True
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.name}.{consumer}"
        await self._client.publish(subject, json.dumps(request).encode(), reply=inbox)

    async def _collect(self, config: ConsumerConfig, count: int) -> list[Arrival | Missing]:
        """Return what a consumer has at once."""
        found: list[Arrival | Missing] = []
        try:
            name = await self._made(config)
            inbox = self._client.new_inbox()
            subscription = await self._client.subscribe(inbox)
            try:
                await self._ask(name, inbox, count, is_waiting=False)
                while len(found) < count:
                    message = await subscription.next_msg(ANSWER_S)
                    if _status(message) is not None:
                        break
                    read = self._read(_sequence(message), message.data, message.headers)
                    if read is not None:
                        found.append(read)
            finally:
                await subscription.unsubscribe()
                await self._jetstream.delete_consumer(self.name, name)
        except (nats.errors.Error, OSError, TimeoutError) as exc:
            raise StreamError(_text(exc)) from exc
        return found

    def _read(
        self, sequence: int, data: bytes, headers: dict[str, str] | None
    ) -> Arrival | Missing | None:
        try:
            return self._reader.read(sequence, data, headers)
        except (ValueError, RecursionError) as exc:
            self.strangers += 1
            if self.strangers == 1:
                fields = {"stream": self.name, "sequence": sequence, "reason": str(exc)[:100]}
                log.warning("message is not from sensord", extra=fields)
            return None


class _Feed:
    """Messages as they arrive, handed on together once a turn of the loop."""

    def __init__(
        self,
        read: Callable[[int, bytes, dict[str, str] | None], Arrival | Missing | None],
        received: Callable[[Sequence[Arrival | Missing]], None],
    ) -> None:
        self._read = read
        self._received = received
        self._loop = asyncio.get_running_loop()
        self._pending: list[Arrival | Missing] = []
        self._is_due = asyncio.Event()
        self._heard_at = self._loop.time()
        self._left = 0
        self._failure = ""

    async def on_message(self, message: Msg) -> None:
        """Accept a message or a sign of life."""
        self._heard_at = self._loop.time()
        status = _status(message)
        if status is None:
            self._left -= 1
            read = self._read(_sequence(message), message.data, message.headers)
            if read is not None:
                if not self._pending:
                    self._loop.call_soon(self.flush)
                self._pending.append(read)
            if self._left <= 0:
                self._is_due.set()
        elif status != "100":
            if status == "408":  # the request has expired
                self._is_due.set()
                return
            self._failure = (message.headers or {}).get("Description", f"status {status}")
            self._is_due.set()

    def flush(self) -> None:
        """Hand on what has arrived."""
        pending, self._pending = self._pending, []
        if pending:
            self._received(pending)

    async def next_request(self) -> None:
        """Wait until the next batch may be asked for.

        Raises:
            StreamError: The server does not send any more.
        """
        self._left = BATCH
        self._is_due.clear()
        while not self._is_due.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ALIVE_S):
                    await self._is_due.wait()
            if self._loop.time() - self._heard_at > 3 * ALIVE_S:
                raise StreamError("the server sends no sign of life")
        if self._failure:
            raise StreamError(self._failure)


def _consumer(policy: DeliverPolicy, sequence: int | None = None) -> ConsumerConfig:
    return ConsumerConfig(
        deliver_policy=policy,
        opt_start_seq=sequence,
        filter_subject=">" if policy is DeliverPolicy.LAST_PER_SUBJECT else None,
        ack_policy=AckPolicy.NONE,
        inactive_threshold=INACTIVE_S,
        mem_storage=True,
        num_replicas=1,
    )


def _status(message: Msg) -> str | None:
    """Return the status that a message stands for; None for one of the stream's."""
    return None if message.headers is None or message.reply else message.headers.get("Status")


def _sequence(message: Msg) -> int:
    """Return the place of a message in the stream, which its reply subject names.

    Raises:
        ValueError: It is none of a stream's.
    """
    # $JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.…, or with a domain and an account first.
    parts = message.reply.split(".")
    return int(parts[5] if len(parts) == 9 else parts[7])  # noqa: PLR2004  # the two forms


def _text(exc: Exception) -> str:
    description = getattr(exc, "description", None)
    return str(description or exc) or type(exc).__name__
