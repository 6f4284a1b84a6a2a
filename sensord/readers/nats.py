"""Read what is published on NATS subjects: live, or from a JetStream stream, each message once.

Theory of operation. What is live has no memory: it comes once or never. A stream numbers its
messages. Where it keeps them whoever reads, the reader asks for those after the number that the log
has beside their readings, so a crash on either side loses and doubles nothing. Where a stream
removes what was read (``workqueue``, ``interest``), a consumer of the stream keeps what is
acknowledged, and a message is acknowledged when its readings are in the journal: after a crash in
between it comes again.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, Self

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RetentionPolicy, StreamInfo
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from sensord.config.schema import Printable, Within
from sensord.device.backoff import REMOTE, Limits
from sensord.device.reader import Link
from sensord.errors import DeviceError
from sensord.host.nats_servers import connection, server_faults
from sensord.readers.blocking import Ending, beside, network_error, whole
from sensord.readers.sources import SourceMap, Sources, dotted_source, source_faults

__all__ = ["Config", "Reader"]

AT_ONCE = 500
"""Messages asked for at a time."""

IDLE_S = 5.0
"""A consumer that sends nothing for so long is looked for: losing one is not reported."""

ACK_WAIT_S = 10.0
"""After this the server sends again what a killed daemon did not acknowledge."""

FORGOTTEN_S = 60.0
"""The server removes a consumer of ours when nobody asked it for so long."""


@dataclass(frozen=True, slots=True)
class Config:
    """Options of the reader ``nats``."""

    servers: tuple[str, ...]
    topics: tuple[SourceMap, ...]
    stream: Printable = ""
    """The JetStream stream to read; empty for what is published live."""
    start: Literal["beginning", "new"] = "beginning"
    """Where a stream is begun of which nothing is known."""
    durable: Printable = ""
    """The consumer of a stream that removes what was read."""
    in_flight: Annotated[int, Within(1, 1_000_000)] = 20_000
    """Messages that wait for the journal, of such a stream."""
    user: Printable = ""
    password_file: Printable = ""
    token_file: Printable = ""
    creds_file: Printable = ""
    ca_file: Printable = ""
    cert_file: Printable = ""
    key_file: Printable = ""

    SCOPED_BY = "topics"

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield what the fields cannot know of each other."""
        yield from server_faults(self)
        yield from source_faults(self.topics)
        for one in self.topics:
            tokens = one.filter.split(".")
            if not all(tokens) or ">" in tokens[:-1] or any(map(str.isspace, one.filter)):
                yield (
                    "topics",
                    f'"{one.filter}": expected a subject, with * and > as wildcards',
                )
        if self.durable and not self.stream:
            yield "durable", "needs stream beside it"

    def apart(self) -> Self:
        """Return options that read beside the daemon and remove nothing."""
        return dataclasses.replace(self, durable="", start="new")


class Reader:
    """One connection to a server."""

    limits: Limits = REMOTE

    def __init__(self, config: Config) -> None:
        self._config = config
        self._sources = Sources(config.topics)

    async def run(self, link: Link) -> None:
        """Connect, and pass on messages until the connection fails.

        Raises:
            DeviceError: No server can be reached, it refuses, or the connection was lost.
        """
        ending, client = Ending(), Client()
        where = self._config.servers[0]
        try:
            await whole(self._read(client, link, ending), "reader:nats")
        except nats.errors.NoServersError as exc:
            raise DeviceError("connection refused", f"{where}: no server can be reached") from exc
        except nats.errors.TimeoutError as exc:
            raise DeviceError("no answer", f"{where}: JetStream does not answer") from exc
        except (nats.errors.Error, APIError) as exc:
            raise DeviceError("source failed", f"{where}: {_text(exc)}") from exc
        except OSError as exc:
            raise network_error(exc, where) from exc
        finally:
            await whole(client.close(), "nats:close")

    async def _read(self, client: Client, link: Link, ending: Ending) -> None:
        await client.connect(**self._options(client, ending))
        address = client.connected_url
        where = "NATS" if address is None else f"{address.hostname}:{address.port}"
        if self._config.stream:
            await self._read_stream(client, link, ending, where)
        else:
            await self._listen(client, link, ending, where)

    def _options(self, client: Client, ending: Ending) -> dict[str, Any]:
        async def failed(exc: Exception) -> None:
            if not client.is_connected:
                return  # another server may be there
            if isinstance(exc, nats.errors.SlowConsumerError):
                return  # what is live and comes too fast is lost, as for any other subscriber
            ending.fail(DeviceError("source failed", _text(exc)))

        async def lost() -> None:
            ending.fail(DeviceError("connection lost", "the server ended it"))

        return connection(self._config) | {
            "allow_reconnect": False,
            # The library would ask each server again and again; the supervisor does that.
            "max_reconnect_attempts": 1,
            "reconnect_time_wait": 0.05,
            "error_cb": failed,
            "disconnected_cb": lost,
            "closed_cb": lost,
        }

    # -- live --------------------------------------------------------------------------------------

    async def _listen(self, client: Client, link: Link, ending: Ending, where: str) -> None:
        link.opened(where)
        for scope, one in enumerate(self._config.topics):
            await client.subscribe(one.filter, cb=partial(self._heard, link, scope))
        await client.flush()
        await ending.reached()

    async def _heard(self, link: Link, scope: int, message: Msg) -> None:
        route = self._sources.route(dotted_source(message.subject))
        if route is not None and route.scope == scope:  # another filter may bring it, too
            link.message(route, message.data)

    # -- from a stream -----------------------------------------------------------------------------

    async def _read_stream(self, client: Client, link: Link, ending: Ending, where: str) -> None:
        stream = client.jetstream()
        name = self._config.stream
        try:
            info = await stream.stream_info(name)
        except NotFoundError as exc:
            raise DeviceError("no such source", f"{name} at {where}") from exc
        is_kept = info.config.retention in {None, RetentionPolicy.LIMITS}
        if self._config.durable and is_kept:
            detail = f"{name} keeps what was read: leave durable out"
            raise DeviceError("wrong kind of source", detail)
        if not self._config.durable and not is_kept and self._config.start == "beginning":
            detail = f"{name} removes what was read: name a consumer with durable"
            raise DeviceError("wrong kind of source", detail)
        reading = _Reading(stream, info, self._config, self._sources, link)
        await reading.begin()
        link.opened(f"{where} {name}")
        await beside(ending, reading=reading.run(), acknowledging=reading.acknowledge())


