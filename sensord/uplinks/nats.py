"""The uplink to a NATS JetStream stream: every reading once, in the order of the log.

Theory of operation. The stream belongs to the uplink, and holds its position: the last message
names the reading after which delivery resumes, whatever was saved here. Each message of a window
names the sequence and the id of the one that must stand before it, so a window is stored up to some
message and not beyond: nothing can be missing in the middle, and one acknowledgement, of the last,
stands for all of them. The sequence alone is not enough: a message that somebody else publishes in
place of a refused one has the sequence that the next expects. Whatever goes wrong, the connection
is opened again and the stream is asked.

Each message describes its channel in a header, so that whoever begins anywhere in the stream knows
it: a hub, for instance (`sensord/hub`).
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import nats.errors
from nats.aio.client import Client
from nats.js.api import StreamConfig
from nats.js.errors import APIError, NotFoundError

from sensord.config.schema import Duration, Printable, Size, Within
from sensord.host.nats_servers import connection, server_faults
from sensord.model.readings import Channel, Position, Record
from sensord.uplinks.channel_header import CHANNEL, description_of
from sensord.uplinks.context import Context
from sensord.uplinks.destination import Batch, RejectedError, UplinkError
from sensord.uplinks.options import Options
from sensord.uplinks.order_desk import OrderDesk
from sensord.uplinks.payload import Payloads, next_offset

__all__ = ["Config", "Destination", "subject_of"]

IS_LIVE_FIRST = False
"""A stream keeps the order of arrival."""

PLACE = "{topic}"
HOST = "{host}"

ANSWER_TIMEOUT_S = 10.0

HEADERS_BYTES = 256
"""More than the headers of a message have: they count into what a server accepts."""

WRONG_PLACE = {10070, 10071}
"""The server's error codes for a message that does not follow the one it expects."""

_RESERVED = re.compile(r"[%.*>\s\x00-\x1f\x7f]")


def subject_of(topic: str) -> str:
    """Return a topic as tokens of a subject; what a token cannot hold is written as ``%2E``."""
    return _RESERVED.sub(_escape, topic).replace("/", ".")