class _Reading:
    """One way through a stream, by a consumer of it."""

    def __init__(
        self,
        stream: JetStreamContext,
        info: StreamInfo,
        config: Config,
        sources: Sources,
        link: Link,
    ) -> None:
        self._stream = stream
        self._config = config
        self._sources = sources
        self._link = link
        self._name = config.stream
        self._made = "" if info.created is None else info.created.isoformat()
        self._last = info.state.last_seq
        self._consumer = ""
        self._subscription: Any = None
        self._expected = 1
        """The consumer's own number of the next message."""
        self._handled: dict[int, None] = {}
        """Passed on and perhaps not acknowledged."""
        self._kept: asyncio.Queue[Sequence[Msg]] = asyncio.Queue()
        """To acknowledge; the server sends no more than ``in_flight`` before that."""

    async def begin(self) -> None:
        """Find or make the consumer."""
        filters = [one.filter for one in self._config.topics]
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            inactive_threshold=FORGOTTEN_S,
            mem_storage=True,
            num_replicas=1,
        )
        if self._config.durable:
            config = ConsumerConfig(
                durable_name=self._config.durable,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_WAIT_S,
                max_ack_pending=self._config.in_flight,
            )
        else:
            config = config.evolve(**self._start())
        if len(filters) == 1:
            config = config.evolve(filter_subject=filters[0])
        else:
            config = config.evolve(filter_subjects=filters)
        info = await self._stream.add_consumer(self._name, config)
        self._consumer = info.name
        self._subscription = await self._stream.pull_subscribe_bind(info.name, self._name)

    def _start(self) -> dict[str, Any]:
        match self._link.position():
            case {"stream": str(made), "sequence": int(sequence)} if made == self._made:
                return {
                    "deliver_policy": DeliverPolicy.BY_START_SEQUENCE,
                    "opt_start_seq": sequence + 1,
                }
        if self._config.start == "new":
            # Known from now on, so nothing is left out if the connection fails before the first.
            self._reached(self._last)
            return {
                "deliver_policy": DeliverPolicy.BY_START_SEQUENCE,
                "opt_start_seq": self._last + 1,
            }
        return {"deliver_policy": DeliverPolicy.ALL}

    async def run(self) -> None:
        """Pass on messages; ends only by raising."""
        while True:
            try:
                messages = await self._subscription.fetch(AT_ONCE, timeout=IDLE_S)
            except nats.errors.TimeoutError:
                await self._look()
                continue
            if self._config.durable:
                self._pass_on_held(messages)
            else:
                self._pass_on(messages)

    async def _look(self) -> None:
        """Check that the consumer is still there.

        Raises:
            DeviceError: It is gone.
        """
        try:
            await self._stream.consumer_info(self._name, self._consumer)
        except NotFoundError as exc:
            raise DeviceError(
                "connection lost", f"the consumer {self._consumer} is gone", at_once=True
            ) from exc

    def _pass_on(self, messages: Sequence[Msg]) -> None:
        for message in messages:
            numbers = message.metadata.sequence
            if numbers.consumer != self._expected:
                # A pull whose answer was lost; the next run asks from the recorded position.
                raise DeviceError(
                    "connection lost", "messages were missed, and are read again", at_once=True
                )
            self._expected += 1
            self._hand_on(message)
            self._last = numbers.stream
        self._reached(self._last)

    def _reached(self, sequence: int) -> None:
        self._link.reached({"stream": self._made, "sequence": sequence})

    def _hand_on(self, message: Msg) -> None:
        route = self._sources.route(dotted_source(message.subject))
        if route is not None:
            self._link.message(route, message.data)

    def _pass_on_held(self, messages: Sequence[Msg]) -> None:
        for message in messages:
            number = message.metadata.sequence.stream
            if number not in self._handled:
                self._handled[number] = None
                self._hand_on(message)
        self._link.when_kept(partial(self._kept.put_nowait, messages))
        while len(self._handled) > 2 * self._config.in_flight:
            del self._handled[next(iter(self._handled))]

    async def acknowledge(self) -> None:
        """Acknowledge what is in the journal; ends only by raising."""
        while True:
            for message in await self._kept.get():
                await message.ack()


def _text(exc: Exception) -> str:
    if isinstance(exc, APIError) and exc.description:
        return exc.description
    return str(exc) or type(exc).__name__