def _escape(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


@dataclass(frozen=True, slots=True)
class Config(Options):
    """Where the servers are, and the stream."""

    servers: tuple[str, ...] = ()
    stream: Printable = "sensord_{host}"
    subject: Printable = "sensord.{host}.{topic}"
    commands: bool = False
    """Whether hubs may set and call for their clients."""
    create: bool = True
    """Whether a stream that is missing is made."""
    replicas: Annotated[int, Within(1, 5)] = 1
    max_age: Annotated[Duration, Within(1, 10**9)] | None = None
    max_bytes: Annotated[Size, Within(1024, 2**62)] | None = None
    user: Printable = ""
    password_file: Printable = ""
    token_file: Printable = ""
    creds_file: Printable = ""
    ca_file: Printable = ""
    cert_file: Printable = ""
    key_file: Printable = ""

    def faults(self) -> Iterator[tuple[str, str]]:
        """Yield addresses, names and credentials that cannot be."""
        yield from Options.faults(self)
        yield from server_faults(self)
        if not re.fullmatch(r"[^.*>/\\\s]+", self.stream):
            yield "stream", "expected a name without blanks and . * > /"
        before, place, after = self.subject.partition(PLACE)
        if not place or after or not re.fullmatch(r"([^.*>\s]+\.)+", before):
            yield "subject", "expected tokens and, at the end, {topic}: such as sensord.{topic}"


class Destination:
    """One connection to a server, and the stream's last sequence."""

    def __init__(self, context: Context, config: Config) -> None:
        self._config = config
        host = re.sub(r"[^A-Za-z0-9_-]", "_", context.host)
        self._stream = config.stream.replace(HOST, host)
        self._prefix = config.subject.replace(HOST, host).removesuffix(PLACE)
        self._client: Client | None = None
        self._desk = OrderDesk(context) if config.commands else None
        self._payloads = Payloads(has_topic=True, has_log_time=True)
        self._addresses: dict[Channel, tuple[str, str]] = {}
        """The subject of each channel, and its description."""
        self._sequence = 0
        self._most_bytes = 0

    @property
    def where(self) -> str:
        """Its address."""
        return f"{self._config.servers[0]} {self._stream}"

    # -- the connection ----------------------------------------------------------------------------

    async def open(self) -> Position | None:
        """Connect; return the position after the stream's last message.

        Raises:
            UplinkError: No server can be reached, or there is no stream.
        """
        self._client = Client()
        try:
            await self._client.connect(**self._connection())
            found = await self._join()
            if self._desk is not None:
                await self._desk.open(self._client, self._stream)
        except nats.errors.NoServersError as exc:
            raise UplinkError("no server can be reached") from exc
        except NotFoundError as exc:
            raise UplinkError(f"there is no stream {self._stream}") from exc
        except (nats.errors.Error, OSError, TimeoutError) as exc:
            raise UplinkError(_text(exc)) from exc
        return found

    def _connection(self) -> dict[str, Any]:
        return connection(self._config) | {
            # Sequences are those of one connection: a new one begins by asking the stream.
            "allow_reconnect": False,
            "error_cb": _ignored,
            "skip_subject_validation": True,  # subjects are made here
        }

    async def _join(self) -> Position | None:
        """Find or make the stream; return the position after its last message."""
        assert self._client is not None, "it is open"
        stream = self._client.jetstream()
        try:
            info = await stream.stream_info(self._stream)
        except NotFoundError:
            if not self._config.create:
                raise
            info = await stream.add_stream(self._wanted())
        self._sequence = info.state.last_seq
        sizes = (self._client.max_payload, info.config.max_msg_size)
        self._most_bytes = min(size for size in sizes if size and size > 0)
        try:
            last = await stream.get_last_msg(self._stream, f"{self._prefix}>")
        except NotFoundError:
            return None
        return _position(last.headers or {}, self._stream)

    def _wanted(self) -> StreamConfig:
        config = self._config
        return StreamConfig(
            name=self._stream,
            subjects=[f"{self._prefix}>"],
            num_replicas=config.replicas,
            max_age=config.max_age,
            max_bytes=config.max_bytes,
        )

    async def close(self) -> None:
        """Disconnect."""
        if self._desk is not None:
            await self._desk.close()
        client, self._client = self._client, None
        if client is not None and not client.is_closed:
            await client.close()

    # -- sending -----------------------------------------------------------------------------------

    async def send(self, batch: Batch) -> int:
        """Publish readings; return the number of bytes when the stream has stored all of them.

        Raises:
            UplinkError: Some or all of them were not stored; the stream knows which.
            RejectedError: A reading is larger than the server accepts.
        """
        assert self._client is not None, "it is open"
        payloads = [self._payloads.write(batch.epoch, one) for one in batch.records]
        addresses = [self._address(one.channel) for one in batch.records]
        sizes = (len(one) + len(about) for one, (_, about) in zip(payloads, addresses, strict=True))
        largest = max(sizes) + HEADERS_BYTES
        if largest > self._most_bytes:
            raise RejectedError(f"{largest} bytes; the server accepts {self._most_bytes}")
        ids = [_identity(batch.epoch, one) for one in batch.records]
        try:
            for i, (subject, about) in enumerate(addresses[:-1]):
                headers = _headers(ids, i, self._sequence, about)
                await self._client.publish(subject, payloads[i], headers=headers)
            subject, about = addresses[-1]
            headers = _headers(ids, len(ids) - 1, self._sequence, about)
            answer = await self._client.request(
                subject, payloads[-1], ANSWER_TIMEOUT_S, headers=headers
            )
        except nats.errors.NoRespondersError as exc:
            raise UplinkError(f"there is no stream {self._stream}") from exc
        except TimeoutError as exc:
            raise UplinkError("the stream acknowledges nothing") from exc
        except (nats.errors.Error, OSError) as exc:
            raise UplinkError(_text(exc)) from exc
        self._sequence = _acknowledged(answer.data)
        return sum(map(len, payloads))

    def _address(self, channel: Channel) -> tuple[str, str]:
        found = self._addresses.get(channel)
        if found is None:
            found = self._prefix + subject_of(channel.topic), description_of(channel.metadata)
            self._addresses[channel] = found
        return found


def _identity(epoch: str, record: Record) -> str:
    after = next_offset(record)
    if after == record.offset + 1:
        return f"{epoch}:{record.offset}"
    return f"{epoch}:{record.offset}-{after}"


def _headers(ids: Sequence[str], i: int, sequence: int, about: str) -> dict[str, str]:
    """Return the headers of the message ``i`` of a window that begins after a sequence."""
    headers = {"Nats-Msg-Id": ids[i], "Nats-Expected-Last-Sequence": str(sequence + i)}
    if about:
        headers[CHANNEL] = about
    if i:
        headers["Nats-Expected-Last-Msg-Id"] = ids[i - 1]
    return headers


def _position(headers: dict[str, str], stream: str) -> Position:
    """Return the position after a message.

    Raises:
        UplinkError: sensord did not write it.
    """
    identity = headers.get("Nats-Msg-Id", "")
    found = re.fullmatch(r"(\w+):(\d+)(?:-(\d+))?", identity)
    if found is None:
        raise UplinkError(f"the last message in {stream} is not from sensord")
    return Position(found[1], int(found[3]) if found[3] else int(found[2]) + 1)


def _acknowledged(answer: bytes) -> int:
    """Return the sequence that the stream has stored.

    Raises:
        UplinkError: It has not stored the message.
    """
    match json.loads(answer):
        case {"error": {"err_code": code, "description": text}}:
            if code in WRONG_PLACE:
                text = f"{text}; somebody else wrote to the stream, or a message was lost"
            raise UplinkError(str(text))
        case {"seq": int(sequence)}:
            return sequence
    raise UplinkError("no JetStream answers there")


def _text(exc: Exception) -> str:
    if isinstance(exc, APIError) and exc.description:
        return exc.description
    if isinstance(exc, socket.gaierror | OSError) and exc.strerror:
        return exc.strerror
    return str(exc) or type(exc).__name__


async def _ignored(_exc: Exception) -> None:
    """Report nothing: what matters is raised where it is waited for."""
